"""What moto knows, kept across restarts: all its backends pickled together, since they refer to one another."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from moto.core.base_backend import BackendDict

from server.demo.ledger import Ledger

_NAME = "moto"
_EMPTY_FORGOTTEN = frozenset({"instance_metadata", "moto_api"})  # no state of their own


def _backends() -> dict[tuple[str, str, str], Any]:
    return {
        (kind.service_name, account, region): backend
        for kind in list(BackendDict._instances)  # type: ignore[misc]  # moto's own register of tables in use
        if kind.service_name not in _EMPTY_FORGOTTEN
        for account, regions in list(kind.items())
        for region, backend in list(regions.items())
    }


class Memory:
    """Saves and restores moto. The caller holds moto's lock."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen = 0

    def save(self) -> None:
        backends = _backends()
        body = pickle.dumps(backends, pickle.HIGHEST_PROTOCOL)
        with self._ledger.write() as db:
            db.execute("INSERT OR REPLACE INTO document (name, body) VALUES (?, ?)", (_NAME, body))
        self._seen = len(backends)

    def grown(self) -> bool:
        """Whether a request made moto create a backend (a Region's default VPC has random ids, which must stay)."""
        return len(_backends()) != self._seen

    def load(self, table_of: Callable[[str], Any]) -> None:
        """Put saved backends back. ``table_of``: moto's table of backends by service name."""
        row = self._ledger.reader.execute("SELECT body FROM document WHERE name = ?", (_NAME,)).fetchone()
        if row is None:
            return
        saved = pickle.loads(row[0])  # noqa: S301 (our own file, readable by us alone)
        for (service, account, region), backend in saved.items():
            dict.__setitem__(table_of(service)[account], region, backend)
        self._seen = len(saved)
