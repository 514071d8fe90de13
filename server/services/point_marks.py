"""Marks of points in AWS: written before a point is registered, so that none is visible that could not be found again."""

from __future__ import annotations

from server.domain.errors import AwsError, HoldfastError
from server.domain.rediscovery import Told
from server.domain.restore import RestorePoint
from server.domain.workload import place
from server.ports import PointMark
from server.services.context import Services


def put(app: Services, point: RestorePoint, policy_name: str) -> tuple[str, ...]:
    """Mark the point's snapshots. Doing it again changes nothing. The warnings that follow when AWS refuses: the point is good
    without a mark, and the next rescan tries again. Errors: the transient ones of AWS."""
    with app.store.transaction() as tx:
        resource = tx.resources.get(point.resource_id)
        accounts = tx.accounts.many({point.account_id, resource.account_id})
    owner = accounts[resource.account_id].aws_account_id
    told = Told.of(point, resource, aws_account_id=owner, policy_name=policy_name)
    mark = PointMark(point_id=point.id, appliance_id=app.owner_id(), told=told.to_json())
    where = place(accounts[point.account_id], point.region)
    try:
        app.workloads[point.workload].mark(where, point.document, mark, app.sealing)
    except AwsError as refusal:
        return (_warning(refusal),)
    return ()


def _warning(refusal: HoldfastError) -> str:
    return f"Its snapshots could not be marked, so that only this appliance's database knows the point: {refusal.sentence()}"
