"""Systems Manager's Run Command, in place of moto's, which answers without any guest behind it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import ec2_backends
from moto.ssm.models import ParameterDict, SimpleSystemManagerBackend, ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from server.demo import changes, clock, identity
from server.demo.ec2.lifecycle import Pace
from server.demo.errors import AwsError
from server.demo.ssm import documents
from server.demo.ssm.commands import RUNNING, Command, Invocation
from server.demo.ssm.guests import Guest, Result

TARGETS_MAX: Final = 50  # instances one command can name
COMMENT_MAX: Final = 100
PAGE_MAX: Final = 50
KEPT_SECONDS: Final = 30 * 86_400.0  # how long AWS remembers a command
DELIVERY_DEFAULT: Final = 3600
_GONE: Final = ("shutting-down", "terminated")


def _dictionaries() -> defaultdict[str, dict[str, str]]:
    return defaultdict(dict)


class KeptParameters(ParameterDict):
    """Of a kind that can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptParameters, (self.account_id, self.region_name), self.__dict__, None, iter(self.items())


class DemoSsmBackend(SimpleSystemManagerBackend):
    """``guests``: what people set for an instance; ``commands``: by id, oldest first."""

    pace: Pace = Pace()

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._parameters = KeptParameters(account_id, region_name)
        self._resource_tags = defaultdict(_dictionaries)  # moto's has a lambda, which cannot be kept
        self.guests: dict[str, Guest] = {}
        self.commands: dict[str, Command] = {}

    @property
    def flask_paths(self) -> dict[str, Callable[[Any, str, Any], Any]]:
        return {"/": DemoSsmResponse.dispatch}

    def instance(self, instance_id: str) -> Any | None:
        backend = ec2_backends[self.account_id][self.region_name]
        found = next((each for each in backend.all_instances() if each.id == instance_id), None)
        return None if found is None or found.state in _GONE else found

    def guest(self, instance_id: str) -> Guest:
        return self.guests.get(instance_id) or Guest()

    def ping(self, instance: Any) -> str | None:
        """Online, ConnectionLost, or None for an instance Systems Manager does not know."""
        agent = self.guest(instance.id).agent
        if agent == "auto":
            role = self.role_of(instance)
            agent = "online" if role and identity.allowed(role, "ssm:UpdateInstanceInformation") else "absent"
        if agent == "absent":
            return None
        return "Online" if agent == "online" and instance.state == "running" else "ConnectionLost"

    def role_of(self, instance: Any) -> str | None:
        """The ARN of the role in the instance's profile."""
        association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
        roles = association.iam_instance_profile.roles if association else []
        return str(roles[0].arn) if roles else None

    def forget_old(self) -> None:
        oldest = clock.now() - KEPT_SECONDS
        for key in [key for key, each in self.commands.items() if each.requested < oldest]:
            del self.commands[key]
            self.note(key)

    def note(self, command_id: str) -> None:
        changes.note("ssm", self, "commands", command_id)


