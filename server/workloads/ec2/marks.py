"""What the snapshots of a point say of it, in their tags: enough to import the point where nobody knows it any more.

``holdfast:point`` and ``holdfast:appliance`` are ids. ``holdfast:record-1`` and so on hold a *record* in base64url, cut to the
length of a tag; the first begins with the number of pieces and a dot. A record is JSON, deflated and sealed for this point and
this snapshot alone: ``{"v": 1, "told": …, "disks": how many the point has, "document": the point's but for its disks, "disk":
this snapshot's}``. So a point may have any number of disks. Where other tags leave no room, a record goes without the tags of
what was backed up, or holds no more of the instance than its name: its volumes can be restored from every record.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from server.domain.errors import AwsLimit, AwsNotFound, Misconfigured
from server.domain.workload import Place
from server.ports import Aws, MarkedPoint, MarkedSnapshot, PointMark, Sealing
from server.workloads.ec2 import records, tags
from server.workloads.ec2.records import Json

VERSION: Final = 1
ASKED_AT_ONCE: Final = 200  # values a filter of EC2 may have
_NUMBERS: Final = frozenset(str(number) for number in range(1, tags.TAGS_MAX))
_LEFT: Final = frozenset({"instanceId", "name", "rootDeviceName"})  # of an instance, in the smallest record


# ---- writing ----------------------------------------------------------------------------------------------------------


def put(aws: Aws, place: Place, document: Mapping[str, Any], mark: PointMark, sealing: Sealing) -> None:
    """Errors: AwsLimit when people's own tags leave no room for the smallest record, and those of AWS."""
    present = {s["SnapshotId"]: tags.from_aws(s.get("Tags")) for s in _described(aws, place, _ids(document))}
    for disk in document["volumes"]:
        held = present.get(disk["snapshotId"], {})
        if held.get(tags.POINT) != str(mark.point_id) or _sealed(held) is None:
            fitting = _tags(document, disk, mark, sealing, held)
            aws.call(place, "ec2", "create_tags", Resources=[disk["snapshotId"]], Tags=tags.to_aws(fitting))


def _tags(document: Mapping[str, Any], disk: Json, mark: PointMark, sealing: Sealing, held: Mapping[str, str]) -> Json:
    """With the largest record there is room for."""
    own = {tags.POINT: str(mark.point_id), tags.APPLIANCE: str(mark.appliance_id)}
    for record in _records(document, disk, mark):
        packed = zlib.compress(json.dumps(record, separators=(",", ":")).encode(), 9)
        sealed = sealing.seal(packed, place=_sealed_for(mark.point_id, disk["snapshotId"]))
        wanted = own | _pieces(sealed)
        if len(held.keys() | wanted.keys()) <= tags.TAGS_MAX:
            return wanted
    raise AwsLimit(
        f"The snapshot {disk['snapshotId']} has {len(held)} tags, which leaves too few of {tags.TAGS_MAX} for Holdfast's own.",
        operation="ec2:CreateTags",
        aws_code="TagLimitExceeded",
        remedy="Remove some, or what puts them there.",
    )


def _records(document: Mapping[str, Any], disk: Json, mark: PointMark) -> Iterator[Json]:
    """Ever smaller."""
    head = {"v": VERSION, "told": mark.told, "disks": len(document["volumes"])}
    rest = {key: value for key, value in document.items() if key != "volumes"}
    own = {key: value for key, value in disk.items() if key != "snapshotId"}
    yield {**head, "document": rest, "disk": own}
    own["tags"] = {}
    yield {**head, "document": {**rest, "instance": {**rest["instance"], "tags": {}}}, "disk": own}
    little = {key: value for key, value in rest["instance"].items() if key in _LEFT}
    yield {**head, "document": {"instance": {**little, "tags": {}}}, "disk": own}


def _pieces(sealed: bytes) -> dict[str, str]:
    text = base64.urlsafe_b64encode(sealed).decode()
    size = tags.VALUE_MAX - 4  # room for the number before the first
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    parts[0] = f"{len(parts)}.{parts[0]}"
    return {f"{tags.RECORD}{number}": part for number, part in enumerate(parts, start=1)}


def _sealed_for(point_id: UUID, snapshot_id: str) -> str:
    return f"ec2/{point_id}/{snapshot_id}"


# ---- reading ----------------------------------------------------------------------------------------------------------


