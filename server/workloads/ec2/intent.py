"""Doing once what AWS gives no client token for.

The intent is stored before the call, and the call is made only while the intent is fresh; after a lost answer or a crash we
look for what may have been made until AWS must have shown it, and only then state a new intent, with more time if the queue is
busy.
"""

from __future__ import annotations

import enum
from typing import Any, Final

from server.ports import Clock

FRESH: Final = 20.0  # seconds in which a stated intent may be acted upon; below the time a crashed task takes to come back
SETTLE: Final = 15.0  # seconds after which AWS surely lists what was made
LOOK_AGAIN: Final = 2.0  # seconds

Json = dict[str, Any]


class Standing(enum.Enum):
    ACT = "act"  # the call may be made
    LOOK = "look"  # it may have been made: look, do not repeat it
    ANEW = "anew"  # it surely was not made


def stated(clock: Clock, *, after: float = 0.0) -> Json:
    """What goes into the memo before the call, which will be made ``after`` so many seconds."""
    return {"intentAt": clock.now().timestamp() + after, "fresh": FRESH, "inDoubt": False}


def standing(clock: Clock, memo: Json) -> Standing:
    age = clock.now().timestamp() - memo["intentAt"]
    if age > memo["fresh"] + SETTLE:
        return Standing.ANEW
    return Standing.LOOK if age > memo["fresh"] or memo.get("inDoubt") else Standing.ACT


def doubtful(memo: Json) -> Json:
    """The memo after a call whose answer was lost."""
    return {**memo, "inDoubt": True}


def renewed(clock: Clock, memo: Json) -> Json:
    return {**memo, "intentAt": clock.now().timestamp(), "fresh": memo["fresh"] * 2, "inDoubt": False}