class DemoSsmResponse(SimpleSystemManagerResponse):
    @property
    def backend(self) -> DemoSsmBackend:
        backend = self.ssm_backend
        assert isinstance(backend, DemoSsmBackend)
        return backend

    # ---- instances

    def describe_instance_information(self) -> ActionResult:
        asked = {entry["Key"]: entry["Values"] for entry in self._get_param("Filters") or []}
        asked |= {entry["key"]: entry["valueSet"] for entry in self._get_param("InstanceInformationFilterList") or []}
        instances = ec2_backends[self.current_account][self.region].all_instances()
        if ids := set(asked.get("InstanceIds", ())):
            instances = [each for each in instances if each.id in ids]
        known = [(each, self._information(each)) for each in instances if each.state not in _GONE]
        found = [facts for each, facts in known if facts["PingStatus"] is not None and _matches(facts, each, asked)]
        return ActionResult(self._page("InstanceInformationList", found, low=5))

    def _information(self, instance: Any) -> dict[str, Any]:
        guest, windows = self.backend.guest(instance.id), instance.platform == "windows"
        role = self.backend.role_of(instance)
        return {
            "InstanceId": instance.id,
            "PingStatus": self.backend.ping(instance),
            "LastPingDateTime": datetime.fromtimestamp(clock.now(), UTC),
            "AgentVersion": guest.agent_version,
            "IsLatestVersion": True,
            "PlatformType": "Windows" if windows else "Linux",
            "PlatformName": guest.platform_name or ("Microsoft Windows Server 2022 Datacenter" if windows else "Amazon Linux"),
            "PlatformVersion": guest.platform_version or ("10.0.20348" if windows else "2023"),
            "ResourceType": "EC2Instance",
            "IPAddress": instance.private_ip,
            "ComputerName": instance.private_dns_name,
            "IamRole": "" if role is None else role.rsplit("/", 1)[-1],
        }

    # ---- commands

    def send_command(self) -> ActionResult:
        name, comment = self._get_param("DocumentName") or "", self._get_param("Comment") or ""
        parameters = {key: [str(v) for v in values] for key, values in (self._get_param("Parameters") or {}).items()}
        timeout = int(self._get_param("TimeoutSeconds") or DELIVERY_DEFAULT)
        if len(comment) > COMMENT_MAX:
            raise _invalid(f"Value '{comment}' at 'comment' must have length less than or equal to {COMMENT_MAX}")
        if not 30 <= timeout <= 2_592_000:
            raise _invalid("Value at 'timeoutSeconds' must be between 30 and 2592000")
        document = documents.check(name, parameters)
        name = name.rsplit("document/", 1)[-1]
        instances = self._targets()
        for instance in instances:
            platform = "Windows" if instance.platform == "windows" else "Linux"
            if platform not in document.platforms:
                raise AwsError("UnsupportedPlatformType", f"The document {name} does not support {platform} ({instance.id}).")
        sent = {each.id: self._send(each, name, parameters, timeout) for each in instances}
        command = Command(
            command_id=str(uuid4()),
            document=name,
            comment=comment,
            parameters=parameters,
            targets=self._get_param("Targets") or [],
            timeout_seconds=timeout,
            invocations=sent,
        )
        self.backend.forget_old()
        self.backend.commands[command.command_id] = command
        self.backend.note(command.command_id)
        return ActionResult({"Command": command.as_command()})

    def _targets(self) -> list[Any]:
        """The instances a command is for. Errors: AwsError InvalidInstanceId when one of them cannot take commands."""
        ids = list(self._get_param("InstanceIds") or [])
        backend = ec2_backends[self.current_account][self.region]
        for target in self._get_param("Targets") or []:
            if target["Key"] == "InstanceIds":
                ids += target["Values"]
            elif target["Key"].startswith("tag:"):
                wanted = {"key": target["Key"].removeprefix("tag:"), "values": target["Values"]}
                ids += [each.id for each in backend.all_instances() if _tagged(each, wanted["key"], wanted["values"])]
        if not ids or len(ids) > TARGETS_MAX:
            raise _invalid(f"A command goes to between 1 and {TARGETS_MAX} instances")
        if len(set(ids)) < len(ids):
            raise AwsError("DuplicateInstanceId", "You can't specify an instance ID in more than one association.")
        found = {instance_id: self.backend.instance(instance_id) for instance_id in ids}
        unready = [key for key, each in found.items() if each is None or each.state != "running" or not self.backend.ping(each)]
        if unready:
            raise AwsError(
                "InvalidInstanceId", f"Instances {[unready]} not in a valid state for account {self.current_account}"
            )
        return list(found.values())

    def _send(self, instance: Any, name: str, parameters: Mapping[str, list[str]], timeout: int) -> Invocation:
        guest, online = self.backend.guest(instance.id), self.backend.ping(instance) == "Online"
        result = Result(-1)
        if online:
            result = documents.carry_out(name, parameters, guest, instance, self.backend.role_of(instance))
        return Invocation(
            instance_id=instance.id,
            instance_name=instance.private_dns_name,
            sent_at=time.time(),
            seconds=self.backend.pace.command,
            delivery_limit=float(timeout),
            execution_limit=documents.execution_limit(parameters),
            online=online,
            result=result,
        )

    def list_commands(self) -> ActionResult:
        found = [each.as_command() for each in self._commands()]
        status = {entry["value"] for entry in self._filters() if entry["key"] == "Status"}
        return ActionResult(self._page("Commands", [each for each in found if not status or each["Status"] in status]))

    def list_command_invocations(self) -> ActionResult:
        details, instance_id = bool(self._get_param("Details")), self._get_param("InstanceId")
        found = [
            command.as_invocation(each, details=details)
            for command in self._commands()
            for each in command.invocations.values()
            if each.visible() and instance_id in (None, each.instance_id)
        ]
        status = {entry["value"] for entry in self._filters() if entry["key"] == "Status"}
        shown = [each for each in found if not status or each["Status"] in status]
        return ActionResult(self._page("CommandInvocations", shown))

    def _filters(self) -> list[dict[str, str]]:
        filters = self._get_param("Filters") or []
        known = ("InvokedAfter", "InvokedBefore", "Status", "DocumentName", "ExecutionStage")
        for entry in filters:
            if entry["key"] not in known:
                raise AwsError("InvalidFilterKey", f"The filter {entry['key']} is not one of {', '.join(known)}.")
        return list(filters)

    def _commands(self) -> list[Command]:
        """Those asked for, but for their status; the newest first."""
        command_id, instance_id, filters = self._get_param("CommandId"), self._get_param("InstanceId"), self._filters()
        found = [
            each
            for each in self.backend.commands.values()
            if command_id in (None, each.command_id)
            and (instance_id is None or instance_id in each.invocations)
            and all(_command_matches(each, entry["key"], entry["value"]) for entry in filters)
        ]
        return sorted(found, key=lambda each: each.requested, reverse=True)

    def get_command_invocation(self) -> ActionResult:
        command = self.backend.commands.get(self._get_param("CommandId") or "")
        invocation = command.invocations.get(self._get_param("InstanceId") or "") if command else None
        if command is None or invocation is None or not invocation.visible():
            raise AwsError("InvocationDoesNotExist", "")
        return ActionResult(command.as_details(invocation))

    def cancel_command(self) -> EmptyResult:
        command = self.backend.commands.get(self._get_param("CommandId") or "")
        if command is None:
            raise AwsError("InvalidCommandId", f"The command {self._get_param('CommandId')} does not exist.")
        wanted = self._get_param("InstanceIds") or list(command.invocations)
        for instance_id in wanted:
            if instance_id not in command.invocations:
                raise AwsError("InvalidInstanceId", f"The command was not sent to {instance_id}.")
            each = command.invocations[instance_id]
            if each.status()[0] in RUNNING and each.cancelled_at is None:
                each.cancelled_at = time.time()
                self.backend.note(command.command_id)
        return EmptyResult()

    def _page(self, member: str, items: Sequence[Any], *, low: int = 1) -> dict[str, Any]:
        size = int(self._get_param("MaxResults") or PAGE_MAX)
        if not low <= size <= PAGE_MAX:
            raise _invalid(f"Value '{size}' at 'maxResults' must be between {low} and {PAGE_MAX}")
        token = self._get_param("NextToken") or "0"
        if not token.isdigit():
            raise AwsError("InvalidNextToken", "The specified token isn't valid.")
        start = int(token)
        page: dict[str, Any] = {member: list(items[start : start + size])}
        return page | ({"NextToken": str(start + size)} if start + size < len(items) else {})


