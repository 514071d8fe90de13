"""Trouble on demand: which calls fail, how, and how often. And how many calls of each kind arrived."""

from __future__ import annotations

import fnmatch
import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

from server.demo.errors import AwsError

KINDS = ("throttle", "error500", "timeout", "lost_reply", "slow", "denied", "expired")
TIMEOUT_DEFAULT = 60.0  # seconds a "timeout" keeps the client waiting before the connection is closed
SLOW_DEFAULT = 1.0


@dataclass(slots=True)
class Fault:
    """``operation`` is a name such as ``ebs:GetSnapshotBlock`` or a pattern (``ec2:*``); ``left`` None means without end."""

    operation: str
    kind: str
    probability: float
    left: int | None
    delay: float

    @classmethod
    def parse(cls, document: Any) -> Fault:
        """Errors: ValueError with what is wrong."""
        if not isinstance(document, dict):
            raise ValueError("expected a JSON object")
        kind = document.get("kind")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        probability = float(document.get("probability", 1.0))
        if not 0 <= probability <= 1:
            raise ValueError("probability must be between 0 and 1")
        times = document.get("times")
        if times is not None and (not isinstance(times, int) or times < 1):
            raise ValueError("times must be a positive whole number or null")
        default = TIMEOUT_DEFAULT if kind == "timeout" else SLOW_DEFAULT
        delay = document.get("delay")
        return cls(str(document.get("operation", "*")), kind, probability, times, default if delay is None else float(delay))

    def document(self) -> dict[str, Any]:
        return {
            "operation": self.operation,
            "kind": self.kind,
            "probability": self.probability,
            "times": self.left,
            "delay": self.delay,
        }


class Faults:
    """The faults in force, and the call counters."""

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._faults: list[Fault] = []
        self.calls: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def all(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def strike(self, operation: str) -> Fault | None:
        """Count the call; the fault that befalls it, if any."""
        self.calls[operation] += 1
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fnmatch.fnmatchcase(operation, fault.operation) and self._random.random() < fault.probability:
                    if fault.left is not None:
                        fault.left -= 1
                        if fault.left == 0:
                            self._faults.remove(fault)
                    return fault
        return None


_EC2 = {
    "throttle": AwsError("RequestLimitExceeded", "Request limit exceeded.", 503),
    "error500": AwsError("InternalError", "An internal error has occurred", 500),
    "denied": AwsError("UnauthorizedOperation", "You are not authorized to perform this operation.", 403),
    "expired": AwsError("RequestExpired", "Request has expired.", 400),
}
_S3 = {
    "throttle": AwsError("SlowDown", "Please reduce your request rate.", 503),
    "error500": AwsError("InternalError", "We encountered an internal error. Please try again.", 500),
    "denied": AwsError("AccessDenied", "Access Denied", 403),
    "expired": AwsError("ExpiredToken", "The provided token has expired.", 400),
}
_EBS = {
    "throttle": AwsError(
        "RequestThrottledException", "The number of API requests has exceeded the limit.", 400, Reason="ACCOUNT_THROTTLED"
    ),
    "error500": AwsError("InternalServerException", "An internal error has occurred.", 500),
    "denied": AwsError(
        "AccessDeniedException", "You are not authorized to perform this operation.", 403, Reason="UNAUTHORIZED_ACCOUNT"
    ),
    "expired": AwsError("ExpiredTokenException", "The security token included in the request is expired", 403),
}
_OTHERS = {
    "throttle": AwsError("Throttling", "Rate exceeded", 400),
    "error500": AwsError("InternalFailure", "The request processing has failed because of an unknown error.", 500),
    "denied": AwsError("AccessDenied", "User is not authorized to perform this operation.", 403),
    "expired": AwsError("ExpiredToken", "The security token included in the request is expired", 403),
}
_BY_SERVICE = {"ec2": _EC2, "s3": _S3, "ebs": _EBS}


def error_of(service: str, kind: str) -> AwsError | None:
    """What ``service`` answers for a fault of this kind; None for faults that are not an answer."""
    return _BY_SERVICE.get(service, _OTHERS).get(kind)