def listed(aws: Aws, place: Place) -> Iterator[MarkedSnapshot]:
    """Page by page; only ids are kept of each."""
    ours = [{"Name": "tag-key", "Values": [tags.POINT]}]
    for page in aws.pages(place, "ec2", "describe_snapshots", OwnerIds=["self"], Filters=ours, MaxResults=records.PAGE):
        for found in page["Snapshots"]:
            held = tags.from_aws(found.get("Tags"))
            point_id = _uuid(held.get(tags.POINT))
            if point_id is not None:
                yield MarkedSnapshot(
                    snapshot_id=found["SnapshotId"],
                    point_id=point_id,
                    appliance_id=_uuid(held.get(tags.APPLIANCE)),
                    token=held.get(tags.TASK, ""),
                )


def read(aws: Aws, place: Place, snapshot_ids: Sequence[str], sealing: Sealing) -> list[MarkedPoint]:
    found: dict[UUID, list[Json | None]] = {}
    foreign: set[UUID] = set()
    for snapshot in _described(aws, place, snapshot_ids):
        held = tags.from_aws(snapshot.get("Tags"))
        point_id = _uuid(held.get(tags.POINT))
        if point_id is None:
            continue
        try:
            record = _record(held, point_id, snapshot, sealing)
        except Misconfigured:
            foreign.add(point_id)
            record = None
        found.setdefault(point_id, []).append(record)
    return [_point(point_id, parts, foreign=point_id in foreign) for point_id, parts in found.items()]


def _record(held: Mapping[str, str], point_id: UUID, snapshot: Json, sealing: Sealing) -> Json | None:
    """None: not completed, or its tags are not all there. Errors: Misconfigured when it does not open."""
    sealed = _sealed(held)
    if snapshot["State"] != "completed" or sealed is None:
        return None
    packed = sealing.open(sealed, place=_sealed_for(point_id, snapshot["SnapshotId"]))
    record: Json = json.loads(zlib.decompress(packed))
    if record["v"] != VERSION:
        return None
    record["disk"]["snapshotId"] = snapshot["SnapshotId"]
    return record


def _sealed(held: Mapping[str, str]) -> bytes | None:
    """The pieces put together, None if any is missing."""
    number, _, first = held.get(f"{tags.RECORD}1", "").partition(".")
    if number not in _NUMBERS:
        return None
    names = [f"{tags.RECORD}{each}" for each in range(2, int(number) + 1)]
    if not held.keys() >= set(names):
        return None
    try:
        return base64.urlsafe_b64decode(first + "".join(held[name] for name in names))
    except binascii.Error:
        return None


def _point(point_id: UUID, parts: Sequence[Json | None], *, foreign: bool) -> MarkedPoint:
    if foreign:
        return MarkedPoint(point_id=point_id, state="foreign")
    sound = [part for part in parts if part is not None]
    disks = {part["disk"]["volumeId"]: part["disk"] for part in sound}
    if len(sound) < len(parts) or len(disks) < sound[0]["disks"]:
        return MarkedPoint(point_id=point_id, state="partial")
    most = max(sound, key=lambda part: len(part["document"]["instance"]))  # the smallest records say less of the instance
    document = {**most["document"], "volumes": records.by_device(disks.values())}
    return MarkedPoint(point_id=point_id, state="whole", told=most["told"], document=document)


def missing(aws: Aws, place: Place, snapshot_ids: Collection[str]) -> set[str]:
    left = set(snapshot_ids) - {s["SnapshotId"] for s in _described(aws, place, sorted(snapshot_ids))}
    return {snapshot_id for snapshot_id in sorted(left) if _denied(aws, place, snapshot_id)}


def _denied(aws: Aws, place: Place, snapshot_id: str) -> bool:
    try:
        aws.call(place, "ec2", "describe_snapshots", SnapshotIds=[snapshot_id])
    except AwsNotFound:
        return True
    return False


def _described(aws: Aws, place: Place, ids: Sequence[str]) -> Iterator[Json]:
    for at in range(0, len(ids), ASKED_AT_ONCE):
        some = [{"Name": "snapshot-id", "Values": list(ids[at : at + ASKED_AT_ONCE])}]
        for page in aws.pages(place, "ec2", "describe_snapshots", OwnerIds=["self"], Filters=some, MaxResults=records.PAGE):
            yield from page["Snapshots"]


def _ids(document: Mapping[str, Any]) -> list[str]:
    return [disk["snapshotId"] for disk in document["volumes"]]


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
