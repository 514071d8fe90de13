"""``/virtualMachines/policies``: EC2 policies."""

from __future__ import annotations

from typing import Any

from server.api.rest.machines import region
from server.api.rest.sessions import STATES, STATUS
from server.api.rest.shim import (
    Call,
    Sorting,
    choices,
    derived_id,
    flag,
    id_parameter,
    link,
    one,
    plain_id,
    sorting,
    whole,
    without_nulls,
)

SORT = {"priority": "PRIORITY", "name": "NAME", "usn": "REVISION"}
WORK_DAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]
OFF = {"weeklyScheduleEnabled": False, "monthlyScheduleEnabled": False, "yearlyScheduleEnabled": False}


def ask_list(call: Call) -> dict[str, Any]:
    status = choices(call, "LastPolicySessionStatus", tuple(STATES))
    usn = whole(call, "Usn", 0, 0)
    filter = {
        "workload": "ec2",
        "search": one(call, "SearchPattern"),
        "enabled": flag(call, "IsEnabled"),
        "resourceId": id_parameter(call, "VirtualMachineId", "Resource"),
        "repositoryId": id_parameter(call, "RepositoryId", "Repository"),
        "lastState": None if status is None else [state for value in status for state in STATES[value]],
        "neverRun": None if status is None else "NeverExecuted" in status,
        "revisionAfter": usn or None,
    }
    return {"filter": without_nulls(filter)}


def sort_list(call: Call) -> Sorting:
    return sorting(call, SORT)


def show(call: Call, node: dict[str, Any]) -> dict[str, Any]:
    id, scope, last = plain_id(node["id"]), node["scope"], node["lastSession"]
    account = plain_id(scope["account"]["id"])
    repository = node["repository"]
    shown: dict[str, Any] = {
        "id": id,
        "name": node["name"],
        "description": node["description"],
        "priority": node["priority"],
        "isEnabled": node["enabled"],
        "regionIds": [region(name)["id"] for name in scope["regions"]],
        "backupType": "AllItems" if scope["mode"] == "ALL" else "SelectedItems",
        "selectedItems": _items(scope["resources"], scope["tags"]),
        "excludedItems": _items(scope["excludedResources"], scope["excludedTags"]),
        "snapshotSettings": {
            "additionalTags": [],
            "copyTagsFromVolumeEnabled": node["copyTags"],
            "tryCreateVSSSnapshot": False,
        },
        "scheduleSettings": _schedule(call, node),
        "retrySettings": {"retryTimes": node["retryAttempts"]},
        "lastPolicySessionStatus": STATUS[last["state"]] if last else "NeverExecuted",
        "usn": node["revision"],
        "_links": [link(call, "self", f"/virtualMachines/policies/{id}")],
    }
    if repository is not None:
        shown["backupSettings"] = {"targetRepositoryId": plain_id(repository["id"])}
    return shown | _identity(call, account, scope["account"])


def _snapshots(node: dict[str, Any]) -> dict[str, Any]:
    return {"additionalTags": [], "copyTagsFromVolumeEnabled": node["copyTags"], "tryCreateVSSSnapshot": False}


def _identity(call: Call, id: str, account: dict[str, Any]) -> dict[str, Any]:
    """The account a policy works in: its name changed from revision to revision."""
    if not call.at_least(2):
        return {"amazonAccountId": id}
    if not call.at_least(7):
        return {"IAMRoleId": id}
    identity = {
        "id": id,
        "type": "IAMRole",
        "awsId": account["awsAccountId"],
        "name": account["name"],
        "regionType": "Global",
    }
    return {"identityId": id, "identity": identity}


def _items(resources: list[dict[str, Any]], tags: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "virtualMachineIds": [plain_id(one["id"]) for one in resources],
        "tagIds": [derived_id("tag", f"{one['key']}={one['value'] or ''}") for one in tags],
    }


def _schedule(call: Call, node: dict[str, Any]) -> dict[str, Any]:
    plan = node["schedule"]
    if plan is None:
        return {"dailyScheduleEnabled": False, **OFF}
    days = plan["days"]
    kind = "Everyday" if len(days) == 7 else "WeekDays" if days == WORK_DAYS else "SelectedDays"
    retention = node["retention"]
    daily: dict[str, Any] = {
        "kind": kind,
        "runsPerHour": 1,
        "days": [day.capitalize() for day in days],
        "snapshotOptions": {
            "retention": {"count": retention["snapshots"]},
            "schedule": {"hours": hours(call, plan["snapshotHours"])},
        },
    }
    if plan["backupHours"]:
        daily["backupOptions"] = {
            "retention": {"type": "Days", "count": retention["backupDays"]},
            "schedule": {"hours": hours(call, plan["backupHours"])},
        }
    return {"dailyScheduleEnabled": True, "dailySchedule": daily, **OFF}


def hours(call: Call, chosen: list[int]) -> list[int] | list[bool]:
    """Hour numbers; before 1.2 an array of 24 booleans."""
    return chosen if call.at_least(2) else [hour in chosen for hour in range(24)]
