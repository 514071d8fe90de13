"""One suite for every store: memory, a local folder, S3, and a store behind the fault injector."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from moto.server import ThreadedMotoServer

from server.adapters.blobs.faulty import Crash, Faults, FaultyBlobs
from server.adapters.blobs.local import LocalBlobs
from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.blobs.s3 import CLIENT_CONFIG, S3Blobs
from server.adapters.clock import FakeClock, SystemClock
from server.domain.errors import (
    AlreadyThere,
    AwsAccessDenied,
    AwsCredentials,
    AwsNotFound,
    AwsRejected,
    HoldfastError,
    InvalidInput,
    NotFound,
    RepositoryError,
    StorageFull,
    Throttled,
    Unavailable,
)
from server.ports import Blobs

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BUCKET = "holdfast-contract"


@pytest.fixture(scope="module")
def s3_client() -> Iterator[S3Client]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="contract",
        aws_secret_access_key="contract",
        config=CLIENT_CONFIG,
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()
    server.stop()


@pytest.fixture(params=["memory", "local", "s3", "s3 whole bucket", "faulty"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
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
        blobs.delete(["a", "c/d", "never was"])
        assert names(blobs) == ["b"]
        blobs.delete([])
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


# ---- what only one of them can get wrong ------------------------------------------------------------------------------


class TestLocal:
    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        blobs = LocalBlobs(tmp_path)
        blobs.put("a", b"1")

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StorageFull, match="No space left"):
            blobs.put("b", b"2")
        monkeypatch.undo()
        assert names(blobs) == ["a"]
        assert not any((tmp_path / ".aside").iterdir())

    def test_an_unwritable_place(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"in the way")
        with pytest.raises(RepositoryError, match="may not write"):
            LocalBlobs(tmp_path / "file" / "folder").put("a", b"1")

    def test_a_broken_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        blobs = LocalBlobs(tmp_path)
        blobs.put("a", b"1")

        def broken(*_: object) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "pread", broken)
        with pytest.raises(Unavailable):
            blobs.get("a")

    def test_links_out_of_the_folder_are_not_followed(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_bytes(b"s")
        root = tmp_path / "repo"
        blobs = LocalBlobs(root)
        blobs.put("a", b"1")
        (root / "link").symlink_to(secret)
        assert names(blobs) == ["a"]
        assert blobs.head("link") is None
        with pytest.raises(RepositoryError):
            blobs.get("link")

    def test_unfinished_files_are_no_objects(self, tmp_path: Path) -> None:
        blobs = LocalBlobs(tmp_path)
        blobs.put("a", b"1")
        (tmp_path / ".aside" / "torn").write_bytes(b"half a pa")
        assert names(blobs) == ["a"]

    def test_old_unfinished_files_are_swept_away(self, tmp_path: Path) -> None:
        LocalBlobs(tmp_path).put("a", b"1")
        old, fresh = tmp_path / ".aside" / "old", tmp_path / ".aside" / "fresh"
        old.write_bytes(b"x")
        fresh.write_bytes(b"x")
        two_days_ago = old.stat().st_mtime - 2 * 86400
        os.utime(old, (two_days_ago, two_days_ago))
        LocalBlobs(tmp_path).put("b", b"2")
        assert not old.exists()
        assert fresh.exists()


class TestS3:
    @pytest.fixture
    def other(self, s3_client: S3Client) -> Callable[..., S3Client]:
        def make(**overrides: object) -> S3Client:
            settings: dict[str, object] = {
                "endpoint_url": s3_client.meta.endpoint_url,
                "region_name": "us-east-1",
                "aws_access_key_id": "x",
                "aws_secret_access_key": "x",
                "config": CLIENT_CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=1)),
            }
            return boto3.client("s3", **(settings | overrides))  # type: ignore[call-overload,no-any-return]  # keyword by keyword

        return make

    def test_a_missing_bucket(self, s3_client: S3Client) -> None:
        blobs = S3Blobs(s3_client, "no-such-bucket-here", "folder")
        for action in (
            lambda: blobs.put("a", b""),
            lambda: blobs.get("a"),
            lambda: blobs.head("a"),
            lambda: list(blobs.list()),
            lambda: blobs.delete(["a"]),
            blobs.now,
        ):
            with pytest.raises(AwsNotFound, match="no bucket no-such-bucket-here"):
                action()

    def test_nobody_answers(self, other: Callable[..., S3Client]) -> None:
        blobs = S3Blobs(other(endpoint_url="http://127.0.0.1:9"), BUCKET)
        with pytest.raises(Unavailable, match="does not answer"):
            blobs.get("a")

    @pytest.mark.parametrize(
        ("code", "status", "expected"),
        [
            ("AccessDenied", 403, AwsAccessDenied),
            ("403", 403, AwsAccessDenied),
            ("SlowDown", 503, Throttled),
            ("InternalError", 500, Unavailable),
            ("ServiceUnavailable", 503, Unavailable),
            ("RequestTimeout", 400, Unavailable),
            ("ConditionalRequestConflict", 409, Unavailable),
            ("PermanentRedirect", 301, AwsRejected),
            ("AuthorizationHeaderMalformed", 400, AwsRejected),
            ("InvalidAccessKeyId", 403, AwsCredentials),
            ("SignatureDoesNotMatch", 403, AwsCredentials),
            ("ExpiredToken", 400, AwsCredentials),
            ("RequestTimeTooSkewed", 403, AwsCredentials),
            ("XMinioStorageFull", 507, StorageFull),
            ("InsufficientStorage", 507, StorageFull),
            ("PreconditionFailed", 412, AlreadyThere),
        ],
    )
    def test_refusals_are_told_apart(
        self, other: Callable[..., S3Client], code: str, status: int, expected: type[HoldfastError]
    ) -> None:
        client = other()
        answer_with(client, status, code)
        blobs = S3Blobs(client, BUCKET, "folder")
        with pytest.raises(expected) as caught:
            blobs.put("a", b"1")
        assert type(caught.value) is expected
        assert caught.value.remedy

    def test_a_refused_deletion_is_reported(self, s3_client: S3Client, other: Callable[..., S3Client]) -> None:
        client = other()
        body = (
            b'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Error><Key>folder/a</Key>'
            b"<Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
        )
        answer_with(client, 200, "", body=body)
        with pytest.raises(AwsAccessDenied):
            S3Blobs(client, BUCKET, "folder").delete(["a"])

    def test_two_folders_of_a_bucket_do_not_see_each_other(self, s3_client: S3Client) -> None:
        one, two = S3Blobs(s3_client, BUCKET, f"{uuid4()}"), S3Blobs(s3_client, BUCKET, f"{uuid4()}")
        one.put("a", b"1")
        assert two.head("a") is None
        assert names(two) == []


def answer_with(client: S3Client, status: int, code: str, *, body: bytes | None = None) -> None:
    """Every request of ``client`` gets this answer, as if S3 had given it."""

    class Raw:
        def __init__(self, content: bytes) -> None:
            self._content = content

        def stream(self, **_: object) -> Iterator[bytes]:
            yield self._content

    content = body or f"<Error><Code>{code}</Code><Message>because</Message></Error>".encode()

    def answer(request: AWSPreparedRequest, **_: object) -> Any:
        headers = HTTPHeaders.from_dict({"content-type": "application/xml"})
        if request.method == "HEAD":  # told of another Region, botocore asks for the right one: let that fail
            return AWSResponse("http://s3", 404, headers, Raw(b""))
        return AWSResponse("http://s3", status, headers, Raw(content))

    client.meta.events.register("before-send.s3", answer)


class TestFaults:
    def make(self, faults: Faults, seed: int = 1) -> tuple[FaultyBlobs, MemoryBlobs, FakeClock]:
        clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
        inner = MemoryBlobs(clock)
        return FaultyBlobs(inner, clock, seed=seed, faults=faults), inner, clock

    def test_refused_calls_change_nothing(self) -> None:
        blobs, inner, _ = self.make(Faults(refused=1.0))
        with pytest.raises(Unavailable):
            blobs.put("a", b"1")
        assert inner.head("a") is None

    def test_a_lost_reply_means_it_was_done(self) -> None:
        blobs, inner, _ = self.make(Faults(lost=1.0))
        with pytest.raises(Unavailable):
            blobs.put("a", b"1")
        assert inner.get("a") == b"1"

    def test_slow_throttled_and_full(self) -> None:
        blobs, _, clock = self.make(Faults(slow=1.0, delay=3.0))
        blobs.put("a", b"1")
        assert clock.monotonic() == 3.0
        blobs.faults = Faults(throttled=1.0)
        with pytest.raises(Throttled):
            blobs.get("a")
        blobs.faults = Faults(full=1.0)
        with pytest.raises(StorageFull):
            blobs.put("b", b"1")

    @pytest.mark.parametrize("applied", [False, True])
    def test_after_a_crash_nothing_works_until_revived(self, applied: bool) -> None:
        blobs, inner, _ = self.make(Faults(crash_after=2, crash_applied=applied))
        blobs.put("a", b"1")
        with pytest.raises(Crash):
            blobs.put("b", b"2")
        with pytest.raises(Crash):
            blobs.get("a")
        assert (inner.head("b") is not None) is applied
        blobs.revive()
        assert blobs.get("a") == b"1"

    def test_the_same_seed_gives_the_same_faults(self) -> None:
        def outcomes(seed: int) -> list[bool]:
            blobs, _, _ = self.make(Faults(refused=0.5), seed)
            found = []
            for number in range(40):
                try:
                    blobs.put(str(number), b"")
                    found.append(True)
                except Unavailable:
                    found.append(False)
            return found

        assert outcomes(7) == outcomes(7)
        assert outcomes(7) != outcomes(8)

    def test_skew(self) -> None:
        blobs, inner, _ = self.make(Faults(skew=timedelta(hours=2)))
        assert blobs.now() - inner.now() == timedelta(hours=2)
