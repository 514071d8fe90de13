"""What people set for the whole appliance."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from server.domain.access import Caller, Role
from server.domain.errors import InvalidInput
from server.domain.periods import Period, Unit
from server.domain.preferences import PREFERENCES_ID, Preferences
from server.ports import Tx
from server.services import replies
from server.services.context import Services

OBSOLETE: Final = {Unit.DAYS: (15, 36135), Unit.MONTHS: (1, 1188)}


def current(app: Services, caller: Caller) -> Preferences:
    """As they came, while nobody has set any."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return _stored(tx) or Preferences()


def update(
    app: Services, caller: Caller, obsolete_snapshots: Period | None, *, dry_run: bool = False, key: str | None = None
) -> Preferences:
    """``obsolete_snapshots``: how old snapshots and replicas get that no policy looks after; None: they stay.

    Errors: Forbidden, InvalidInput.
    """
    caller.require(Role.ADMINISTRATOR)
    _check(obsolete_snapshots)
    now = app.clock.now()
    with app.store.transaction() as tx:
        stored = _stored(tx, lock=True)
        if replies.earlier(tx, caller, "updatePreferences", key) is not None:
            return stored or Preferences()
        before = stored or Preferences()
        changed = replace(before, obsolete_snapshots=obsolete_snapshots)
        if dry_run or changed == before:
            return changed
        if stored is None:
            tx.preferences.add(changed)
        else:
            changed = replace(changed, revision=before.revision + 1)
            tx.preferences.save(changed)
        kept = "are kept" if obsolete_snapshots is None else f"go when they are {obsolete_snapshots} old"
        text = f"{caller.name} changed the preferences: snapshots no policy looks after {kept}."
        tx.activity.append(at=now, kind="preferences", subject_id=changed.id, change="changed", message=text)
        replies.keep(tx, caller, "updatePreferences", key, changed.id, at=now)
    return changed


def _stored(tx: Tx, *, lock: bool = False) -> Preferences | None:
    return tx.preferences.many([PREFERENCES_ID], lock=lock).get(PREFERENCES_ID)


def _check(period: Period | None) -> None:
    if period is None:
        return
    if period.unit not in OBSOLETE:
        wrong = "Give days or months."
    else:
        least, most = OBSOLETE[period.unit]
        if least <= period.amount <= most:
            return
        wrong = f"Between {least} and {most} {period.unit.value}."
    raise InvalidInput(f"This age of obsolete snapshots cannot be set: {wrong}", fields={"obsoleteSnapshots": wrong})
