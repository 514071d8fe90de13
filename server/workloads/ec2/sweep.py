"""Taking away: the snapshots of a point, and whatever a failed or cancelled task has left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from server.domain.errors import AwsError, AwsNotFound, AwsRejected, Unavailable
from server.domain.workload import Place
from server.ports import Aws, Clock
from server.workloads.ec2 import commands, records, tags
from server.workloads.ec2.records import Json

LOOK_AGAIN: Final = 2.0  # seconds
LONGEST: Final = 180.0  # seconds an instance may take to terminate and let go of its volumes


def delete_snapshots(aws: Aws, place: Place, document: Mapping[str, Any]) -> None:
    """Every snapshot of the point is tried; the first refusal is raised at the end."""
    refused: AwsError | None = None
    for record in document["volumes"]:
        if not record.get("snapshotId"):
            continue
        try:
            aws.call(place, "ec2", "delete_snapshot", SnapshotId=record["snapshotId"])
        except AwsNotFound:
            continue  # gone already
        except AwsError as error:  # whatever the reason, it is still there
            refused = refused or error
    if refused is not None:
        raise refused


def abandon(aws: Aws, clock: Clock, place: Place, token: str) -> None:
    """Stop its commands, then remove everything the task made. Errors: Unavailable when something does not go away in time;
    calling again goes on."""
    commands.stop(aws, place, token)
    _until_gone(clock, place, lambda: list(_remove(aws, place, token)))


def abandon_snapshots(aws: Aws, clock: Clock, place: Place, token: str) -> None:
    """The same for a task that makes nothing but snapshots there."""
    _until_gone(clock, place, lambda: list(_remove_snapshots(aws, place, token)))


def _until_gone(clock: Clock, place: Place, remove: Callable[[], list[str]]) -> None:
    """Returns when two looks in a row find nothing, as AWS lists new things late."""
    started = clock.monotonic()
    empty_looks = 0
    while empty_looks < 2:
        left = remove()
        empty_looks = 0 if left else empty_looks + 1
        if left and clock.monotonic() - started > LONGEST:
            raise Unavailable(
                f"AWS has not yet removed {', '.join(left)} in {place.region}.",
                remedy="Holdfast tries again; you may also delete them in the AWS console.",
            )
        if empty_looks < 2:
            clock.sleep(LOOK_AGAIN)


def _remove(aws: Aws, place: Place, token: str) -> Iterator[str]:
    """Ask for everything of the task to be removed; what still exists is named."""
    instances = [
        i["InstanceId"] for i in _listed(aws, place, token, "describe_instances") if i["State"]["Name"] != "terminated"
    ]
    if instances:
        _call(aws, place, "terminate_instances", InstanceIds=instances)
        yield from instances
    for volume in _listed(aws, place, token, "describe_volumes"):
        if volume["State"] in ("deleting", "deleted"):
            continue
        if volume["State"] != "in-use":
            _call(aws, place, "delete_volume", VolumeId=volume["VolumeId"])
        yield volume["VolumeId"]
    yield from _remove_snapshots(aws, place, token)


def _remove_snapshots(aws: Aws, place: Place, token: str) -> Iterator[str]:
    for snapshot in _listed(aws, place, token, "describe_snapshots", OwnerIds=["self"]):
        _call(aws, place, "delete_snapshot", SnapshotId=snapshot["SnapshotId"])
        yield snapshot["SnapshotId"]


def _listed(aws: Aws, place: Place, token: str, operation: str, **params: Any) -> list[Json]:
    pages = aws.pages(place, "ec2", operation, Filters=tags.made_by(token), MaxResults=records.PAGE, **params)
    if operation == "describe_instances":
        return [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
    key = {"describe_volumes": "Volumes", "describe_snapshots": "Snapshots"}[operation]
    return [thing for page in pages for thing in page[key]]


def _call(aws: Aws, place: Place, operation: str, **params: Any) -> None:
    """What is gone already is no error, nor is a volume that is still being created or let go: the next look tries again."""
    try:
        aws.call(place, "ec2", operation, **params)
    except AwsNotFound:
        return
    except AwsRejected as error:
        if error.aws_code not in ("VolumeInUse", "IncorrectState", "IncorrectInstanceState"):
            raise