def _invalid(text: str) -> AwsError:
    return AwsError("ValidationException", f"1 validation error detected: {text}")


def _tagged(instance: Any, key: str, values: Sequence[str]) -> bool:
    return any(tag["key"] == key and tag["value"] in values for tag in instance.get_tags())


def _matches(information: Mapping[str, Any], instance: Any, asked: Mapping[str, Sequence[str]]) -> bool:
    members = {"InstanceIds": "InstanceId", "PlatformTypes": "PlatformType"}
    for key, values in asked.items():
        if key.startswith("tag:"):
            if not _tagged(instance, key.removeprefix("tag:"), values):
                return False
        elif key == "tag-key":
            if not any(tag["key"] in values for tag in instance.get_tags()):
                return False
        elif members.get(key, key) not in information:
            raise AwsError("InvalidInstanceInformationFilterValue", f"The filter {key} is not valid.")
        elif str(information[members.get(key, key)]) not in values:
            return False
    return True


def _command_matches(command: Command, key: str, value: str) -> bool:
    if key == "DocumentName":
        return command.document == value
    if key in ("InvokedAfter", "InvokedBefore"):
        moment = datetime.fromisoformat(value).timestamp()
        return command.requested > moment if key == "InvokedAfter" else command.requested < moment
    if key == "ExecutionStage":
        return (command.status()[0] in RUNNING) is (value == "Executing")
    return True  # the status is looked at where it is shown


def backend_of(instance_id: str) -> DemoSsmBackend | None:
    """Of the account and Region an instance lives in."""
    for account in list(ec2_backends.keys()):
        for region in list(ec2_backends[account].keys()):
            backend = ssm_backends[account][region]
            if isinstance(backend, DemoSsmBackend) and backend.instance(instance_id) is not None:
                return backend
    return None


def install(pace: Pace) -> None:
    """Make moto build our Systems Manager. Call once, before the first request."""
    DemoSsmBackend.pace = pace
    ssm_backends.backend = DemoSsmBackend
