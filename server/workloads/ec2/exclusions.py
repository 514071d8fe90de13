"""Which volumes of an instance a point leaves out."""

from __future__ import annotations

from typing import Any, Final

from server.domain.errors import AwsRejected, LegImpossible
from server.domain.scope import VolumeExclusions, matches
from server.ports import SourceDisk
from server.workloads.ec2.records import GIB, Json

NAMED_MAX: Final = 40  # data volumes CreateSnapshots can leave out


def left_out(document: Json, excluded: VolumeExclusions) -> frozenset[str]:
    """Ids of the excluded volumes. Errors: LegImpossible when no volume is left."""
    out = frozenset(v["volumeId"] for v in document["volumes"] if _excluded(document, v, excluded))
    if len(out) == len(document["volumes"]):
        name = document["instance"]["name"]
        raise LegImpossible(
            f"The policy excludes every volume of {name}, so there is nothing to snapshot.",
            remedy=f"Exclude {name} from the policy, or include one of its volumes.",
        )
    return out


def remaining(document: Json, excluded: VolumeExclusions) -> tuple[SourceDisk, ...]:
    """The volumes that are not excluded; none is no error here."""
    return tuple(
        SourceDisk(
            disk_id=volume["volumeId"],
            size_bytes=(volume.get("sizeGib") or 0) * GIB,  # inventories of older versions know less
            encrypted=bool(volume.get("encrypted")),
            kms_key=volume.get("kmsKeyId"),
        )
        for volume in document.get("volumes") or ()
        if not _excluded(document, volume, excluded)
    )


def specification(document: Json, out: frozenset[str]) -> dict[str, Any]:
    """CreateSnapshots' ``InstanceSpecification``. Errors: AwsRejected for more exclusions than AWS takes."""
    volumes = [v for v in document["volumes"] if v["volumeId"] in out]
    data = sorted(v["volumeId"] for v in volumes if not is_root(document, v))
    if len(data) > NAMED_MAX:
        name = document["instance"]["name"]
        raise AwsRejected(
            f"The policy excludes {len(data)} data volumes of {name}; AWS can leave out at most {NAMED_MAX} at once.",
            operation="ec2:CreateSnapshots",
            aws_code="TooManyExclusions",
            remedy="Exclude fewer volumes.",
        )
    wanted = {"InstanceId": document["instance"]["instanceId"], "ExcludeBootVolume": len(data) < len(volumes)}
    return {**wanted, "ExcludeDataVolumeIds": data} if data else wanted


def is_root(document: Json, volume: Json) -> bool:
    return bool(volume["device"] and volume["device"] == document["instance"]["rootDeviceName"])


def _excluded(document: Json, volume: Json, excluded: VolumeExclusions) -> bool:
    return (
        (excluded.system and is_root(document, volume))
        or volume["volumeId"] in excluded.volume_ids
        or any(matches(tag, volume["tags"]) for tag in excluded.tags)
    )
