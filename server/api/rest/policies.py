"""``/virtualMachines/policies``: EC2 policies."""

from __future__ import annotations

from typing import Any

from server.api.rest import schedules
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


def ask_list(call: Call) -> dict[str, Any]:
    status = choices(call, "LastPolicySessionStatus", tuple(STATES))
    usn = whole(call, "Usn", 0, 0)
    filter = {
        "workload": "ec2",
        "kind": "SCHEDULE",
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
    shown: dict[str, Any] = {
        "id": id,
        "name": node["name"],
        "description": node["description"],
        "priority": node["priority"],
        "isEnabled": node["enabled"],
        "regionIds": [region(name)["id"] for name in scope["regions"]],
        "backupType": "AllItems" if scope["mode"] == "ALL" else "SelectedItems",
        "selectedItems": _items(scope["resources"], scope["tags"]),
        "excludedItems": _items(scope["excludedResources"], scope["excludedTags"]) | _excluded_volumes(call, scope),
        "snapshotSettings": _snapshots(call, node),
        "scheduleSettings": schedules.show(call, node["schedule"]),
        "retrySettings": {"retryTimes": node["retryAttempts"]},
        "lastPolicySessionStatus": STATUS[last["state"]] if last else "NeverExecuted",
        "usn": node["revision"],
        "_links": [link(call, "self", f"/virtualMachines/policies/{id}")],
    }
    if node["replicas"]:
        shown["replicaSettings"] = _replicas(call, node)
    if node["notifications"] is not None:
        shown["policyNotificationSettings"] = _mail(call, node["notifications"])
    for name, key in (("repository", "backupSettings"), ("archiveRepository", "archiveSettings")):
        if node[name] is not None:
            shown[key] = {"targetRepositoryId": plain_id(node[name]["id"])}
    return shown | _identity(call, account, scope["account"])


def _snapshots(call: Call, node: dict[str, Any]) -> dict[str, Any]:
    guest = node["guest"]
    shown = {
        "additionalTags": node["tags"],
        "copyTagsFromVolumeEnabled": node["copyTags"],
        "tryCreateVSSSnapshot": guest["applicationAware"],
    }
    if call.at_least(2):
        shown["snapshotScripts"] = {"windowsScript": _scripts(guest["windows"]), "linuxScript": _scripts(guest["linux"])}
    return shown


def _scripts(found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        return {"enabled": False}
    shown = {
        "enabled": True,
        "runOnlyForBackupSnapshots": found["onlyForBackups"],
        "ignoreMissingScripts": found["ignoreMissing"],
        "ignoreScriptErrors": found["ignoreExitCodes"],
    }
    for moment in ("pre", "post"):
        script = found[moment]
        if script is not None:
            shown |= {f"{moment}SnapshotScript": script["path"], f"{moment}SnapshotArguments": script["arguments"]}
    return shown


def _replicas(call: Call, node: dict[str, Any]) -> dict[str, Any]:
    """A row per source Region: a target without Regions stands for those no other one names."""
    named = {name for target in node["replicas"] for name in target["regions"]}
    others = [name for name in node["scope"]["regions"] if name not in named]
    rows = [_replica(call, name, one) for one in node["replicas"] for name in one["regions"] or others]
    return {"mapping": rows, "additionalTags": node["tags"], "copyTagsFromVolumeEnabled": node["copyTags"]}


def _replica(call: Call, source: str, target: dict[str, Any]) -> dict[str, Any]:
    account = None if target["account"] is None else plain_id(target["account"]["id"])
    shown = {
        "sourceRegionId": region(source)["id"],
        "targetRegionId": region(target["region"])["id"],
        "targetIAMRoleId" if call.at_least(2) else "targetAmazonAccountId": account,
    }
    if target["encrypt"]:
        shown["encryptionKey"] = target["kmsKey"]
    if call.at_least(2):
        shown["encryptOnlyEncryptedVolumes"] = target["keyUsage"] == "ENCRYPTED"
    return shown


def _excluded_volumes(call: Call, scope: dict[str, Any]) -> dict[str, Any]:
    if not call.at_least(2):
        return {}
    found = scope["excludedVolumes"]
    items = [{"id": id, "type": "Volume"} for id in found["volumeIds"]]
    items += [{"id": _tag_id(one), "type": "Tag"} for one in found["tags"]]
    return {"excludedVolumes": {"excludeSystemVolumes": found["system"], "excludedItems": items}}


def _mail(call: Call, found: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "email" if call.at_least(8) else "recipient": ";".join(found["recipients"]),
        "notifyOnSuccess": found["onSuccess"],
        "notifyOnWarning": found["onWarning"],
        "notifyOnFailure": found["onFailure"],
    }
    if call.at_least(8):
        shown["suppressNotificationUntilLastRetry"] = found["lastAttemptOnly"]
    return shown


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
        "tagIds": [_tag_id(one) for one in tags],
    }


def _tag_id(tag: dict[str, Any]) -> str:
    return derived_id("tag", f"{tag['key']}={tag['value'] or ''}")
