"""What only one kind of store can get wrong: a local folder, S3, the fault injector."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from server.adapters.aws import Boto3Aws
from server.adapters.blobs.faulty import Crash, Faults, FaultyBlobs
from server.adapters.blobs.local import LocalBlobs
from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.blobs.s3 import CLIENT_CONFIG, S3Blobs
from server.adapters.clock import FakeClock, SystemClock
from server.domain.errors import (
    AlreadyThere,
    Archived,
    AwsAccessDenied,
    AwsCredentials,
    AwsNotFound,
    AwsRejected,
    HoldfastError,
    RepositoryError,
    StorageFull,
    Throttled,
    Unavailable,
)
from server.domain.workload import Place
from server.ports import Blobs
from tests.contracts.buckets import s3_server

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

BUCKET = "holdfast-contract"


@pytest.fixture(scope="module")
def s3_client() -> Iterator[S3Client]:
    with s3_server() as client:
        client.create_bucket(Bucket=BUCKET)
        yield client


def names(blobs: Blobs) -> list[str]:
    return [blob.name for blob in blobs.list()]


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

    @pytest.mark.parametrize(
        ("address", "hashed"), [(None, False), ("https://127.0.0.1:9", False), ("http://127.0.0.1:9", True)]
    )
    def test_bodies_are_hashed_for_the_signature_only_without_tls(
        self, address: str | None, hashed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        client = Boto3Aws(SystemClock(), endpoint_url=address).s3_client(Place(UUID(int=1), None, None, "us-east-1"))
        sent: dict[str, Any] = {}

        def note(request: AWSPreparedRequest, **_: object) -> None:
            sent.update(request.headers.items())
            raise ConnectionError("sent nowhere")

        client.meta.events.register("before-send.s3", note)
        with pytest.raises(Unavailable):
            S3Blobs(client, "some-bucket").put("a", b"1")
        assert (sent["X-Amz-Content-SHA256"] != b"UNSIGNED-PAYLOAD") is hashed
        assert sent["x-amz-checksum-crc32"] == b"g9zvtw=="

    @pytest.mark.parametrize(
        ("code", "status", "expected"),
        [
            ("InvalidObjectState", 403, Archived),
            ("NotImplemented", 501, AwsRejected),
            ("AccessDenied", 403, AwsAccessDenied),
        ],
    )
    def test_refusals_of_reading(
        self, other: Callable[..., S3Client], code: str, status: int, expected: type[HoldfastError]
    ) -> None:
        client = other()
        answer_with(client, status, code)
        with pytest.raises(expected) as caught:
            S3Blobs(client, BUCKET, "folder").get("a")
        assert caught.value.remedy

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

    def test_uploads_suffer_too(self) -> None:
        blobs, inner, _ = self.make(Faults())
        upload = blobs.upload("large")
        blobs.faults = Faults(full=1.0)
        with pytest.raises(StorageFull):
            upload.part(1, b"1")
        blobs.faults = Faults()
        upload.part(1, b"1")
        blobs.faults = Faults(lost=1.0)
        with pytest.raises(Unavailable):
            upload.complete()
        assert inner.get("large") == b"1"
        blobs.faults = Faults()
        assert upload.complete().size == 1

    def test_after_a_crash_an_upload_comes_to_nothing(self) -> None:
        blobs, inner, _ = self.make(Faults(crash_after=3))
        upload = blobs.upload("large")
        upload.part(1, b"1")
        for action in (lambda: upload.part(2, b"2"), upload.complete, upload.abort):
            with pytest.raises(Crash):
                action()
        assert inner.head("large") is None

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
