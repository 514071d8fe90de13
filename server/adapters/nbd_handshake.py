"""The first half of NBD: fixed newstyle negotiation (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

GREETING: Final = b"NBDMAGICIHAVEOPT"
OPTION_MAGIC: Final = b"IHAVEOPT"
REPLY_MAGIC: Final = 0x3E889045565A9
FIXED_NEWSTYLE, NO_ZEROES = 1, 2  # flags of the handshake

EXPORT_NAME, ABORT, LIST, INFO, GO, STRUCTURED_REPLY, LIST_META, SET_META = 1, 2, 3, 6, 7, 8, 9, 10
ACK, SERVER, INFO_REPLY, META_CONTEXT = 1, 2, 3, 4
UNSUPPORTED, INVALID, UNKNOWN = (1 << 31) + 1, (1 << 31) + 3, (1 << 31) + 6
INFO_EXPORT, INFO_NAME, INFO_BLOCK_SIZE = 0, 1, 3

# Flags of an export: HAS_FLAGS, READ_ONLY, SEND_FLUSH, SEND_DF, CAN_MULTI_CONN, SEND_CACHE.
EXPORT_FLAGS: Final = 1 | 1 << 1 | 1 << 2 | 1 << 7 | 1 << 8 | 1 << 10
ALLOCATION: Final = b"base:allocation"
ALLOCATION_ID: Final = 1
PREFERRED_SIZE: Final = 512 * 1024
MAX_REQUEST: Final = 32 * 1024 * 1024
MAX_OPTION: Final = 64 * 1024  # bytes of one option; names have at most 4,096
MAX_OPTIONS: Final = 1000  # of one handshake


class Piece(Protocol):
    """``data`` None: ``length`` zeros."""

    @property
    def length(self) -> int: ...
    @property
    def data(self) -> memoryview | None: ...


class Export(Protocol):
    """A disk to serve. ``read`` gives a range in pieces; ``extents`` in runs (bytes, whether anything is stored). Both raise
    errors of ``domain.errors`` and are called from several threads."""

    @property
    def name(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    def read(self, offset: int, length: int) -> Sequence[Piece]: ...
    def extents(self, offset: int, length: int) -> Iterator[tuple[int, bool]]: ...


@dataclass(slots=True)
class Agreed:
    """What a client has asked for until now. ``export`` is set when transmission may begin."""

    export: Export | None = None
    structured: bool = False
    allocation: bool = False


class Refused(Exception):
    """The client does not speak the protocol, or leaves."""


def receive(connection: socket.socket, length: int) -> bytes:
    """Exactly ``length`` bytes. Refused when the client goes before."""
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise Refused("the client left")
        parts += part
    return bytes(parts)


def negotiate(connection: socket.socket, exports: Mapping[str, Export]) -> Agreed | None:
    """Until the client chose an export; None when it only looked around. Refused, OSError."""
    connection.sendall(GREETING + struct.pack(">H", FIXED_NEWSTYLE | NO_ZEROES))
    (client_flags,) = struct.unpack(">I", receive(connection, 4))
    if client_flags & ~(FIXED_NEWSTYLE | NO_ZEROES) or not client_flags & FIXED_NEWSTYLE:
        raise Refused("the client does not know fixed newstyle negotiation")
    agreed = Agreed()
    for _ in range(MAX_OPTIONS):
        magic, option, length = struct.unpack(">8sII", receive(connection, 16))
        if magic != OPTION_MAGIC or length > MAX_OPTION:
            raise Refused("an option is malformed")
        data = receive(connection, length)
        if option == ABORT:
            _reply(connection, option, ACK)
            return None
        if option == EXPORT_NAME:
            return _export_name(connection, exports, data, agreed, padded=not client_flags & NO_ZEROES)
        _answer(connection, exports, option, data, agreed)
        if agreed.export is not None:
            return agreed
    raise Refused("the client never chooses an export")


def _export_name(
    connection: socket.socket, exports: Mapping[str, Export], data: bytes, agreed: Agreed, *, padded: bool
) -> Agreed:
    """The oldest way to choose: there is no way to refuse but to hang up."""
    agreed.export = _chosen(exports, data)
    if agreed.export is None:
        raise Refused("the client asks for an unknown export")
    connection.sendall(struct.pack(">QH", agreed.export.size_bytes, EXPORT_FLAGS) + bytes(124 if padded else 0))
    return agreed


def _answer(connection: socket.socket, exports: Mapping[str, Export], option: int, data: bytes, agreed: Agreed) -> None:
    try:
        if option == LIST and not data:
            for name in exports:
                encoded = name.encode()
                _reply(connection, option, SERVER, struct.pack(">I", len(encoded)) + encoded)
            _reply(connection, option, ACK)
        elif option in (INFO, GO):
            _info(connection, exports, option, data, agreed)
        elif option == STRUCTURED_REPLY and not data:
            agreed.structured = True
            _reply(connection, option, ACK)
        elif option in (LIST_META, SET_META):
            _meta(connection, exports, option, data, agreed)
        elif option in (LIST, STRUCTURED_REPLY):
            _reply(connection, option, INVALID, b"this option carries no data")
        else:
            _reply(connection, option, UNSUPPORTED)
    except (struct.error, IndexError):
        _reply(connection, option, INVALID, b"malformed")


def _info(connection: socket.socket, exports: Mapping[str, Export], option: int, data: bytes, agreed: Agreed) -> None:
    name, rest = _string(data)
    (count,) = struct.unpack_from(">H", rest)
    wanted = struct.unpack_from(f">{count}H", rest, 2)
    export = _chosen(exports, name)
    if export is None:
        _reply(connection, option, UNKNOWN, _no_export(exports))
        return
    _reply(connection, option, INFO_REPLY, struct.pack(">HQH", INFO_EXPORT, export.size_bytes, EXPORT_FLAGS))
    if INFO_NAME in wanted:
        _reply(connection, option, INFO_REPLY, struct.pack(">H", INFO_NAME) + export.name.encode())
    if INFO_BLOCK_SIZE in wanted:
        sizes = struct.pack(">HIII", INFO_BLOCK_SIZE, 1, PREFERRED_SIZE, MAX_REQUEST)
        _reply(connection, option, INFO_REPLY, sizes)
    _reply(connection, option, ACK)
    if option == GO:
        agreed.export = export


def _meta(connection: socket.socket, exports: Mapping[str, Export], option: int, data: bytes, agreed: Agreed) -> None:
    """The one context there is says which ranges are holes; no query at all means "list them"."""
    name, rest = _string(data)
    (count,) = struct.unpack_from(">I", rest)
    queries, rest = [], rest[4:]
    for _ in range(count):
        query, rest = _string(rest)
        queries.append(query)
    if not agreed.structured:
        _reply(connection, option, INVALID, b"structured replies come first")
        return
    if _chosen(exports, name) is None:
        _reply(connection, option, UNKNOWN, _no_export(exports))
        return
    asked = ALLOCATION in queries or (option == LIST_META and (not queries or b"base:" in queries))
    if asked:
        _reply(connection, option, META_CONTEXT, struct.pack(">I", ALLOCATION_ID if option == SET_META else 0) + ALLOCATION)
    if option == SET_META:
        agreed.allocation = asked
    _reply(connection, option, ACK)


def _chosen(exports: Mapping[str, Export], name: bytes) -> Export | None:
    """The default export (no name) is the only one there is."""
    if not name and len(exports) == 1:
        return next(iter(exports.values()))
    return exports.get(name.decode(errors="replace"))


def _no_export(exports: Mapping[str, Export]) -> bytes:
    return f"there is no such disk; there are: {', '.join(exports)}".encode()


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A length and so many bytes; then the rest. IndexError when there are not so many."""
    (length,) = struct.unpack_from(">I", data)
    if length > len(data) - 4:
        raise IndexError(length)
    return data[4 : 4 + length], data[4 + length :]


def _reply(connection: socket.socket, option: int, kind: int, data: bytes = b"") -> None:
    connection.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)
