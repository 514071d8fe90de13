"""Reading archived points back: how long S3 takes to make them readable, and how long they stay so. Pure.

A point's retrieval goes (none) → REQUESTED → AVAILABLE → EXPIRED, and from EXPIRED or (none) to REQUESTED again. Cancelling
takes REQUESTED back to (none): S3 goes on with what it was asked for, and a later request finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from server.domain.errors import Conflict, InvalidInput
from server.domain.repository import RetrievalMode, StorageClass
from server.domain.restore import Retrieval, RetrievalState

DAYS_MAX: Final = 365  # a readable copy kept longer than a year is better archived in STANDARD
KEEP_DAYS_MAX: Final = 36_135  # as for every retention
MARGIN: Final = timedelta(hours=2)  # a copy this near its end is given another day before it is relied upon
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long S3 says a retrieval takes, typically. Equal where it promises a latest moment only."""

    earliest: timedelta
    latest: timedelta


def _hours(earliest: float, latest: float) -> Wait:
    return Wait(timedelta(hours=earliest), timedelta(hours=latest))


WAITS: Final[Mapping[StorageClass, Mapping[RetrievalMode, Wait]]] = MappingProxyType(
    {
        StorageClass.STANDARD: {},
        StorageClass.GLACIER: {
            RetrievalMode.EXPEDITED: Wait(timedelta(minutes=1), timedelta(minutes=5)),
            RetrievalMode.STANDARD: _hours(3, 5),
            RetrievalMode.BULK: _hours(5, 12),
        },
        StorageClass.DEEP_ARCHIVE: {
            RetrievalMode.STANDARD: _hours(12, 12),
            RetrievalMode.BULK: _hours(48, 48),
        },
    }
)


def check_order(storage_class: StorageClass, mode: RetrievalMode, days: int) -> None:
    """InvalidInput (``fields`` mode, days) for a retrieval S3 would refuse."""
    fields = {}
    if mode not in WAITS[storage_class]:
        words = {
            StorageClass.STANDARD: "Data in this storage class needs no retrieval.",
            StorageClass.DEEP_ARCHIVE: "Deep Archive has no expedited retrieval: choose standard or bulk.",
        }
        fields["mode"] = words.get(storage_class, "This storage class does not have the mode.")
    if not 1 <= days <= DAYS_MAX:
        fields["days"] = f"Between 1 and {DAYS_MAX} days."
    if fields:
        raise InvalidInput(next(iter(fields.values())), fields=fields)


def expected(storage_class: StorageClass, mode: RetrievalMode, asked_at: datetime) -> tuple[datetime, datetime]:
    """Between which moments the data asked for at ``asked_at`` becomes readable."""
    wait = WAITS[storage_class][mode]
    return asked_at + wait.earliest, asked_at + wait.latest


# ---- the state of a point's retrieval ---------------------------------------------------------------------------------


def current(retrieval: Retrieval | None, now: datetime) -> Retrieval | None:
    """As it is now: a copy whose time is over is EXPIRED, whether or not anybody noted it."""
    if retrieval is None or retrieval.state is not RetrievalState.AVAILABLE:
        return retrieval
    if retrieval.available_until is not None and retrieval.available_until <= now:
        return replace(retrieval, state=RetrievalState.EXPIRED)
    return retrieval


def asked(retrieval: Retrieval | None, mode: RetrievalMode, days: int, now: datetime) -> Retrieval:
    """REQUESTED. Conflict while one is under way or its copy is still readable."""
    before = current(retrieval, now)
    if before is not None and before.state is RetrievalState.REQUESTED:
        raise Conflict("The point is being retrieved already.", remedy="Wait for it, or cancel its session first.")
    if before is not None and before.state is RetrievalState.AVAILABLE:
        raise Conflict(
            f"The point is readable already, until {before.available_until:%Y-%m-%d %H:%M} UTC.",
            remedy="Extend the retrieval to keep it longer.",
        )
    return Retrieval(state=RetrievalState.REQUESTED, mode=mode, days=days, requested_at=now)


def available(retrieval: Retrieval, until: datetime) -> Retrieval:
    """The copy is there, for as long as the store says."""
    return replace(retrieval, state=RetrievalState.AVAILABLE, available_until=until)


def extended_until(retrieval: Retrieval | None, days: int, now: datetime) -> datetime:
    """The end of a readable copy kept ``days`` longer: they are added to its current end. Conflict when there is no copy."""
    before = current(retrieval, now)
    if before is None or before.state is not RetrievalState.AVAILABLE or before.available_until is None:
        expired = before is not None and before.state is RetrievalState.EXPIRED
        raise Conflict(
            f"There is nothing to extend: a readable copy {'has expired' if expired else 'is not there'}.",
            remedy="Retrieve the point first.",
        )
    return before.available_until + timedelta(days=days)


def days_to_ask(until: datetime, now: datetime) -> int:
    """How many days to ask for now so that a copy lasts until ``until``. S3 counts them from the moment it is asked and rounds
    the end up to the next midnight UTC."""
    midnight = (until + _DAY - timedelta.resolution).astimezone(UTC).date()  # the first one not before ``until``
    return max(1, (midnight - now.astimezone(UTC).date()).days - 1)


def too_short(until: datetime, now: datetime) -> bool:
    """Whether a copy that ends then must be extended before somebody goes on reading it."""
    return until - now < MARGIN


# ---- keeping ----------------------------------------------------------------------------------------------------------


def check_keep_days(days: int) -> None:
    if not 1 <= days <= KEEP_DAYS_MAX:
        wrong = f"An archive is kept between 1 and {KEEP_DAYS_MAX} days."
        raise InvalidInput(wrong, fields={"keepDays": wrong})
