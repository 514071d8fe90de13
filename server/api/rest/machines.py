"""``/virtualMachines``: EC2 instances."""

from __future__ import annotations

from typing import Any

from server.api.rest.shim import Call, Sorting, choices, derived_id, link, one, plain_id, sorting, without_nulls

GIB = 1024**3
SORT = {"name": "NAME", "location": "REGION"}
PLACES = {"SNAPSHOT": "Snapshot", "BACKUP": "AwsBlob"}
TYPES = {"SNAPSHOT": "Snapshot", "REPLICA": "Replica", "BACKUP": "Backup", "ARCHIVE": "Archive"}


def ask_list(call: Call) -> dict[str, Any]:
    filter = {
        "workload": "ec2",
        "search": one(call, "SearchPattern"),
        "protection": _protection(call),
        "legs": _legs(call),
        "backedUp": _backed_up(call),
        "awsAccountId": one(call, "ResourceAwsAccountId"),
        "region": one(call, "RegionId"),
    }
    return {"filter": without_nulls(filter)}


def _protection(call: Call) -> str | None:
    asked = {
        value
        for name in ("ProtectionStatus", "ProtectedByPolicy")
        for value in choices(call, name, ("Protected", "Unprotected")) or ()
    }
    return asked.pop().upper() if len(asked) == 1 else None


def _legs(call: Call) -> list[str] | None:
    """1.0 spells the parameter ``BuckupDestination``; later revisions filter by ``BackupType``."""
    places = choices(call, "BuckupDestination", ("Snapshot", "AwsBlob", "ManualSnapshot"))
    types = choices(call, "BackupType", tuple(TYPES.values()))
    if places is None and types is None:
        return None
    by_place = [leg for leg, name in PLACES.items() if name in (places or ())]
    return by_place + [leg for leg, name in TYPES.items() if name in (types or ())]


def _backed_up(call: Call) -> bool | None:
    state = choices(call, "BackupState", ("OnlyBackedUp", "OnlyNotBackedUp", "All", "Protected", "Unprotected"))
    if state is None or state[0] == "All":
        return None
    return state[0] in ("OnlyBackedUp", "Protected")


def sort_list(call: Call) -> Sorting:
    return sorting(call, SORT)


def region(name: str, title: str | None = None) -> dict[str, str]:
    return {"id": derived_id("region", name), "name": title or name}


def show(call: Call, node: dict[str, Any]) -> dict[str, Any]:
    id = plain_id(node["id"])
    protected = node["protection"]["state"] == "PROTECTED"
    status = "Protected" if protected else "Unprotected"
    details = node["details"] or {}
    zone = details.get("zone")
    shown: dict[str, Any] = {
        "id": id,
        "name": node["name"],
        "awsResourceId": node["awsId"],
        "protectionStatus": status,
        "backupDestinations": [PLACES[leg] for leg in node["legs"] if leg in PLACES],
        "location": {"id": derived_id("zone", zone), "name": zone} if zone else region(node["region"]),
        "isDeleted": not node["present"],
        "_links": [link(call, "self", f"/virtualMachines/{id}")],
    }
    if call.at_least(2):
        shown |= {
            "instanceSizeGigabytes": -(-int(node["sizeBytes"]) // GIB),
            "instanceType": details.get("instanceType", ""),
            "instanceDnsName": details.get("dnsName", ""),
            "policiesCount": int(protected),  # one policy processes an instance
            "backupState": "Protected" if node["legs"] else "Unprotected",
            "backupTypes": [TYPES[leg] for leg in node["legs"]],
            "region": region(node["region"]),
        }
    if call.at_least(6):
        shown["resourceAwsAccountId"] = node["account"]["awsAccountId"]
    return shown
