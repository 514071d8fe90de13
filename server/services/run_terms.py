"""What a run took from its policy when it began: later edits of the policy do not reach into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from server.domain.codec import from_json
from server.domain.guest import Guest
from server.domain.periods import Frequency
from server.domain.policy import Policy, Tag
from server.domain.restore import Leg
from server.domain.retention import Rules
from server.domain.schedule import Flags
from server.domain.scope import VolumeExclusions
from server.domain.session import Session

KEY: Final = "terms"  # of a session's document
TEMPORARY_DAYS: Final = 1  # what a backup that only feeds an archive is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTerms:
    """``policy``: its name. ``track``: the snapshot behind each backup is held, to be compared with by the next."""

    policy: str
    copy_tags: bool = True
    tags: tuple[Tag, ...] = ()
    excluded: VolumeExclusions = field(default_factory=VolumeExclusions)
    guest: Guest = field(default_factory=Guest)
    track: bool = True

    @classmethod
    def taken(cls, policy: Policy, *, track: bool) -> RunTerms:
        return cls(
            policy=policy.name,
            copy_tags=policy.copy_tags,
            tags=policy.tags,
            excluded=policy.scope.excluded_volumes,
            guest=policy.guest,
            track=track,
        )

    @property
    def scripts(self) -> bool:
        """Whether there is anything to run in guests."""
        return self.guest.linux is not None or self.guest.windows is not None

    def labels(self) -> dict[str, str]:
        return {tag.key: tag.value for tag in self.tags}


def of(session: Session) -> RunTerms:
    return from_json(RunTerms, session.document[KEY])


def kept(rules: Rules, leg: Leg, flags: Flags, now: datetime) -> dict[str, Any]:
    """``{"days", "schedule", "flags"}``: how long a point made now is kept by the flag that keeps it longest, that flag, and
    all of them. Without any flag it is temporary."""
    known = rules.get(leg, {})
    periods = {flag: known[flag].period for flag in flags.get(leg, ()) if flag in known}
    days = {flag: (period.after(now) - now).days for flag, period in periods.items() if period is not None}
    longest = max(days, key=lambda flag: days[flag], default=None)
    names = [flag.value for flag in Frequency if flag in flags.get(leg, ())]
    if longest is None:
        return {"days": TEMPORARY_DAYS, "schedule": Frequency.DAILY.value, "flags": names}
    return {"days": days[longest], "schedule": longest.value, "flags": names}
