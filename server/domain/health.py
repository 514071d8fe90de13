"""When a policy's backups are checked, and which share of their blocks is read then. Pure."""

from __future__ import annotations

import calendar
import enum
from datetime import UTC, date, datetime

from server.domain.errors import InvalidInput
from server.domain.periods import Ordinal
from server.domain.policy import HealthCheck

SHARES = 12  # a check a month: every block is read within a year
SHARES_MAX = 1000
VERIFY_SHARES = 17  # a prime: whatever the days between backups, all shares have their turn


class CheckLevel(enum.Enum):
    """How closely a repository is looked at. Each includes the one before."""

    STRUCTURE = "structure"  # every manifest and tree node is read
    AVAILABLE = "available"  # and every pack is asked for: there, long enough, locked as promised
    CONTENT = "content"  # and blocks are read and compared with their content ids


_FROM_THE_FIRST = (Ordinal.FIRST, Ordinal.SECOND, Ordinal.THIRD, Ordinal.FOURTH)


def is_due(plan: HealthCheck, day: date) -> bool:
    """Whether ``day`` is the weekday of its month that the plan names."""
    if day.weekday() != plan.weekday.value:
        return False
    if plan.ordinal is Ordinal.LAST:
        return day.day + 7 > calendar.monthrange(day.year, day.month)[1]
    return _FROM_THE_FIRST.index(plan.ordinal) == (day.day - 1) // 7


def monthly_share(day: date) -> int:
    """Which of SHARES disjoint shares of the blocks is read this month: all of them within SHARES months."""
    return (day.year * 12 + day.month - 1) % SHARES


def daily_share(now: datetime, shares: int) -> int:
    """Which of ``shares`` disjoint shares is read today: all of them within as many days. InvalidInput: not 1 to SHARES_MAX."""
    if not 1 <= shares <= SHARES_MAX:
        wrong = f"Between 1 (all blocks) and {SHARES_MAX}."
        raise InvalidInput(f"A check reads one of 1 to {SHARES_MAX} shares of the blocks.", fields={"shares": wrong})
    return now.astimezone(UTC).date().toordinal() % shares


def verify_share(now: datetime) -> int:
    """Which of VERIFY_SHARES shares of the old blocks the verification of a backup made today reads."""
    return daily_share(now, VERIFY_SHARES)
