"""AWS's errors in our words: one table of codes, shared by the control plane and the block client.

A refusal is put into the first family it belongs to: throttled, unavailable, denied, credentials, quota, not found, and
*rejected* for the rest. What AWS said stays in the message; what to do about it goes into the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from server.domain.errors import (
    AwsAccessDenied,
    AwsCredentials,
    AwsError,
    AwsLimit,
    AwsNotFound,
    AwsRejected,
    HoldfastError,
    Throttled,
    Unavailable,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Who asked what, where. ``operation`` is the IAM action, ``ec2:CreateSnapshots``; ``role_arn`` None: own credentials."""

    operation: str
    region: str
    role_arn: str | None = None
    endpoint: str | None = None

    @property
    def caller(self) -> str:
        return f"The role {self.role_arn}" if self.role_arn else "The appliance's own AWS identity"


THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "SnapshotCreationPerVolumeRateExceeded",  # a pause of 15 s between snapshots of a volume
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        # Limits of what runs at once: waiting is the cure, so they count as throttling, not as a used-up quota.
        "ConcurrentLimitExceededException",
        "ConcurrentSnapshotLimitExceeded",
        "PendingSnapshotLimitExceeded",
        "ResourceLimitExceeded.ConcurrentSnapshots",
    }
)
UNAVAILABLE: Final = frozenset(
    {
        "IDPCommunicationError",
        "InsufficientInstanceCapacity",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Unavailable",
    }
)
DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "Client.UnauthorizedOperation",
        "NotAuthorized",
        "UnauthorizedAccess",
        "UnauthorizedOperation",
    }
)
# EC2 says RequestExpired of an ended session as well as of a wrong clock.
EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
SKEWED: Final = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
CREDENTIALS: Final = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
NOT_FOUND: Final = re.compile(r"NotFound|NoSuch|DoesNotExist|^404$|InvalidAMIID\.Unavailable")
QUOTA: Final = re.compile(r"LimitExceeded|QuotaExceeded|LimitReached|InsufficientFreeAddresses|TooManyBuckets")
_ENCODED: Final = re.compile(r"\s*Encoded authorization failure message:.*", re.DOTALL)
_ACTION: Final = re.compile(r"not authorized to perform:?\s+([a-z0-9-]+:[A-Za-z]+)")

REMEDIES: Final[Mapping[str, str]] = {
    "InsufficientInstanceCapacity": "AWS has no such instance free here now: try later, or choose another type or subnet.",
    "InsufficientFreeAddressesInSubnet": "Choose a subnet with free addresses.",
    "IncorrectState": "Its state forbids this now: look at it in the AWS console and try again.",
    "InvalidParameterCombination": "These settings do not go together: change the instance type, subnet or security groups.",
    "InvalidSnapshot.InUse": "An AMI still uses this snapshot: deregister the AMI first.",
    "KMSInvalidStateException": "Enable the KMS key of this disk, or cancel its deletion.",
    "OperationNotPermitted": "Turn off its termination or stop protection, or choose another target.",
    "UnsupportedOperation": "Choose another instance type or zone.",
    "Unsupported": "This zone does not offer the chosen type: choose another instance type or subnet.",
    "VolumeInUse": "Detach the volume first.",
    "IdempotentParameterMismatch": "The same restore was started before with other settings: start a new one.",
    "UNRELATED_SNAPSHOTS": "Back the disk up in full.",
}


def translate(call: Call, code: str, text: str, *, status: int = 400) -> HoldfastError:
    """The error for AWS's ``code`` and ``text``. ``status`` is HTTP's, which decides when the code is unknown."""
    text = _ENCODED.sub("", text).strip().rstrip(".")
    if code in THROTTLED or status == 429:
        return Throttled(
            f"AWS throttles {call.operation} in {call.region}: {text or code}.",
            remedy="Holdfast slows down and tries again; if this stays, ask AWS to raise the request limits.",
        )
    if code in UNAVAILABLE or status >= 500:
        return Unavailable(
            f"AWS could not do {call.operation} in {call.region} ({code or status}): {text or 'no reason given'}.",
            remedy=REMEDIES.get(code, "Holdfast tries again; look at the AWS health dashboard if this stays."),
        )
    if code in DENIED or (status == 403 and code in ("403", "Forbidden", "")):
        return denied(call, code, text)
    if code in EXPIRED | SKEWED | CREDENTIALS:
        return _credentials(call, code, text)
    return _refusal(call, code, text)


