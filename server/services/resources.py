"""Resources as people look at them: protected or not, and what a restore can aim at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.restore import Leg, PointState
from server.domain.workload import Place, place
from server.ports import Select, Where
from server.services import accounts, claims
from server.services.context import Services

TYPES_MAX = 2000  # instance types a Region offers: about 900 in 2026


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    id: str
    name: str
    vpc_id: str
    zone: str
    cidr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    id: str
    name: str
    vpc_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What a restore in one account and Region can use."""

    zones: tuple[str, ...]
    subnets: tuple[Subnet, ...]
    security_groups: tuple[SecurityGroup, ...]
    instance_types: tuple[str, ...]
    instance_profiles: tuple[str, ...]


def by_protection(app: Services, caller: Caller, where: tuple[Where, ...], *, covered: bool) -> list[UUID]:
    """Ids of present resources matching ``where`` that an enabled policy covers, or that none does."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        rivals = claims.enabled(tx)
        return [one.id for one in claims.present(tx, where) if claims.protects(rivals, one) is covered]


def by_points(app: Services, caller: Caller, legs: Sequence[Leg] | None, *, having: bool) -> list[UUID]:
    """Ids of resources that have (or have no) available restore point in one of ``legs``; None: in any place."""
    caller.require(Role.VIEWER)
    where: tuple[Where, ...] = (Where("state", "eq", PointState.AVAILABLE),)
    if legs is not None:
        where += (Where("leg", "in", list(legs)),)
    with app.store.transaction() as tx:
        found = set(tx.points.groups("resource_id", where))
        return list(found) if having else [id for id in tx.resources.groups("id") if id not in found]


def accounts_numbered(app: Services, caller: Caller, number: str) -> list[UUID]:
    """Ids of the accounts with this AWS account number."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return [one.id for one in tx.accounts.page(Select(where=(Where("aws_account_id", "eq", number),)))]


def restore_targets(app: Services, caller: Caller, account_id: UUID, region: str) -> Targets:
    """Errors: Forbidden, NotFound, InvalidInput for an unknown Region, those of AWS."""
    caller.require(Role.RESTORE_OPERATOR)
    with app.store.transaction() as tx:
        account = tx.accounts.get(account_id)
    accounts.check_regions(app, account, (region,), "region")
    where = place(account, region)
    return Targets(
        zones=tuple(_rows(app, where, "describe_availability_zones", "AvailabilityZones", "ZoneName")),
        subnets=tuple(
            Subnet(
                id=row["SubnetId"],
                name=_name(row),
                vpc_id=row["VpcId"],
                zone=row["AvailabilityZone"],
                cidr=row.get("CidrBlock", ""),
            )
            for row in _paged(app, where, "ec2", "describe_subnets", "Subnets")
        ),
        security_groups=tuple(
            SecurityGroup(id=row["GroupId"], name=row["GroupName"], vpc_id=row.get("VpcId", ""))
            for row in _paged(app, where, "ec2", "describe_security_groups", "SecurityGroups")
        ),
        instance_types=tuple(_instance_types(app, where)),
        instance_profiles=tuple(
            sorted(
                row["InstanceProfileName"] for row in _paged(app, where, "iam", "list_instance_profiles", "InstanceProfiles")
            )
        ),
    )


def _rows(app: Services, where: Place, operation: str, key: str, field: str) -> Sequence[str]:
    return sorted(str(row[field]) for row in app.aws.call(where, "ec2", operation)[key])


def _paged(app: Services, where: Place, service: str, operation: str, key: str) -> list[Mapping[str, Any]]:
    return [row for page in app.aws.pages(where, service, operation) for row in page.get(key, ())]


def _instance_types(app: Services, where: Place) -> list[str]:
    found = {
        row["InstanceType"] for row in _paged(app, where, "ec2", "describe_instance_type_offerings", "InstanceTypeOfferings")
    }
    return sorted(found)[:TYPES_MAX]


def _name(row: Mapping[str, Any]) -> str:
    return next((tag["Value"] for tag in row.get("Tags", ()) if tag["Key"] == "Name"), "")
