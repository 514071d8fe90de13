"""An instance as Systems Manager sees it, for tests with a scripted AWS: its agent, the commands sent to it, how they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from server.adapters.aws_scripted import ScriptedAws
from server.adapters.clock import FakeClock
from server.domain.errors import AwsNotFound, Unavailable

Answer = dict[str, Any]


@dataclass
class Command:
    id: str
    comment: str
    document: str
    parameters: dict[str, list[str]]
    sent_at: str
    polls: int = 0
    cancelled: bool = False


@dataclass
class Managed:
    """``ends``: how a command ends after ``polls`` looks. ``runs``: what it does in the guest."""

    clock: FakeClock
    ping: str | None = "Online"  # None: not managed
    ends: Answer = field(default_factory=lambda: {"Status": "Success", "ResponseCode": 0})
    polls: int = 2
    runs: Callable[[Command], None] = lambda _: None
    lose_answers: int = 0
    refuse_first: int = 0  # so many sends fail before anything is sent
    commands: list[Command] = field(default_factory=list)

    def into(self, aws: ScriptedAws) -> None:
        aws.answers |= {
            ("ssm", "describe_instance_information"): self._information,
            ("ssm", "send_command"): self._send,
            ("ssm", "list_commands"): self._list,
            ("ssm", "get_command_invocation"): self._invocation,
            ("ssm", "cancel_command"): self._cancel,
        }

    def _information(self, params: Answer) -> Answer:
        if self.ping is None:
            return {"InstanceInformationList": []}
        return {"InstanceInformationList": [{"InstanceId": "i-1", "PingStatus": self.ping, "PlatformType": "Linux"}]}

    def _send(self, params: Answer) -> Answer:
        if self.refuse_first:
            self.refuse_first -= 1
            raise Unavailable("the connection was lost")
        number = str(UUID(int=len(self.commands)))
        made = Command(
            number, params["Comment"], params["DocumentName"], params["Parameters"], self.clock.now().strftime("%FT%TZ")
        )
        self.commands.append(made)
        self.runs(made)
        if self.lose_answers:
            self.lose_answers -= 1
            raise Unavailable("the connection was lost")
        return {"Command": {"CommandId": number}}

    def _list(self, params: Answer) -> Answer:
        since = next((f["value"] for f in params["Filters"] if f["key"] == "InvokedAfter"), "")
        status = next((f["value"] for f in params["Filters"] if f["key"] == "Status"), None)
        found = [
            {"CommandId": c.id, "Comment": c.comment, "RequestedDateTime": c.sent_at}
            for c in self.commands
            if c.sent_at >= since and (status is None or status == self._state(c)["Status"])
        ]
        return {"Commands": found}

    def _invocation(self, params: Answer) -> Answer:
        command = next((c for c in self.commands if c.id == params["CommandId"]), None)
        if command is None:
            raise AwsNotFound("There is no such invocation.", aws_code="InvocationDoesNotExist")
        command.polls += 1
        return self._state(command)

    def _state(self, command: Command) -> Answer:
        if command.cancelled:
            return {"Status": "Cancelled"}
        return {"Status": "InProgress"} if command.polls <= self.polls else self.ends

    def _cancel(self, params: Answer) -> Answer:
        next(c for c in self.commands if c.id == params["CommandId"]).cancelled = True
        return {}
