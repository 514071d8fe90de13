"""Whether what a policy uses can be reached: AWS from this network, repositories, and guests through Systems Manager."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from server.domain.configuration import Area, Check, Finding
from server.domain.errors import AwsError, HoldfastError, Unavailable
from server.domain.policy import Policy
from server.domain.repository import Repository, RepositoryState
from server.domain.workload import Resource, place
from server.services.configuration_subject import Subject, names
from server.services.context import Services
from server.services.wording import count

# What is asked of each service to see whether it answers; a refusal is an answer. service → operation, parameters
PROBES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "ec2": ("describe_availability_zones", {}),
    "ebs": ("list_snapshot_blocks", {"SnapshotId": "snap-00000000000000000"}),
    "kms": ("list_aliases", {"Limit": 1}),
    "ssm": ("describe_instance_information", {}),
}
PROBE_NAME: Final = "probe"
MANAGED_MAX: Final = 10_000  # managed instances listed in one Region
ONLINE: Final = "Online"


def wants_guests(policy: Policy) -> bool:
    guest = policy.guest
    return guest.application_aware or guest.linux is not None or guest.windows is not None


# ---- the network ------------------------------------------------------------------------------------------------------


def endpoints(app: Services, subject: Subject, region: str) -> list[Check]:
    """The endpoints a run in the Region talks to."""
    needed = ["ec2"] + (["ebs"] if subject.backups else []) + (["kms"] if subject.policy.replicas else [])
    needed += ["ssm"] if wants_guests(subject.policy) else []
    return [_endpoint(app, subject, region, service) for service in needed]


def _endpoint(app: Services, subject: Subject, region: str, service: str) -> Check:
    operation, asked = PROBES[service]
    what = f"{service} in {region}"
    try:
        app.aws.call(place(subject.source, region), service, operation, **asked)
    except Unavailable as error:
        return Check(
            area=Area.ENDPOINT,
            subject=what,
            finding=Finding.FAILED,
            message=error.message,
            remedy="Let the appliance reach it over HTTPS (443): a route, a proxy, or a VPC endpoint with private DNS.",
            path="scope.regions",
        )
    except AwsError:
        pass  # it answered, if only to refuse; what the role may do is another check
    return Check(area=Area.ENDPOINT, subject=what, message="Answers.")


# ---- repositories -----------------------------------------------------------------------------------------------------


def repository(app: Services, row: Repository, *, write: bool) -> list[Check]:
    """It opens with its password or key, is ours, and, with ``write``, takes an object."""
    check = Check(area=Area.REPOSITORY, subject=row.name, message="Opens, and belongs to this appliance.")
    if row.state is not RepositoryState.AVAILABLE:
        text = row.problem or "It was not available when last looked at."
        return [replace(check, finding=Finding.FAILED, message=text, remedy="Check the repository first.")]
    try:
        app.open_repository(row)
        blobs = app.open_blobs(row)
    except HoldfastError as error:
        return [replace(check, finding=Finding.FAILED, message=error.message, remedy=error.remedy)]
    if not write:
        return [check]
    if row.immutable:
        note = "Locks what is written; writing is not tried, for nobody could delete the trial."
        return [check, replace(check, message=note)]
    try:
        name = f"{PROBE_NAME}-{app.new_id()}"
        blobs.put(name, b"Holdfast looks whether it may write here. This object can be deleted.")
        blobs.delete([name])
    except HoldfastError as error:
        text = f"Nothing can be written: {error.message}"
        return [check, replace(check, finding=Finding.FAILED, message=text, remedy=error.remedy)]
    return [check, replace(check, message="An object was written and deleted.")]


# ---- guests -----------------------------------------------------------------------------------------------------------


def guests(app: Services, subject: Subject, region: str) -> list[Check]:
    """Systems Manager knows the guests that are to be prepared, and their agents answer."""
    wanted = [resource for resource in subject.covered_in(region) if _prepared(subject.policy, resource)]
    check = Check(area=Area.GUEST, subject=region, message="No covered guest is to be prepared here.", path="guest")
    if not wanted:
        return [check]
    state = dict(_managed(app, subject, region))
    silent = [resource for resource in wanted if state.get(resource.aws_id, ONLINE) != ONLINE]
    unknown = [resource for resource in wanted if resource.aws_id not in state]
    ready = len(wanted) - len(silent) - len(unknown)
    found = [replace(check, message=f"{count(ready, 'guest')} managed by Systems Manager and online.")] if ready else []
    for group, text, remedy in (
        (
            unknown,
            "not managed by Systems Manager",
            "Install the SSM Agent, give the instances a role with AmazonSSMManagedInstanceCore, and let them reach SSM (443).",
        ),
        (silent, "managed, but their agents do not answer", "Start the instances, or look at their agents and networks."),
    ):
        if group:
            message = f"{count(len(group), 'guest')} {text}: {names(group)}."
            found.append(replace(check, finding=Finding.WARNING, message=message, remedy=remedy))
    return found


def _prepared(policy: Policy, resource: Resource) -> bool:
    platform = str((resource.document.get("instance") or {}).get("platform") or "")
    if "windows" in platform.lower():
        return policy.guest.application_aware or policy.guest.windows is not None
    return policy.guest.linux is not None


def _managed(app: Services, subject: Subject, region: str) -> Iterator[tuple[str, str]]:
    """Instance id and what its agent's last ping was."""
    number = 0
    pages: Iterator[dict[str, Any]] = app.aws.pages(place(subject.source, region), "ssm", "describe_instance_information")
    for page in pages:
        listed: Sequence[dict[str, Any]] = page.get("InstanceInformationList", ())
        for one in listed:
            yield str(one["InstanceId"]), str(one.get("PingStatus", ""))
        number += len(listed)
        if number >= MANAGED_MAX:
            return
