"""``/sessions``: the schema's sessions under the names REST clients know."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from server.api.rest.shim import (
    Call,
    Sorting,
    choices,
    id_parameter,
    link,
    moment,
    one,
    plain_id,
    sorting,
    time,
    whole,
    without_nulls,
)

STATUS = {
    "PENDING": "Running",
    "RUNNING": "Running",
    "SUCCESS": "Succeeded",
    "WARNING": "Warning",
    "ERROR": "Failed",
    "CANCELLED": "Canceled",
}
RESULT = {**STATUS, "SUCCESS": "Success", "CANCELLED": "Cancelled"}
STATES = {
    "Running": ["PENDING", "RUNNING"],
    "NeverExecuted": [],
    "Succeeded": ["SUCCESS"],
    "Warning": ["WARNING"],
    "Failed": ["ERROR"],
    "Canceled": ["CANCELLED"],
}
TYPE = {
    "POLICY_RUN": "Policy",
    "RESCAN": "Task",
    "VOLUME_RESTORE": "RestoreTask",
    "INSTANCE_RESTORE": "RestoreTask",
    "DELETE_POINTS": "Task",
    "REPOSITORY_MAINTENANCE": "Task",
    "HEALTH_CHECK": "Task",
    "REPOSITORY_CHECK": "Task",
    "REPOSITORY_RESCAN": "Task",
    "VERIFICATION": "Task",
    "ARCHIVE": "Task",
    "RETRIEVAL": "ArchiveRetrieval",
}
TYPES = (
    *("Policy", "Job", "Task", "UserPolicy", "RetentionActivity", "RestoreTask", "FLRTask", "SelfBackupActivity"),
    *("ConfigurationBackupActivity", "ImportPolicy", "TombstoneRetention", "ArchiveRetrieval"),
    *("ArchiveRetrievalProlongation", "ManualTask", "FlrEfsTask"),
)
SORT = {"startTime": "CREATED_AT", "stopTime": "ENDED_AT", "type": "KIND", "reason": "REASON", "usn": "LAST_EVENT"}
LOG_STATUS = {"INFO": "Success", "SUCCESS": "Success", "WARNING": "Warning", "ERROR": "Error"}


def ask_list(call: Call) -> dict[str, Any]:
    status = choices(call, "Status", tuple(STATES))
    types = choices(call, "Types", TYPES)
    usn = whole(call, "Usn", 0, 0)
    vm = id_parameter(call, "VmId", "Resource")
    filter = {
        "state": None if status is None else [state for value in status for state in STATES[value]],
        "kind": None if types is None else [kind for kind, value in TYPE.items() if value in types],
        "policyId": id_parameter(call, "PolicyId", "Policy"),
        "resourceId": vm,
        "search": one(call, "SearchPattern"),
        "from": moment(call, "FromUtc"),
        "to": moment(call, "ToUtc"),
        "lastEventAfter": usn or None,
    }
    return {"filter": without_nulls(filter)}


def sort_list(call: Call) -> Sorting:
    found = sorting(call, SORT, local=("duration",))
    if found.local:
        names = {"startTime": "executionStartTime", "stopTime": "executionStopTime", "duration": "executionDuration"}
        return Sorting([], tuple((names.get(name, name), down) for name, down in found.local))
    return found


def show(call: Call, node: dict[str, Any]) -> dict[str, Any]:
    id = plain_id(node["id"])
    began, ended = node["startedAt"] or node["createdAt"], node["endedAt"]
    shown = {
        "id": id,
        "type": TYPE[node["kind"]],
        "executionStartTime": time(call, began),
        "executionStopTime": time(call, ended),
        "executionDuration": milliseconds(began, ended),
        "status": STATUS[node["state"]],
        "result": RESULT[node["state"]],
        "reason": node["reason"],
        "usn": node["lastEvent"],
        "_links": [link(call, "self", f"/sessions/{id}"), link(call, "SessionLogs", f"/sessions/{id}/log")],
    }
    if call.at_least(2):
        shown["name"] = node["name"]
        shown["extendedSessionType"] = _extended(node)
    return without_nulls(shown)


def _extended(node: dict[str, Any]) -> str:
    if node["kind"] != "POLICY_RUN":
        return TYPE[node["kind"]]
    policy = node["policy"] or {}
    return "PolicyBackup" if policy.get("repository") else "PolicySnapshot"


def milliseconds(began: str | None, ended: str | None) -> int | None:
    if began is None or ended is None:
        return None
    length = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return round(length.total_seconds() * 1000)


def show_line(call: Call, line: dict[str, Any]) -> dict[str, Any]:
    return {
        "logTime": time(call, line["at"]),
        "status": LOG_STATUS[line["level"]],
        "message": line["message"],
        "executionStartTime": time(call, line["at"]),
        "executionDuration": 0,
    }
