"""Tags: AWS's list of pairs and our dict, and the ones Holdfast sets itself.

``holdfast:task`` is on everything a task makes. What AWS gives no client token for is found again by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

TASK: Final = "holdfast:task"
POLICY: Final = "holdfast:policy"
RESOURCE: Final = "holdfast:resource"
DISK: Final = "holdfast:disk"  # which source disk a restored volume holds
POINT: Final = "holdfast:point"  # which point a snapshot is part of; see ``marks`` for these three
APPLIANCE: Final = "holdfast:appliance"
RECORD: Final = "holdfast:record-"
CONSISTENCY: Final = "holdfast:consistency"  # on what the guest itself made
RESTORED_FROM: Final = "holdfast:restored-from"
NAME: Final = "Name"
TAGS_MAX: Final = 50  # per AWS resource
VALUE_MAX: Final = 256  # characters
FOR_RECORDS: Final = 14  # tags of a snapshot that copied ones leave free: two ids, and 2.2 KiB of record
RESERVED: Final = ("aws:", "holdfast:")


def from_aws(pairs: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {pair["Key"]: pair["Value"] for pair in pairs or ()}


def to_aws(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value[:VALUE_MAX]} for key, value in sorted(tags.items())]


def merged(own: Mapping[str, str], copied: Mapping[str, str], *, free_tags: int = 0) -> dict[str, str]:
    """Our tags, then as many of the copied ones as leave ``free_tags`` of those a resource may have. AWS's and our own marks
    are never copied."""
    free = {key: value for key, value in copied.items() if key not in own and not key.startswith(RESERVED)}
    room = max(0, TAGS_MAX - free_tags - len(own))
    return {**own, **dict(sorted(free.items())[:room])}


def chosen(own: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Our marks and the tags people asked for, which may replace ``Name`` but not a reserved one."""
    return {**own, **{key: value for key, value in wanted.items() if not key.startswith(RESERVED)}}


def made_by(token: str) -> list[dict[str, Any]]:
    """The Filters that find what a task made."""
    return [{"Name": f"tag:{TASK}", "Values": [token]}]
