"""A command in a guest through SSM Run Command, sent once, watched to its end.

SendCommand knows no client token: the command's comment is its mark, by which one that was sent is found again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from server.domain.errors import AwsAccessDenied, AwsNotFound, AwsRejected, Throttled, Unavailable
from server.domain.workload import Place
from server.ports import Aws, Clock, Step
from server.workloads.ec2 import intent
from server.workloads.ec2.intent import Json, Standing

DELIVERY: Final = 60  # seconds until the guest's agent must have taken the command
GRACE: Final = 60.0  # seconds SSM may take beyond all its limits to say how it ended
APPEARS: Final = 30.0  # seconds until a command that was sent can be asked about
LOOK: Final = 2.0  # seconds between looks, growing to
LOOK_LONGEST: Final = 10.0
SKEW: Final = timedelta(hours=1)  # how far clocks may be apart
TEXT_MAX: Final = 300  # characters of a guest's own words that are kept
PAGE: Final = 50
RUNNING: Final = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """``mark``: at most 100 characters, unique. ``seconds``: how long it may run in the guest."""

    place: Place
    instance_id: str
    document: str
    parameters: Mapping[str, Sequence[str]]
    mark: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """``status`` as SSM says it: Success, Failed, TimedOut, Cancelled. ``why``: a sentence, "" for Success."""

    status: str
    why: str = ""
    exit_code: int | None = None
    output: str = ""


def mark(token: str, part: str) -> str:
    return f"{token} {part}"[:100]


def unreachable(aws: Aws, place: Place, instance_id: str) -> str | None:
    """Why SSM cannot run anything in the guest now; None if it can."""
    filters = [{"Key": "InstanceIds", "Values": [instance_id]}]
    try:
        answer = aws.call(place, "ssm", "describe_instance_information", Filters=filters)
    except AwsAccessDenied as refusal:
        return refusal.sentence()
    found = next(iter(answer["InstanceInformationList"]), None)
    if found is None:
        return (
            f"{instance_id} is not managed by Systems Manager: install the SSM Agent, give the instance a role with "
            "AmazonSSMManagedInstanceCore, and let it reach the ssm endpoints."
        )
    if found.get("PingStatus") != "Online":
        return (
            f"The SSM Agent of {instance_id} does not answer ({found.get('PingStatus')}): see that it runs and has a network."
        )
    return None


def step(aws: Aws, clock: Clock, command: Command, memo: Json) -> Step | Ended:
    """``memo`` is this command's own, empty at first. A Step means: not over yet."""
    if not memo:
        return Step(memo=intent.stated(clock))
    if "commandId" in memo:
        return _watch(aws, clock, command, memo)
    earlier = _sent(aws, command, memo)
    if earlier is not None:
        return _following(clock, memo, earlier)
    standing = intent.standing(clock, memo)
    if standing is Standing.ANEW:
        return Step(memo=intent.renewed(clock, memo))
    if standing is Standing.LOOK:
        return Step(memo=memo, wait=intent.LOOK_AGAIN, message="Looking for a command that may have been sent.")
    try:
        answer = aws.call(
            command.place,
            "ssm",
            "send_command",
            InstanceIds=[command.instance_id],
            DocumentName=command.document,
            Comment=command.mark,
            TimeoutSeconds=DELIVERY,
            Parameters={key: list(values) for key, values in command.parameters.items()},
        )
    except Throttled:
        raise  # refused before anything was sent
    except Unavailable as error:
        return Step(memo=intent.doubtful(memo), wait=intent.LOOK_AGAIN, message=error.sentence())
    except (AwsRejected, AwsNotFound, AwsAccessDenied) as refusal:
        return Ended(status="Failed", why=refusal.sentence())
    return _following(clock, memo, answer["Command"]["CommandId"])


def stop(aws: Aws, place: Place, token: str) -> list[str]:
    """Cancel this task's commands that still run; their ids. Who may not list commands has sent none."""
    running: list[str] = []
    for status in ("Pending", "InProgress"):
        filters = [{"key": "Status", "value": status}]
        try:
            pages = list(aws.pages(place, "ssm", "list_commands", Filters=filters, MaxResults=PAGE))
        except AwsAccessDenied:
            return []
        for page in pages:
            for found in page["Commands"]:
                if str(found.get("Comment", "")).startswith(f"{token} "):
                    _cancel(aws, place, found["CommandId"])
                    running.append(found["CommandId"])
    return running


def _following(clock: Clock, memo: Json, command_id: str) -> Step:
    return Step(memo={**memo, "commandId": command_id, "sentAt": clock.now().timestamp()}, wait=1.0)


def _watch(aws: Aws, clock: Clock, command: Command, memo: Json) -> Step | Ended:
    age = clock.now().timestamp() - memo["sentAt"]
    late = age > DELIVERY + command.seconds + GRACE
    try:
        found = aws.call(
            command.place, "ssm", "get_command_invocation", CommandId=memo["commandId"], InstanceId=command.instance_id
        )
    except AwsNotFound as unknown:
        if age > APPEARS:
            return Ended(status="Failed", why=unknown.sentence())
        return Step(memo=memo, wait=LOOK)
    if found["Status"] not in RUNNING:
        return _ended(command, found)
    if late:
        _cancel(aws, command.place, memo["commandId"])
        return Ended(status="TimedOut", why=f"It did not end within {command.seconds:.0f} s and was cancelled.")
    return Step(memo=memo, wait=min(LOOK_LONGEST, max(LOOK, age / 10)))


def _ended(command: Command, found: Json) -> Ended:
    status, details = found["Status"], str(found.get("StatusDetails") or found["Status"])
    code = found.get("ResponseCode")
    output = str(found.get("StandardOutputContent") or "")
    if status == "Success":
        return Ended(status=status, exit_code=code, output=output)
    said = _last_words(str(found.get("StandardErrorContent") or "")) or _last_words(output)
    return Ended(status=status, why=_reason(command, details, code, said), exit_code=code, output=output)


def _reason(command: Command, details: str, code: int | None, said: str) -> str:
    words = details.replace(" ", "").lower()
    if words == "executiontimedout":
        return f"It did not end within {command.seconds:.0f} s."
    if words in ("deliverytimedout", "undeliverable"):
        return f"The SSM Agent of {command.instance_id} did not take it within {DELIVERY} s."
    if words in ("cancelled", "terminated"):
        return "It was cancelled in AWS."
    quoted = f" It said: {said}" if said else ""
    ending = f"It ended with exit code {code}." if code not in (None, -1) else f"SSM says: {details}."
    return ending + quoted


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:TEXT_MAX] if lines else ""


def _sent(aws: Aws, command: Command, memo: Json) -> str | None:
    since = datetime.fromtimestamp(memo["intentAt"], UTC) - SKEW
    filters: list[dict[str, Any]] = [{"key": "InvokedAfter", "value": since.strftime("%Y-%m-%dT%H:%M:%SZ")}]
    pages = aws.pages(command.place, "ssm", "list_commands", InstanceId=command.instance_id, Filters=filters, MaxResults=PAGE)
    found = [c for page in pages for c in page["Commands"] if c.get("Comment") == command.mark]
    first = min(found, key=lambda c: str(c.get("RequestedDateTime")), default=None)
    return str(first["CommandId"]) if first else None


def _cancel(aws: Aws, place: Place, command_id: str) -> None:
    """One that has ended meanwhile is no error."""
    try:
        aws.call(place, "ssm", "cancel_command", CommandId=command_id)
    except (AwsNotFound, AwsRejected):
        return
