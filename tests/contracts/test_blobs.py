"""One suite for every store: memory, a local folder, S3 with and without versions, and a store behind the fault injector."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from server.adapters.blobs.faulty import FaultyBlobs
from server.adapters.blobs.local import LocalBlobs
from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.blobs.s3 import S3Blobs
from server.adapters.clock import SystemClock
from server.domain.errors import (
    AlreadyThere,
    HoldfastError,
    InvalidInput,
    NotFound,
    Unavailable,
)
from server.domain.immutability import BucketFacts
from server.ports import Blobs
from tests.contracts.buckets import DemoS3, demo_s3, s3_server

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BUCKET = "holdfast-contract"


@pytest.fixture(scope="module")
def s3_client() -> Iterator[S3Client]:
    with s3_server() as client:
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoS3]:
    with demo_s3() as found:
        yield found


@pytest.fixture(params=["memory", "memory with locks", "local", "s3", "s3 whole bucket", "demo s3", "s3 with locks", "faulty"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param in ("demo s3", "s3 with locks"):
        account: DemoS3 = request.getfixturevalue("demo")
        return S3Blobs(account.client, account.bucket(lock=request.param == "s3 with locks"), "folder", page_size=7)
    if request.param == "memory with locks":
        return MemoryBlobs(SystemClock(), facts=BucketFacts(versioning="enabled", object_lock=True))
    if request.param == "local":
        return LocalBlobs(tmp_path / "repo" / "folder")
    if request.param == "faulty":
        return FaultyBlobs(MemoryBlobs(SystemClock()), SystemClock(), seed=1)
    if request.param.startswith("s3"):
        client: S3Client = request.getfixturevalue("s3_client")
        if request.param == "s3":
            return S3Blobs(client, BUCKET, f"Veeam/Backup/{uuid4()}/", page_size=7)
        bucket = f"holdfast-{uuid4()}"
        client.create_bucket(Bucket=bucket)
        return S3Blobs(client, bucket)
    return MemoryBlobs(SystemClock())


def names(blobs: Blobs, prefix: str = "", after: str = "") -> list[str]:
    return [blob.name for blob in blobs.list(prefix, after=after)]


class TestReadingAndWriting:
    def test_what_is_put_is_got(self, blobs: Blobs) -> None:
        blob = blobs.put("a/b c+ü.bin", b"hello")
        assert (blob.name, blob.size) == ("a/b c+ü.bin", 5)
        assert blobs.get("a/b c+ü.bin") == b"hello"
        assert names(blobs) == ["a/b c+ü.bin"]

    def test_empty_objects_exist(self, blobs: Blobs) -> None:
        blobs.put("empty", b"")
        assert blobs.get("empty") == b""
        assert blobs.get("empty", start=0, length=10) == b""
        head = blobs.head("empty")
        assert head is not None
        assert head.size == 0

    def test_large_objects_from_a_view(self, blobs: Blobs) -> None:
        data = os.urandom(3 * 1024 * 1024 + 17)
        buffer = bytearray(b"x" * 100 + data + b"y" * 100)
        view = memoryview(buffer)[100:-100]
        assert blobs.put("packs/big", view).size == len(data)
        buffer[100:200] = bytes(100)  # the store kept its own copy
        assert blobs.get("packs/big") == data

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [
            (0, 3, b"012"),
            (4, 2, b"45"),
            (7, None, b"789"),
            (8, 100, b"89"),
            (10, 5, b""),
            (99, 5, b""),
            (99, None, b""),
            (3, 0, b""),
        ],
    )
    def test_ranges(self, blobs: Blobs, start: int, length: int | None, expected: bytes) -> None:
        blobs.put("digits", b"0123456789")
        assert blobs.get("digits", start=start, length=length) == expected

    def test_absent(self, blobs: Blobs) -> None:
        assert blobs.head("nothing") is None
        for length in (None, 0, 5):
            with pytest.raises(NotFound):
                blobs.get("nothing", length=length)

    def test_a_folder_is_no_object(self, blobs: Blobs) -> None:
        blobs.put("folder/object", b"1")
        assert blobs.head("folder") is None
        with pytest.raises(HoldfastError):
            blobs.get("folder")

    def test_overwriting_changes_the_version(self, blobs: Blobs) -> None:
        first = blobs.put("x", b"one")
        second = blobs.put("x", b"two")
        assert blobs.get("x") == b"two"
        assert first.version != second.version
        head = blobs.head("x")
        assert head is not None
        assert head.version == second.version

    def test_delete(self, blobs: Blobs) -> None:
        for name in ("a", "b", "c/d"):
            blobs.put(name, b"1")
        assert blobs.delete(["a", "c/d", "never was"]) == []
        assert names(blobs) == ["b"]
        assert blobs.delete([]) == []
        assert names(blobs) == ["b"]

    @pytest.mark.parametrize("name", ["", "/abs", "a//b", "../up", "a/../b", "a/./b", "a/", "nul\0", "back\\slash", "x" * 1001])
    def test_names_that_could_leave_the_folder_are_refused(self, blobs: Blobs, name: str) -> None:
        for action in (lambda: blobs.put(name, b""), lambda: blobs.get(name), lambda: blobs.head(name)):
            with pytest.raises(InvalidInput):
                action()
        with pytest.raises(InvalidInput):
            blobs.delete([name])
        assert names(blobs) == []


class TestConditions:
    def test_if_absent(self, blobs: Blobs) -> None:
        blobs.put("once", b"first", if_absent=True)
        with pytest.raises(AlreadyThere):
            blobs.put("once", b"second", if_absent=True)
        assert blobs.get("once") == b"first"

    def test_if_version(self, blobs: Blobs) -> None:
        first = blobs.put("state", b"1")
        second = blobs.put("state", b"2", if_version=first.version)
        with pytest.raises(AlreadyThere):
            blobs.put("state", b"3", if_version=first.version)
        assert blobs.get("state") == b"2"
        blobs.put("state", b"4", if_version=second.version)
        assert blobs.get("state") == b"4"

    def test_if_version_of_something_gone(self, blobs: Blobs) -> None:
        first = blobs.put("state", b"1")
        blobs.delete(["state"])
        with pytest.raises(AlreadyThere):
            blobs.put("state", b"2", if_version=first.version)
        assert blobs.head("state") is None

    def test_versions_in_a_list_are_those_of_head(self, blobs: Blobs) -> None:
        blobs.put("state", b"1")
        (listed,) = blobs.list()
        blobs.put("state", b"2", if_version=listed.version)
        assert blobs.get("state") == b"2"

    def test_of_many_creators_one_wins(self, blobs: Blobs) -> None:
        won: list[int] = []

        def create(number: int) -> None:
            try:
                blobs.put("contested", str(number).encode(), if_absent=True)
            except (AlreadyThere, Unavailable):
                return
            won.append(number)

        run_together([lambda n=n: create(n) for n in range(8)])  # type: ignore[misc]  # binds the loop's value
        assert blobs.get("contested") == str(won[0]).encode()
        assert len(won) == 1

    def test_no_update_is_lost(self, blobs: Blobs) -> None:
        blobs.put("counter", b"00")

        def count_up() -> None:
            for _ in range(5):
                while True:
                    head = blobs.head("counter")
                    assert head is not None
                    value = int(blobs.get("counter"))
                    try:
                        blobs.put("counter", f"{value + 1:02}".encode(), if_version=head.version)
                    except (AlreadyThere, Unavailable):
                        continue
                    break

        run_together([count_up] * 4)
        assert int(blobs.get("counter")) == 20


class TestListing:
    def test_in_byte_order_of_whole_names(self, blobs: Blobs) -> None:
        wanted = ["a", "a-b", "a.b/c", "a/b", "a/b/c", "a/c", "a0", "b", "ä"]
        for name in reversed(wanted):
            if name != "a/b" and name != "a":  # a file system cannot hold both "a" and "a/b"
                blobs.put(name, b"")
        assert names(blobs) == [name for name in wanted if name not in ("a", "a/b")]

    def test_prefix_and_after(self, blobs: Blobs) -> None:
        for name in ("p/1", "p/2", "p/3", "q/1", "pp"):
            blobs.put(name, b"")
        assert names(blobs, "p/") == ["p/1", "p/2", "p/3"]
        assert names(blobs, "p") == ["p/1", "p/2", "p/3", "pp"]
        assert names(blobs, "p/", "p/1") == ["p/2", "p/3"]
        assert names(blobs, "", "p/3") == ["pp", "q/1"]
        assert names(blobs, "p/2") == ["p/2"]
        assert names(blobs, "nothing/here") == []

    def test_more_than_a_page_of_them(self, blobs: Blobs) -> None:
        wanted = [f"many/{number:05}" for number in range(40)]
        for name in wanted:
            blobs.put(name, b"")
        assert names(blobs, "many/") == wanted
        blobs.delete(wanted)
        assert names(blobs) == []

    def test_sizes_and_times(self, blobs: Blobs) -> None:
        before = blobs.now()
        blobs.put("x", b"12345")
        (blob,) = blobs.list()
        assert blob.size == 5
        assert blob.modified.utcoffset() == timedelta(0)
        assert before - timedelta(seconds=2) <= blob.modified <= blobs.now() + timedelta(seconds=2)


class TestUploads:
    def test_parts_become_one_object_when_complete(self, blobs: Blobs) -> None:
        first, second = os.urandom(5 * 1024 * 1024), os.urandom(100)
        upload = blobs.upload("packs/large")
        upload.part(2, memoryview(bytearray(second)))
        upload.part(1, b"wrong, and put again")
        upload.part(1, first)
        assert names(blobs) == []
        done = upload.complete()
        assert (done.name, done.size) == ("packs/large", len(first) + 100)
        assert blobs.get("packs/large") == first + second
        assert upload.complete() == done
        upload.abort()
        assert names(blobs) == ["packs/large"]

    def test_an_aborted_one_leaves_nothing(self, blobs: Blobs) -> None:
        upload = blobs.upload("large")
        upload.part(1, b"x")
        upload.abort()
        upload.abort()
        assert names(blobs) == []

    def test_an_object_is_never_replaced(self, blobs: Blobs) -> None:
        upload = blobs.upload("large")
        upload.part(1, b"late")
        blobs.put("large", b"first")
        with pytest.raises(AlreadyThere):
            upload.complete()
        assert blobs.get("large") == b"first"

    def test_parts_may_come_from_threads(self, blobs: Blobs) -> None:
        pieces = [os.urandom(5 * 1024 * 1024) for _ in range(4)]
        upload = blobs.upload("large")
        run_together([lambda n=n: upload.part(n + 1, pieces[n]) for n in range(4)])  # type: ignore[misc]  # binds the loop's value
        upload.complete()
        assert blobs.get("large") == b"".join(pieces)


def test_reveal_says_whether_the_object_is_there(blobs: Blobs) -> None:
    blobs.put("a", b"1")
    assert blobs.reveal("a")
    assert not blobs.reveal("never was")
    blobs.delete(["a"])
    assert not blobs.reveal("a")


def test_the_clock_is_about_right(blobs: Blobs) -> None:
    assert abs(blobs.now() - datetime.now(UTC)) < timedelta(seconds=30)


def test_the_url_names_the_place(blobs: Blobs) -> None:
    assert blobs.url.split("://")[0] in ("memory", "file", "s3")
    assert not blobs.url.endswith("/")


def run_together(actions: list[Callable[[], None]]) -> None:
    failures: list[BaseException] = []

    def guarded(action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not failures
