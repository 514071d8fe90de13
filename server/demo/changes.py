"""What one call changed, record by record, so that not all of moto has to be saved for it.

A record is one entry of a table (an attribute holding a dictionary) of one of moto's backends. Whoever changes a record notes
it here; operations listed in ``SMALL`` change nothing but noted records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Change = tuple[str, str, str, str, str]
"""Service, account, Region, table, key."""

SMALL: Final[Mapping[str, frozenset[str]]] = {
    "ec2": frozenset({
        "CreateSnapshot", "CreateSnapshots", "CopySnapshot", "DeleteSnapshot", "ModifySnapshotAttribute",
        "ResetSnapshotAttribute", "CreateTags", "DeleteTags",
    }),
    "ssm": frozenset({"SendCommand", "CancelCommand"}),
    "kms": frozenset({"CreateGrant", "RetireGrant", "RevokeGrant"}),
}  # fmt: skip

_noted: set[Change] = set()  # the account's one lock is held by whoever changes anything


def note(service: str, backend: Any, table: str, key: str) -> None:
    """The entry ``key`` of ``backend``'s ``table`` is new, other than before, or gone."""
    _noted.add((service, backend.account_id, backend.region_name, table, key))


def take() -> list[Change]:
    """What was noted since the last time."""
    taken = sorted(_noted)
    _noted.clear()
    return taken
