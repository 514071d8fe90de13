"""moto on the account's clock: every date it makes is of ``clock``, but for sessions, which callers hold in real time."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from moto.core import utils

from server.demo import clock

_REAL = utils.utcnow
_LEFT_ALONE = ("moto.sts",)


def utcnow() -> datetime:
    """As moto's: UTC without saying so."""
    return datetime.fromtimestamp(clock.now(), UTC).replace(tzinfo=None)


def install() -> None:
    """Put our clock wherever moto's modules, loaded already or later, look for the time."""
    utils.utcnow = utcnow
    for name, module in list(sys.modules.items()):
        if not name.startswith("moto.") or name.startswith(_LEFT_ALONE):
            continue
        if getattr(module, "utcnow", None) is _REAL:
            module.utcnow = utcnow  # type: ignore[attr-defined]  # just seen