def denied(call: Call, code: str, text: str) -> AwsError:
    found = _ACTION.search(text)
    action = found[1] if found else call.operation
    why = " An explicit deny stands against it." if "explicit deny" in text else ""
    message = f"{call.caller} may not do {action} in {call.region}.{why}"
    if "service control policy" in text:
        remedy = f"The organization's service control policies forbid {action}: ask their owner to allow it."
    else:
        owner = "the role" if call.role_arn else "the user or role the appliance runs as"
        remedy = f"Allow {action} in the IAM policies of {owner}; permission boundaries and service control policies count too."
    return AwsAccessDenied(message, operation=call.operation, aws_code=code, remedy=remedy)


def not_assumed(call: Call, code: str, text: str) -> AwsError:
    """AssumeRole was refused: AWS does not say whether the role, its trust policy or the external id is wrong."""
    return AwsAccessDenied(
        f"The role {call.role_arn} cannot be assumed: {text.rstrip('.') or code}.",
        operation=call.operation,
        aws_code=code,
        remedy=(
            "Check that the role exists, that its trust policy names the appliance's identity, that the external id here "
            "equals the one in the trust policy, and that the appliance may do sts:AssumeRole."
        ),
    )


def unknown_region(region: str, similar: str | None, operation: str) -> AwsError:
    hint = (
        f"Did you mean {similar}?"
        if similar
        else "Check its spelling, such as eu-central-1; newer Regions need a newer Holdfast."
    )
    return AwsRejected(f"There is no AWS Region {region!r}.", operation=operation, aws_code="UnknownRegion", remedy=hint)


def unreachable(call: Call, reason: str) -> Unavailable:
    where = f" at {call.endpoint}" if call.endpoint else ""
    return Unavailable(
        f"AWS does not answer{where} ({call.operation}, {call.region}): {reason.rstrip('.')}.",
        remedy="Check the network, DNS, proxy and firewall of the appliance, and that the Region is enabled for the account.",
    )


def no_credentials(call: Call, reason: str) -> AwsCredentials:
    return AwsCredentials(
        f"The appliance has no usable AWS credentials: {reason.rstrip('.')}.",
        operation=call.operation,
        aws_code="NoCredentials",
        remedy="Give the machine an instance profile, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    )


def _credentials(call: Call, code: str, text: str) -> AwsCredentials:
    if code in EXPIRED:
        whose = f"the role {call.role_arn}" if call.role_arn else "the appliance's own AWS identity"
        message = f"The AWS session of {whose} has expired in {call.region}: {text or code}."
        remedy = "Renew the credentials the appliance runs with (an instance profile renews itself), and check its clock."
    elif code in SKEWED:
        message = f"AWS refuses the time stamp of our request in {call.region}: {text or code}."
        remedy = "Set the appliance's clock right, for example with chrony or systemd-timesyncd."
    elif code == "OptInRequired":
        message = f"The account is not subscribed to {call.operation.partition(':')[0]} in {call.region}."
        remedy = "Enable the Region or the service for this account in the AWS console."
    else:
        message = f"AWS does not accept the credentials in {call.region} ({code}): {text or 'no reason given'}."
        remedy = f"Check the access key, and that the Region {call.region} is enabled for the account."
    return AwsCredentials(message, operation=call.operation, aws_code=code, remedy=remedy)


def _refusal(call: Call, code: str, text: str) -> AwsError:
    said = f"AWS refuses {call.operation} in {call.region}: {text or code}."
    remedy = REMEDIES.get(code)
    if QUOTA.search(code):
        return AwsLimit(
            said,
            operation=call.operation,
            aws_code=code,
            remedy=remedy or f"Raise the quota in the Service Quotas console of {call.region}, or free what is not needed.",
        )
    if NOT_FOUND.search(code):
        return AwsNotFound(
            said,
            operation=call.operation,
            aws_code=code,
            remedy=remedy or "It may have been deleted: rescan, then choose again.",
        )
    if call.operation == "sts:AssumeRole" and code == "ValidationError":
        remedy = "A role ARN looks like arn:aws:iam::123456789012:role/Name."
    return AwsRejected(said, operation=call.operation, aws_code=code, remedy=remedy)
