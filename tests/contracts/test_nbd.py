"""The NBD server against the tools people have (qemu, libnbd), and against clients that break the protocol."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.adapters import nbd
from server.adapters.nbd import NbdServer, listen_tcp, listen_unix
from server.adapters.nbd_handshake import ABORT, EXPORT_NAME, GO, LIST, MAX_REQUEST, OPTION_MAGIC, SET_META, STRUCTURED_REPLY
from server.domain.errors import Conflict, Damaged, InvalidInput, Misconfigured
from tests.waiting import until

MIB = 1024 * 1024
HOLE, BAD = MIB, 3 * MIB  # where the export has a hole of 1 MiB, and 64 KiB that cannot be read
CONTENT = bytes(range(251)) * (MIB // 251) + bytes(MIB % 251) + bytes(MIB) + b"x" * 2 * MIB


@dataclass(frozen=True)
class Part:
    length: int
    data: memoryview | None


@dataclass
class Memory:
    """4 MiB: data, a hole, data, and a place that fails."""

    name: str = "disk"
    content: bytes = CONTENT
    at: Callable[[], None] = lambda: None

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    def read(self, offset: int, length: int) -> list[Part]:
        self.at()
        if offset + length > self.size_bytes:
            raise InvalidInput("beyond the end")
        if offset < BAD + 65536 and offset + length > BAD:
            raise Damaged("a pack is missing")
        parts, end = [], offset + length
        while offset < end:
            size = min(end, (offset // 65536 + 1) * 65536) - offset
            hole = HOLE <= offset < 2 * MIB
            parts.append(Part(size, None if hole else memoryview(self.content)[offset : offset + size]))
            offset += size
        return parts

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, bool]]:
        for start, end, stored in ((0, HOLE, True), (HOLE, 2 * MIB, False), (2 * MIB, self.size_bytes, True)):
            shared = min(end, offset + length) - max(start, offset)
            if shared > 0:
                yield shared, stored


@contextmanager
def serving(*exports: Memory, listener: socket.socket | None = None) -> Iterator[str]:
    """The server's address, ready to get a disk's name appended."""
    listening = listener or listen_tcp("127.0.0.1", 0)
    server = NbdServer(exports, listening)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield "" if listener else f"nbd://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.close()
        thread.join(10)
        assert not thread.is_alive()
        until(lambda: not [one for one in threading.enumerate() if one.name == "nbd-connection"], what="the end of connections")


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)


class TestTools:
    def test_a_copy_is_the_disk(self, tmp_path: Path) -> None:
        good = Memory(content=CONTENT[:BAD])
        with serving(good) as address:
            assert run("nbdcopy", address + "disk", tmp_path / "copy").returncode == 0
            assert run("qemu-img", "convert", "-f", "raw", "-O", "raw", address + "disk", tmp_path / "image").returncode == 0
        assert (tmp_path / "copy").read_bytes() == good.content
        assert (tmp_path / "image").read_bytes() == good.content

    def test_the_holes_are_known(self) -> None:
        with serving(Memory()) as address:
            lines = [line.split()[:3] for line in run("nbdinfo", "--map", address + "disk").stdout.splitlines()]
        assert lines == [["0", str(MIB), "0"], [str(MIB), str(MIB), "3"], [str(2 * MIB), str(2 * MIB), "0"]]

    def test_it_is_read_only(self) -> None:
        with serving(Memory()) as address:
            shown = run("nbdinfo", address + "disk").stdout
            assert "is_read_only: true" in shown
            assert "can_multi_conn: true" in shown
            assert run("qemu-io", "-f", "raw", "-c", "write 0 512", address + "disk").returncode != 0

    def test_what_cannot_be_read_is_an_error_there_and_nowhere_else(self) -> None:
        with serving(Memory()) as address:
            bad = run("qemu-io", "-r", "-f", "raw", "-c", f"read {BAD} 512", address + "disk")
            assert "Input/output error" in bad.stdout + bad.stderr
            assert run("qemu-io", "-r", "-f", "raw", "-c", f"read -P 120 {BAD - 512} 512", address + "disk").returncode == 0

    def test_every_disk_is_listed(self) -> None:
        with serving(Memory("one"), Memory("zwei/drei")) as address:
            listed = run("nbdinfo", "--list", address).stdout
            assert 'export="one"' in listed
            assert 'export="zwei/drei"' in listed
            assert run("nbdinfo", "--size", address + "zwei/drei").stdout.strip() == str(4 * MIB)
            assert run("nbdinfo", address + "four").returncode != 0

    def test_the_only_disk_needs_no_name(self) -> None:
        with serving(Memory()) as address:
            assert run("nbdinfo", "--size", address).stdout.strip() == str(4 * MIB)

    def test_over_a_unix_socket(self, short_folder: Path) -> None:
        path = short_folder / "nbd.sock"
        with serving(Memory(), listener=listen_unix(path)):
            assert run("nbdinfo", "--size", f"nbd+unix:///disk?socket={path}").stdout.strip() == str(4 * MIB)
        with pytest.raises(Conflict):
            listen_unix(path)
        path.unlink()

    def test_clients_of_the_oldest_kind(self) -> None:
        """nbd-client asks with EXPORT_NAME and without structured replies when told to."""
        with client() as wire:
            wire.sendall(struct.pack(">I", 1))  # fixed newstyle, and the 124 zeros are wanted
            option(wire, EXPORT_NAME, b"disk")
            size, flags = struct.unpack(">QH", take(wire, 10))
            assert (size, flags & 2) == (4 * MIB, 2)
            assert take(wire, 124) == bytes(124)
            request(wire, nbd.READ, MIB - 8, 16)
            assert struct.unpack(">IIQ", take(wire, 16)) == (nbd.SIMPLE_MAGIC, 0, 7)
            assert take(wire, 16) == CONTENT[MIB - 8 : MIB + 8]
            request(wire, nbd.READ, BAD, 1)
            assert struct.unpack(">IIQ", take(wire, 16)) == (nbd.SIMPLE_MAGIC, nbd.EIO, 7)


# ---- on the wire ------------------------------------------------------------------------------------------------------


@contextmanager
def client(export: Memory | None = None) -> Iterator[socket.socket]:
    """Connected, the greeting read."""
    with serving(export or Memory()) as address:
        host, port = address[6:-1].split(":")
        with socket.create_connection((host, int(port)), timeout=20) as wire:
            assert take(wire, 18)[:16] == b"NBDMAGICIHAVEOPT"
            yield wire


def take(wire: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length and (part := wire.recv(length - len(found))):
        found += part
    return found


def option(wire: socket.socket, number: int, data: bytes = b"", magic: bytes = OPTION_MAGIC) -> None:
    wire.sendall(struct.pack(">8sII", magic, number, len(data)) + data)


def reply(wire: socket.socket) -> tuple[int, int, bytes]:
    """Option, kind and data of the next reply."""
    _, number, kind, length = struct.unpack(">QIII", take(wire, 20))
    return number, kind, take(wire, length)


def request(wire: socket.socket, kind: int, offset: int, length: int, *, flags: int = 0, payload: bytes = b"") -> None:
    wire.sendall(struct.pack(">IHHQQI", nbd.REQUEST_MAGIC, flags, kind, 7, offset, length) + payload)


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def chunk(wire: socket.socket) -> tuple[int, int, bytes]:
    """Flags, kind and payload of the next chunk."""
    magic, flags, kind, cookie, length = struct.unpack(">IHHQI", take(wire, 20))
    assert (magic, cookie) == (nbd.CHUNK_MAGIC, 7)
    return flags, kind, take(wire, length)


@contextmanager
def transmission(export: Memory | None = None) -> Iterator[socket.socket]:
    """Structured replies and block status agreed on."""
    with client(export) as wire:
        wire.sendall(struct.pack(">I", 3))
        option(wire, STRUCTURED_REPLY)
        assert reply(wire)[1] == 1
        option(wire, SET_META, text(b"disk") + struct.pack(">I", 1) + text(b"base:allocation"))
        assert reply(wire)[2] == struct.pack(">I", 1) + b"base:allocation"
        assert reply(wire)[1] == 1
        option(wire, GO, text(b"disk") + struct.pack(">H", 0))
        assert reply(wire)[1] == 3
        assert reply(wire)[1] == 1
        yield wire


class TestHandshake:
    def test_leaving_is_answered(self) -> None:
        with client() as wire:
            wire.sendall(struct.pack(">I", 3))
            option(wire, ABORT)
            assert reply(wire) == (ABORT, 1, b"")
            assert take(wire, 1) == b""

    @pytest.mark.parametrize(
        ("number", "data", "kind"),
        [
            (99, b"", (1 << 31) + 1),
            (5, b"", (1 << 31) + 1),  # TLS
            (LIST, b"x", (1 << 31) + 3),
            (STRUCTURED_REPLY, b"x", (1 << 31) + 3),
            (GO, b"", (1 << 31) + 3),
            (GO, struct.pack(">I", 1000) + b"disk", (1 << 31) + 3),
            (GO, text(b"disk") + struct.pack(">H", 3), (1 << 31) + 3),
            (GO, text(b"\xff\xfe") + struct.pack(">H", 0), (1 << 31) + 6),
            (SET_META, text(b"disk") + struct.pack(">I", 1) + text(b"base:allocation"), (1 << 31) + 3),  # too early
        ],
    )
    def test_what_makes_no_sense_is_refused_and_the_talk_goes_on(self, number: int, data: bytes, kind: int) -> None:
        with client() as wire:
            wire.sendall(struct.pack(">I", 3))
            option(wire, number, data)
            assert reply(wire)[:2] == (number, kind)
            option(wire, LIST)
            assert reply(wire)[1:] == (2, text(b"disk"))

    @pytest.mark.parametrize(
        "sent",
        [
            struct.pack(">I", 0),
            struct.pack(">I", 1 << 20 | 3),
            struct.pack(">I", 3) + b"GARBAGE!" + bytes(8),
            struct.pack(">I", 3) + OPTION_MAGIC + struct.pack(">II", GO, 1 << 30),
            struct.pack(">I", 3) + OPTION_MAGIC + struct.pack(">II", EXPORT_NAME, 3) + b"nix",
        ],
    )
    def test_those_who_do_not_speak_it_are_hung_up_on(self, sent: bytes) -> None:
        with client() as wire:
            wire.sendall(sent)
            assert take(wire, 1) == b""


class TestTransmission:
    def test_a_read_across_data_and_hole(self) -> None:
        with transmission() as wire:
            request(wire, nbd.READ, MIB - 65536, 2 * 65536)
            assert chunk(wire) == (0, nbd.DATA, struct.pack(">Q", MIB - 65536) + CONTENT[MIB - 65536 : MIB])
            assert chunk(wire) == (nbd.DONE, nbd.HOLE, struct.pack(">QI", MIB, 65536))

    def test_in_one_chunk_when_asked(self) -> None:
        with transmission() as wire:
            request(wire, nbd.READ, MIB - 65536, 2 * 65536, flags=nbd.FLAG_DF)
            flags, kind, payload = chunk(wire)
            assert (flags, kind, payload[8:]) == (nbd.DONE, nbd.DATA, CONTENT[MIB - 65536 : MIB] + bytes(65536))

    @pytest.mark.parametrize(
        ("kind", "offset", "length", "code"),
        [
            (nbd.READ, 4 * MIB - 1, 2, nbd.EINVAL),
            (nbd.READ, 1 << 63, 1, nbd.EINVAL),
            (nbd.READ, 0, MAX_REQUEST + 1, nbd.EINVAL),
            (nbd.READ, BAD, 1, nbd.EIO),
            (nbd.TRIM, 0, 512, nbd.EPERM),
            (nbd.WRITE_ZEROES, 0, 512, nbd.EPERM),
            (nbd.BLOCK_STATUS, 0, 0, nbd.EINVAL),
            (99, 0, 0, nbd.EINVAL),
        ],
    )
    def test_errors(self, kind: int, offset: int, length: int, code: int) -> None:
        with transmission() as wire:
            request(wire, kind, offset, length)
            flags, answer, payload = chunk(wire)
            assert (flags, answer, *struct.unpack_from(">I", payload)) == (nbd.DONE, nbd.ERROR, code)
            request(wire, nbd.READ, 0, 1)
            assert chunk(wire)[1] == nbd.DATA  # the connection goes on

    def test_a_write_is_refused_with_its_payload_skipped(self) -> None:
        with transmission() as wire:
            request(wire, nbd.WRITE, 0, 512, payload=bytes(512))
            assert chunk(wire)[1] == nbd.ERROR
            request(wire, nbd.FLUSH, 0, 0)
            assert chunk(wire) == (nbd.DONE, nbd.NONE, b"")

    def test_reading_nothing_and_caching(self) -> None:
        with transmission() as wire:
            request(wire, nbd.READ, 0, 0)
            assert chunk(wire) == (nbd.DONE, nbd.NONE, b"")
            request(wire, nbd.CACHE, 0, MIB)
            assert chunk(wire) == (nbd.DONE, nbd.NONE, b"")

    def test_one_extent_when_one_is_asked_for(self) -> None:
        with transmission() as wire:
            request(wire, nbd.BLOCK_STATUS, 0, 4 * MIB, flags=nbd.FLAG_REQ_ONE)
            assert chunk(wire) == (nbd.DONE, nbd.STATUS, struct.pack(">III", 1, MIB, 0))

    def test_a_garbled_request_ends_the_connection(self) -> None:
        with transmission() as wire:
            wire.sendall(b"\0" * 28)
            assert take(wire, 1) == b""

    def test_many_requests_at_once_are_all_answered(self) -> None:
        with transmission() as wire:
            for _ in range(200):
                request(wire, nbd.READ, 4096, 1)
            for _ in range(200):
                assert chunk(wire)[1:] == (nbd.DATA, struct.pack(">Q", 4096) + CONTENT[4096:4097])

    def test_a_failure_of_ours_ends_the_connection_instead_of_leaving_it_hanging(self) -> None:
        def break_down() -> None:
            raise ZeroDivisionError

        with transmission(Memory(at=break_down)) as wire:
            request(wire, nbd.READ, 0, 1)
            assert take(wire, 1) == b""


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(Misconfigured, match=r"192\.0\.2\.1"):
        listen_tcp("192.0.2.1", 0)
