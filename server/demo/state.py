"""What moto knows, kept across restarts: all its backends pickled together, since they refer to one another.

Records that changed since lie beside it, each pickled by itself.
"""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from moto.core.base_backend import BackendDict, BaseBackend

from server.demo import changes
from server.demo.ledger import Ledger

log = logging.getLogger(__name__)

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


class _Pickler(pickle.Pickler):
    """Pickles private keys too (of KMS keys and key pairs)."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, RSAPrivateKey | EllipticCurvePrivateKey):
            encoded = value.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            return _private_key, (encoded,)
        return NotImplemented


def _private_key(encoded: bytes) -> Any:
    return serialization.load_der_private_key(encoded, None)


def _pickled(backends: dict[tuple[str, str, str], Any]) -> bytes:
    body = io.BytesIO()
    _Pickler(body, pickle.HIGHEST_PROTOCOL).dump(backends)
    return body.getvalue()


class _RecordPickler(_Pickler):
    """Pickles one record; the backends it refers to stay where they are."""

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, BaseBackend):
            return None
        return next(name for name, backend in _backends().items() if backend is value)


class _RecordUnpickler(pickle.Unpickler):
    def __init__(self, body: io.BytesIO, table_of: Callable[[str], Any]) -> None:
        super().__init__(body)
        self._table_of = table_of

    def persistent_load(self, pid: tuple[str, str, str]) -> Any:
        service, account, region = pid
        return self._table_of(service)[account][region]


def _pickled_record(record: Any) -> bytes:
    body = io.BytesIO()
    _RecordPickler(body, pickle.HIGHEST_PROTOCOL).dump(record)
    return body.getvalue()


class Memory:
    """Saves and restores moto. The caller holds moto's lock."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen = 0
        self._unkept: set[str] = set()

    def save(self) -> None:
        backends = _backends()
        kept = {name: backend for name, backend in backends.items() if name[0] not in self._unkept}
        try:
            body = _pickled(kept)
        except (TypeError, AttributeError, pickle.PicklingError):
            self._leave_out_what_cannot_be_kept(kept)
            self.save()
            return
        with self._ledger.write() as db:
            self._ledger.keep(_NAME, body)
            db.execute("DELETE FROM record")
        changes.take()
        self._seen = len(backends)

    def save_changes(self) -> None:
        """Only the records noted as changed."""
        if self.grown():
            self.save()
            return
        backends = _backends()
        with self._ledger.write() as db:
            for service, account, region, table, key in changes.take():
                record = getattr(backends[service, account, region], table).get(key)
                body = None if record is None else _pickled_record(record)
                row = (service, account, region, table, key, body)
                db.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?)", row)

    def _leave_out_what_cannot_be_kept(self, backends: dict[tuple[str, str, str], Any]) -> None:
        """Find the services whose state cannot be pickled. Errors: RuntimeError when it is none of them."""
        found = set()
        for name, backend in backends.items():
            try:
                _pickled({name: backend})
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                found.add(name[0])
                log.warning("the state of %s will not outlive this process: %s", name[0], error)
        if not found:
            raise RuntimeError("moto's state cannot be saved, though each part of it can")
        self._unkept |= found

    def grown(self) -> bool:
        """Whether a request made moto create a backend (a Region's default VPC has random ids, which must stay)."""
        return len(_backends()) != self._seen

    def load(self, table_of: Callable[[str], Any]) -> None:
        """Put saved backends back. ``table_of``: moto's table of backends by service name."""
        kept = self._ledger.document(_NAME)
        if kept is None:
            return
        saved = pickle.loads(kept)  # noqa: S301 (our own file, readable by us alone)
        for (service, account, region), backend in saved.items():
            table = table_of(service)
            if isinstance(table.backend, type) and issubclass(table.backend, type(backend)):
                backend.__class__ = table.backend  # kept by a version that still left this service to moto
            dict.__setitem__(table[account], region, backend)
        self._seen = len(saved)
        for service, account, region, part, key, body in self._ledger.reader.execute("SELECT * FROM record"):
            records = getattr(table_of(service)[account][region], part)
            if body is None:
                records.pop(key, None)
            else:
                records[key] = _RecordUnpickler(io.BytesIO(body), table_of).load()
