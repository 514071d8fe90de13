"""Commands on their way: what state one is in follows from when it was sent and how long it takes.

Waiting goes by real time, as everything in the account that takes time; the dates shown are the account's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from server.demo import clock
from server.demo.ssm.guests import Result

DELIVERED: Final = 0.2  # of the time a command takes has passed when the agent has it
RUNNING: Final = ("Pending", "InProgress", "Delayed", "Cancelling")
OUTPUT_MAX: Final = 24_000  # characters kept of a command's output
ERROR_MAX: Final = 8_000


@dataclass(slots=True, kw_only=True)
class Invocation:
    """A command in one guest. ``seconds``: of its whole way, unless ``result`` says how long it runs. Times are real ones."""

    instance_id: str
    instance_name: str
    sent_at: float
    seconds: float
    delivery_limit: float
    execution_limit: float
    online: bool
    result: Result
    cancelled_at: float | None = None

    @property
    def started_at(self) -> float:
        return self.sent_at + self.seconds * DELIVERED

    @property
    def _ran_for(self) -> float:
        return self.seconds * (1 - DELIVERED) if self.result.seconds is None else self.result.seconds

    @property
    def ended_at(self) -> float:
        if not self.online:
            return self.sent_at + self.delivery_limit
        return self.started_at + min(self._ran_for, self.execution_limit)

    def visible(self) -> bool:
        """AWS does not know an invocation yet in the moment after it is sent."""
        return time.time() >= self.sent_at + self.seconds * DELIVERED / 2

    def status(self) -> tuple[str, str]:
        """Status and StatusDetails."""
        now = time.time()
        if self.cancelled_at is not None and self.cancelled_at < self.ended_at:
            settled = now >= self.cancelled_at + self.seconds * DELIVERED
            return ("Cancelled", "Cancelled") if settled else ("Cancelling", "Cancelling")
        if now < self.ended_at:
            return ("InProgress", "InProgress") if self.online and now >= self.started_at else ("Pending", "Pending")
        if not self.online:
            return "TimedOut", "DeliveryTimedOut"
        if self._ran_for > self.execution_limit:
            return "TimedOut", "ExecutionTimedOut"
        return ("Failed", "Failed") if self.result.exit_code else ("Success", "Success")

    def outcome(self) -> Result:
        """What can be seen of the result now: nothing but -1 until it has ended by itself."""
        status, details = self.status()
        if status in ("Success", "Failed"):
            return self.result
        if details == "ExecutionTimedOut":
            return Result(137, self.result.output)
        return Result(-1)


@dataclass(slots=True, kw_only=True)
class Command:
    command_id: str
    document: str
    comment: str
    parameters: dict[str, list[str]]
    targets: list[dict[str, Any]]
    timeout_seconds: int
    invocations: dict[str, Invocation]
    requested: float = field(default_factory=clock.now)  # by the account's clock

    @property
    def requested_at(self) -> datetime:
        return datetime.fromtimestamp(self.requested, UTC)

    def shown(self, real: float) -> datetime:
        """The account's date of a real moment of this command."""
        first = min(each.sent_at for each in self.invocations.values())
        return self.requested_at + timedelta(seconds=max(0.0, real - first))

    def status(self) -> tuple[str, str]:
        found = [each.status() for each in self.invocations.values()]
        states = {status for status, _ in found}
        for status in ("Cancelling", "InProgress", "Pending"):
            if status in states:
                return status, status
        return next((each for name in ("Failed", "TimedOut", "Cancelled") for each in found if each[0] == name), found[0])

    def as_command(self) -> dict[str, Any]:
        """The API's Command."""
        status, details = self.status()
        states = [each.status()[0] for each in self.invocations.values()]
        return {
            "CommandId": self.command_id,
            "DocumentName": self.document,
            "DocumentVersion": "$DEFAULT",
            "Comment": self.comment,
            "Parameters": self.parameters,
            "InstanceIds": list(self.invocations),
            "Targets": self.targets,
            "RequestedDateTime": self.requested_at,
            "ExpiresAfter": self.requested_at + timedelta(seconds=self.timeout_seconds),
            "TimeoutSeconds": self.timeout_seconds,
            "Status": status,
            "StatusDetails": details,
            "TargetCount": len(states),
            "CompletedCount": sum(1 for state in states if state not in RUNNING),
            "ErrorCount": states.count("Failed"),
            "DeliveryTimedOutCount": sum(1 for each in self.invocations.values() if each.status()[1] == "DeliveryTimedOut"),
            "MaxConcurrency": "50",
            "MaxErrors": "0",
        }

    def as_invocation(self, each: Invocation, *, details: bool) -> dict[str, Any]:
        """The API's CommandInvocation."""
        status, status_details = each.status()
        plugin = {
            "Name": plugin_of(self.document),
            "Status": status,
            "StatusDetails": status_details,
            "ResponseCode": each.outcome().exit_code,
            "Output": each.outcome().output[:2_500],
        }
        return {
            "CommandId": self.command_id,
            "InstanceId": each.instance_id,
            "InstanceName": each.instance_name,
            "Comment": self.comment,
            "DocumentName": self.document,
            "DocumentVersion": "$DEFAULT",
            "RequestedDateTime": self.requested_at,
            "Status": status,
            "StatusDetails": status_details,
            "CommandPlugins": [plugin] if details else [],
        }

    def as_details(self, each: Invocation) -> dict[str, Any]:
        """The answer of GetCommandInvocation."""
        status, details = each.status()
        outcome = each.outcome()
        begun, over = status != "Pending" and details != "DeliveryTimedOut", status not in RUNNING
        return {
            "CommandId": self.command_id,
            "InstanceId": each.instance_id,
            "Comment": self.comment,
            "DocumentName": self.document,
            "DocumentVersion": "$DEFAULT",
            "PluginName": plugin_of(self.document),
            "ResponseCode": outcome.exit_code,
            "ExecutionStartDateTime": _moment(self.shown(each.started_at)) if begun else "",
            "ExecutionEndDateTime": _moment(self.shown(each.ended_at)) if begun and over else "",
            "ExecutionElapsedTime": f"PT{max(0.0, each.ended_at - each.started_at):.3f}S" if begun and over else "",
            "Status": status,
            "StatusDetails": details,
            "StandardOutputContent": outcome.output[:OUTPUT_MAX],
            "StandardErrorContent": outcome.error[:ERROR_MAX],
            "StandardOutputUrl": "",
            "StandardErrorUrl": "",
        }


def plugin_of(document: str) -> str:
    names = {"AWS-RunShellScript": "aws:runShellScript", "AWS-RunPowerShellScript": "aws:runPowerShellScript"}
    return names.get(document, "CreateVssSnapshot")


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
