"""The command documents the demo account knows, after AWS's own: for which platform, with which parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from moto.ec2.exceptions import EC2ClientError

from server.demo import identity
from server.demo.errors import AwsError
from server.demo.ssm.guests import Guest, Result

SHELL, POWERSHELL = "AWS-RunShellScript", "AWS-RunPowerShellScript"
VSS, VSS_INSTALLING = "AWSEC2-CreateVssSnapshot", "AWSEC2-VssInstallAndSnapshot"
_SCRIPT_PARAMETERS: Final = frozenset({"commands", "workingDirectory", "executionTimeout"})
_VSS_PARAMETERS: Final = frozenset({
    "ExcludeBootVolume", "CopyOnly", "NoWriters", "CreateAmi", "AmiName", "description", "tags", "executionTimeout",
    "CollectDiagnosticLogs", "SaveVssMetadata", "VssVersion",
})  # fmt: skip
EXECUTION_DEFAULT: Final = 3600.0
_BOOLEANS: Final = ("ExcludeBootVolume", "CopyOnly", "NoWriters", "CreateAmi")


@dataclass(frozen=True, slots=True)
class Document:
    platforms: frozenset[str]
    parameters: frozenset[str]


DOCUMENTS: Final[Mapping[str, Document]] = {
    SHELL: Document(frozenset({"Linux"}), _SCRIPT_PARAMETERS),
    POWERSHELL: Document(frozenset({"Windows", "Linux"}), _SCRIPT_PARAMETERS),
    VSS: Document(frozenset({"Windows"}), _VSS_PARAMETERS),
    VSS_INSTALLING: Document(frozenset({"Windows"}), _VSS_PARAMETERS),
}


def check(name: str, parameters: Mapping[str, list[str]]) -> Document:
    """The document. Errors: AwsError InvalidDocument, InvalidParameters."""
    document = DOCUMENTS.get(name.rsplit("document/", 1)[-1])
    if document is None:
        raise AwsError("InvalidDocument", f"document {name} does not exist in your account")
    if unknown := set(parameters) - document.parameters:
        raise AwsError("InvalidParameters", f"The parameter {min(unknown)} is not one of {name}.")
    if "commands" in document.parameters and not parameters.get("commands"):
        raise AwsError("InvalidParameters", "The parameter commands is required.")
    for parameter in _BOOLEANS:
        if parameters.get(parameter, ["False"]) not in (["True"], ["False"]):
            raise AwsError("InvalidParameters", f"The parameter {parameter} must be True or False.")
    return document


def execution_limit(parameters: Mapping[str, list[str]]) -> float:
    text = (parameters.get("executionTimeout") or [""])[0]
    return float(text) if text.isdigit() else EXECUTION_DEFAULT


def carry_out(name: str, parameters: Mapping[str, list[str]], guest: Guest, instance: Any, role_arn: str | None) -> Result:
    """What the document does in this guest. VSS documents make the snapshots at once."""
    if name in (SHELL, POWERSHELL):
        result = guest.run(parameters["commands"], windows=instance.platform == "windows")
        seconds = guest.seconds if result.seconds is None else result.seconds
        return Result(result.exit_code, result.output, result.error, seconds)
    done = _vss(parameters, guest, instance, role_arn, installs=name == VSS_INSTALLING)
    return Result(done.exit_code, done.output, done.error, guest.vss_seconds)


def _vss(parameters: Mapping[str, list[str]], guest: Guest, instance: Any, role_arn: str | None, *, installs: bool) -> Result:
    if guest.vss == "not-installed" and not installs:
        return Result(1, error="AwsVssComponents is not installed: run AWS-ConfigureAWSPackage to install it.\n")
    if guest.vss == "writers-fail":
        return Result(1, error="Encountered error while creating the snapshot set: VSS_E_WRITERERROR_TIMEOUT (0x800423f2)\n")
    for action in ("ec2:CreateSnapshot", "ec2:CreateTags", "ec2:DescribeInstances"):
        if role_arn is not None and not identity.allowed(role_arn, action, "*"):
            return Result(1, error=f"UnauthorizedOperation: {role_arn} is not authorized to perform {action}.\n")
    consistent = guest.vss != "partial" and parameters.get("NoWriters", ["False"]) == ["False"]
    tags = {**_tags((parameters.get("tags") or [""])[0]), "AppConsistent": str(consistent)}
    request = {"InstanceId": instance.id, "ExcludeBootVolume": parameters.get("ExcludeBootVolume") == ["True"]}
    description = (parameters.get("description") or [""])[0] or f"VSS snapshot of {instance.id}"
    try:
        made = instance.ec2_backend.create_snapshots(request, description, tags)
    except EC2ClientError as error:
        return Result(1, error=f"Encountered error while creating the snapshot set: {error.message}\n")
    text = "\n".join(f"Created snapshot {snapshot.id} of {snapshot.volume_id}" for snapshot in made)
    if guest.vss == "partial":
        return Result(1, f"{text}\n", "Not all writers took part: the snapshots are not application consistent.\n")
    return Result(0, f"{text}\nSnapshots are application consistent: {consistent}\n")


def _tags(text: str) -> dict[str, str]:
    """``Key=a,Value=b;Key=c,Value=d``; what does not follow the syntax is left out, as the guest does."""
    found = {}
    for entry in text.split(";"):
        key, separator, value = entry.strip().removeprefix("Key=").partition(",Value=")
        if separator and key:
            found[key] = value
    return found
