"""From wall-clock times of a zone to instants, across both changes of the clock. Pure: zones come from the IANA database.

A wall-clock time happens at the first instant when the local clock shows it or later: one that is skipped (summer time begins)
happens at the moment of the change, one that is shown twice (summer time ends) happens the first time only.
"""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from server.domain.errors import InvalidInput


@lru_cache(maxsize=64)
def zone(name: str) -> zoneinfo.ZoneInfo:
    """InvalidInput for a name the database does not have."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(
            f"Unknown time zone {name!r}.",
            remedy="Use an IANA name such as Europe/Berlin.",
            fields={"schedule.timezone": "Unknown time zone."},
        ) from None


def local_date(moment: datetime, where: zoneinfo.ZoneInfo) -> date:
    return moment.astimezone(where).date()


@lru_cache(maxsize=4096)
def first_instant(wall: datetime, where: zoneinfo.ZoneInfo) -> datetime:
    """The first UTC instant at which clocks in ``where`` show ``wall`` (a naive time) or later."""
    instant = wall.replace(tzinfo=where, fold=0).astimezone(UTC)
    if instant.astimezone(where).replace(tzinfo=None) == wall:
        return instant
    return _moment_of_change(wall.replace(tzinfo=where, fold=1).astimezone(UTC), instant, where)


def _moment_of_change(before: datetime, after: datetime, where: zoneinfo.ZoneInfo) -> datetime:
    """The instant between the two, in whole seconds, from which the zone's offset is that of ``after``."""
    new_offset = after.astimezone(where).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while low < high:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(where).utcoffset() == new_offset:
            high = middle
        else:
            low = middle + 1
    return before + timedelta(seconds=low)
