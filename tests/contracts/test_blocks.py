"""The ``Blocks`` port: the in-memory one and the EBS direct client against the demo account keep the same promises.
Then what only the client can meet: throttling, lost answers, damaged bytes, tokens that expire."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from server.adapters import ebs as ebs_module
from server.adapters.aws import Boto3Aws, Keys
from server.adapters.blocks_memory import MemoryBlocks
from server.adapters.clock import FakeClock, SystemClock
from server.adapters.ebs import EbsBlocks
from server.domain.errors import AwsAccessDenied, AwsNotFound, AwsRejected, Damaged, Throttled, Unavailable
from server.domain.workload import Place
from server.ports import BLOCK_SIZE, BlockRef, Blocks
from tests.demo_account import HOME, REGION, DemoAccount, Site, demo_account, site


@pytest.fixture(scope="module")
def account() -> Iterator[DemoAccount]:
    with demo_account() as running:
        yield running


@pytest.fixture(scope="module")
def region(account: DemoAccount) -> Site:
    return site(account)


@pytest.fixture
def client(region: Site) -> Iterator[EbsBlocks]:
    region.account.reset()
    blocks = EbsBlocks(region.aws, SystemClock())
    yield blocks
    blocks.close()


class Bench(Protocol):
    """A volume that a test writes to and snapshots, and the port that reads the snapshots."""

    blocks: Blocks

    def write(self, index: int, fill: int) -> None: ...

    def snapshot(self) -> str: ...

    def other_volume(self) -> Bench: ...

    def settle(self, snapshot_id: str) -> None:
        """Wait until a completed upload can be read."""
        ...


class MemoryBench:
    def __init__(self, blocks: MemoryBlocks, name: str = "vol-1") -> None:
        self.blocks: Blocks = blocks
        self._memory = blocks
        self._name = name
        self._content: dict[int, bytes] = {}

    def write(self, index: int, fill: int) -> None:
        self._content[index] = filled(fill)

    def snapshot(self) -> str:
        return self._memory.snapshot(self._content, size_gib=1, volume=self._name)

    def other_volume(self) -> MemoryBench:
        return MemoryBench(self._memory, "vol-2")

    def settle(self, snapshot_id: str) -> None:
        assert snapshot_id in self._memory


class DemoBench:
    def __init__(self, blocks: EbsBlocks, region: Site) -> None:
        self.blocks: Blocks = blocks
        self._client = blocks
        self._region = region
        self.volume = str(region.call("create_volume", AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"])

    def write(self, index: int, fill: int) -> None:
        self._region.account.write(self.volume, index, fill)

    def snapshot(self) -> str:
        snapshot = str(self._region.call("create_snapshot", VolumeId=self.volume)["SnapshotId"])
        self.settle(snapshot)
        return snapshot

    def other_volume(self) -> DemoBench:
        return DemoBench(self._client, self._region)

    def settle(self, snapshot_id: str) -> None:
        self._region.until(
            lambda: self._region.call("describe_snapshots", SnapshotIds=[snapshot_id])["Snapshots"][0]["State"] == "completed"
        )


def filled(fill: int) -> bytes:
    return bytes([fill]) * BLOCK_SIZE


@pytest.fixture(params=["memory", "ebs"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        return MemoryBench(MemoryBlocks())
    client: EbsBlocks = request.getfixturevalue("client")
    return DemoBench(client, request.getfixturevalue("region"))


# ---- what every adapter promises


def test_allocated_lists_what_was_written_in_order(bench: Bench) -> None:
    for index in (900, 3, 41):
        bench.write(index, index % 250 + 1)
    snapshot = bench.snapshot()
    assert [b.index for b in bench.blocks.allocated(HOME, snapshot)] == [3, 41, 900]
    assert [b.index for b in bench.blocks.allocated(HOME, snapshot, start_index=41)] == [41, 900]
    assert not list(bench.blocks.allocated(HOME, snapshot, start_index=901))


def test_read_gives_the_bytes_written(bench: Bench) -> None:
    bench.write(5, 77)
    snapshot = bench.snapshot()
    (block,) = bench.blocks.allocated(HOME, snapshot)
    assert bench.blocks.read(HOME, snapshot, block) == filled(77)


def test_a_block_without_token_reads_as_zeros(bench: Bench) -> None:
    assert bench.blocks.read(HOME, bench.snapshot(), BlockRef(9, "")) == bytes(BLOCK_SIZE)


def test_changed_lists_only_what_differs(bench: Bench) -> None:
    for index in range(6):
        bench.write(index, 1)
    base = bench.snapshot()
    bench.write(2, 9)
    bench.write(1000, 8)
    newer = bench.snapshot()
    changed = list(bench.blocks.changed(HOME, base, newer))
    assert [b.index for b in changed] == [2, 1000]
    assert [bench.blocks.read(HOME, newer, b) for b in changed] == [filled(9), filled(8)]
    assert [b.index for b in bench.blocks.changed(HOME, base, newer, start_index=3)] == [1000]


def test_snapshots_of_two_volumes_cannot_be_compared(bench: Bench) -> None:
    bench.write(0, 1)
    base = bench.snapshot()
    with pytest.raises(AwsRejected) as caught:
        list(bench.blocks.changed(HOME, base, bench.other_volume().snapshot()))
    assert caught.value.aws_code == "UNRELATED_SNAPSHOTS"
    assert "in full" in (caught.value.remedy or "")


def test_a_missing_snapshot_is_not_found(bench: Bench) -> None:
    with pytest.raises(AwsNotFound):
        list(bench.blocks.allocated(HOME, "snap-0123456789abcdef0"))
    with pytest.raises(AwsNotFound):
        bench.blocks.write(HOME, "snap-0123456789abcdef0", 0, filled(1))


def test_a_token_of_another_block_is_refused(bench: Bench) -> None:
    bench.write(0, 1)
    bench.write(1, 2)
    snapshot = bench.snapshot()
    first, _ = bench.blocks.allocated(HOME, snapshot)
    with pytest.raises(AwsRejected) as caught:
        bench.blocks.read(HOME, snapshot, BlockRef(700, first.token))
    assert caught.value.aws_code == "INVALID_BLOCK_TOKEN"


def upload(bench: Bench, content: dict[int, int], token: str = "") -> str:
    snapshot = bench.blocks.start(
        HOME, size_gib=1, token=token or uuid4().hex, description="restore", tags={"holdfast:task": "t"}
    )
    for index, fill in content.items():
        bench.blocks.write(HOME, snapshot, index, filled(fill))
    return snapshot


def test_what_is_uploaded_can_be_read_back(bench: Bench) -> None:
    snapshot = upload(bench, {0: 1, 2047: 2})
    bench.blocks.complete(HOME, snapshot, written=2)
    bench.settle(snapshot)
    blocks = list(bench.blocks.allocated(HOME, snapshot))
    assert {b.index: bench.blocks.read(HOME, snapshot, b)[0] for b in blocks} == {0: 1, 2047: 2}


def test_the_same_token_starts_the_same_snapshot(bench: Bench) -> None:
    token = uuid4().hex
    assert upload(bench, {}, token) == upload(bench, {}, token)
    assert upload(bench, {}, token) != upload(bench, {})


def test_writing_a_block_again_replaces_it(bench: Bench) -> None:
    snapshot = upload(bench, {4: 1})
    bench.blocks.write(HOME, snapshot, 4, filled(2))
    bench.blocks.complete(HOME, snapshot, written=1)
    bench.settle(snapshot)
    (block,) = bench.blocks.allocated(HOME, snapshot)
    assert bench.blocks.read(HOME, snapshot, block) == filled(2)


def test_completing_twice_is_no_error(bench: Bench) -> None:
    snapshot = upload(bench, {0: 1})
    bench.blocks.complete(HOME, snapshot, written=1)
    bench.blocks.complete(HOME, snapshot, written=1)
    bench.settle(snapshot)
    bench.blocks.complete(HOME, snapshot, written=1)


def test_a_wrong_number_of_blocks_is_refused(bench: Bench) -> None:
    with pytest.raises(AwsRejected):
        bench.blocks.complete(HOME, upload(bench, {0: 1}), written=2)


def test_nothing_is_written_after_completion_or_beyond_the_end(bench: Bench) -> None:
    snapshot = upload(bench, {0: 1})
    with pytest.raises(AwsRejected):
        bench.blocks.write(HOME, snapshot, 2048, filled(1))
    bench.blocks.complete(HOME, snapshot, written=1)
    with pytest.raises(AwsRejected):
        bench.blocks.write(HOME, snapshot, 1, filled(1))


def test_a_block_of_another_size_is_a_mistake_of_the_caller(bench: Bench) -> None:
    snapshot = upload(bench, {})
    with pytest.raises(ValueError, match="524288"):
        bench.blocks.write(HOME, snapshot, 0, b"short")


# ---- the client under stress


@pytest.fixture
def one_block(client: EbsBlocks, region: Site) -> tuple[str, BlockRef]:
    bench = DemoBench(client, region)
    bench.write(0, 7)
    snapshot = bench.snapshot()
    (block,) = client.allocated(HOME, snapshot)
    return snapshot, block


@pytest.mark.parametrize("kind", ["throttle", "error500", "lost_reply"])
def test_passing_trouble_is_not_noticed(client: EbsBlocks, region: Site, one_block: tuple[str, BlockRef], kind: str) -> None:
    for operation in ("GetSnapshotBlock", "ListSnapshotBlocks"):
        region.account.fault(f"ebs:{operation}", kind, times=2)
    snapshot, block = one_block
    assert client.read(HOME, snapshot, block) == filled(7)
    assert [b.index for b in client.allocated(HOME, snapshot)] == [0]


@pytest.mark.parametrize("operation", ["StartSnapshot", "PutSnapshotBlock", "CompleteSnapshot"])
def test_an_upload_survives_the_loss_of_any_answer(client: EbsBlocks, region: Site, operation: str) -> None:
    bench = DemoBench(client, region)
    pending = len(region.call("describe_snapshots", OwnerIds=["self"])["Snapshots"])
    region.account.fault(f"ebs:{operation}", "lost_reply", times=1)
    snapshot = upload(bench, {0: 1, 1: 2})
    client.complete(HOME, snapshot, written=2)
    bench.settle(snapshot)
    assert len(region.account.hashes(snapshot)) == 2
    assert len(region.call("describe_snapshots", OwnerIds=["self"])["Snapshots"]) == pending + 1


def test_lasting_throttling_and_failure_are_told_apart(region: Site, one_block: tuple[str, BlockRef]) -> None:
    snapshot, block = one_block
    clock = FakeClock(datetime.now(UTC))
    patient = EbsBlocks(region.aws, clock)
    region.account.fault("ebs:GetSnapshotBlock", "throttle", times=None)
    with pytest.raises(Throttled):
        patient.read(HOME, snapshot, block)
    region.account.reset()
    region.account.fault("ebs:GetSnapshotBlock", "error500", times=None)
    with pytest.raises(Unavailable) as caught:
        patient.read(HOME, snapshot, block)
    patient.close()
    assert not isinstance(caught.value, Throttled)


def test_a_refusal_is_not_repeated(client: EbsBlocks, region: Site, one_block: tuple[str, BlockRef]) -> None:
    region.account.fault("ebs:GetSnapshotBlock", "denied", times=None)
    with pytest.raises(AwsAccessDenied, match="ebs:GetSnapshotBlock"):
        client.read(HOME, *one_block)
    assert region.account.calls("ebs:GetSnapshotBlock") == 1


def test_an_ended_session_is_entered_anew(client: EbsBlocks, region: Site, one_block: tuple[str, BlockRef]) -> None:
    region.account.fault("ebs:GetSnapshotBlock", "expired", times=1)
    assert client.read(HOME, *one_block) == filled(7)


def test_a_server_that_hangs_is_given_up(region: Site, one_block: tuple[str, BlockRef]) -> None:
    impatient = EbsBlocks(region.aws, FakeClock(datetime.now(UTC)), read_timeout=0.2)
    region.account.fault("ebs:GetSnapshotBlock", "timeout", times=None, delay=2)
    with pytest.raises(Unavailable, match="does not answer"):
        impatient.read(HOME, *one_block)
    impatient.close()


def test_a_long_list_is_paged_as_it_is_read(
    client: EbsBlocks, region: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        for index in range(0, 750, 3):
            file.seek(index * BLOCK_SIZE)
            file.write(b"x")
        file.truncate(2**30)
    bench = DemoBench(client, region)
    region.account.control("POST", f"volumes/{bench.volume}/image?path={image}")
    snapshot = bench.snapshot()
    monkeypatch.setattr(ebs_module, "PAGE", 100)
    region.account.reset()
    listing = client.allocated(HOME, snapshot)
    first = next(listing)
    assert region.account.calls("ebs:ListSnapshotBlocks") == 1
    assert [first.index, *(b.index for b in listing)] == list(range(0, 750, 3))
    assert region.account.calls("ebs:ListSnapshotBlocks") == 3


def test_many_threads_share_a_client(client: EbsBlocks, region: Site) -> None:
    bench = DemoBench(client, region)
    for index in range(24):
        bench.write(index, index + 1)
    snapshot = bench.snapshot()
    blocks = list(client.allocated(HOME, snapshot))
    wrong: list[int] = []

    def read_all() -> None:
        wrong.extend(b.index for b in blocks if client.read(HOME, snapshot, b) != filled(b.index + 1))

    threads = [threading.Thread(target=read_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- answers no AWS gives on demand: from a server of our own


@dataclass
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]


Answering = Callable[[str, dict[str, str]], Reply]


class Fixed:
    """Access to a single endpoint with fixed keys."""

    def __init__(self, url: str) -> None:
        self._url = url

    def keys(self, place: Place) -> Keys:
        return Keys("key", "secret", None)

    def endpoint(self, place: Place, service: str) -> str:
        return self._url

    def forget(self, place: Place) -> None:
        raise AssertionError("these keys do not expire")

    def note(self, action: str) -> None:
        assert action.startswith("ebs:")


@pytest.fixture
def answering() -> Iterator[Callable[[Answering], EbsBlocks]]:
    """A client of a server that answers as the test says: path and query in, reply out."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread, EbsBlocks]] = []

    def start(answer: Answering) -> EbsBlocks:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                reply = answer(url.path, {name: values[0] for name, values in parse_qs(url.query).items()})
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        client = EbsBlocks(Fixed(f"http://127.0.0.1:{server.server_port}"), FakeClock(datetime.now(UTC)))
        running.append((server, thread, client))
        return client

    yield start
    for server, thread, client in running:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()


def block_reply(data: bytes, checksum_of: bytes | None = None) -> Reply:
    digest = hashlib.sha256(data if checksum_of is None else checksum_of).digest()
    headers = {"x-amz-Data-Length": str(len(data)), "x-amz-Checksum": base64.b64encode(digest).decode()}
    return Reply(200, data, headers)


def json_reply(document: dict[str, Any], status: int = 200, kind: str = "") -> Reply:
    return Reply(status, json.dumps(document).encode(), {"x-amzn-ErrorType": kind} if kind else {})


def refusal(reason: str) -> Reply:
    return json_reply({"Message": "no", "Reason": reason}, 400, "ValidationException:http://internal.amazon.com/")


def test_a_block_damaged_on_the_way_is_read_again(answering: Callable[[Answering], EbsBlocks]) -> None:
    good = filled(3)
    replies = iter([block_reply(filled(4), good), block_reply(good[:-1], good), block_reply(good)])
    client = answering(lambda path, query: next(replies))
    assert client.read(HOME, "snap-1", BlockRef(0, "t")) == good


def test_a_block_that_stays_damaged_is_never_returned(answering: Callable[[Answering], EbsBlocks]) -> None:
    client = answering(lambda path, query: block_reply(filled(4), filled(3)))
    with pytest.raises(Damaged, match="snap-1") as caught:
        client.read(HOME, "snap-1", BlockRef(12, "t"))
    assert caught.value.fields == {"snap-1": "block 12"}


def test_an_expired_block_token_is_renewed_once_for_all_that_follow(answering: Callable[[Answering], EbsBlocks]) -> None:
    asked: list[str] = []

    def answer(path: str, query: dict[str, str]) -> Reply:
        asked.append(path)
        if path.endswith("/blocks"):
            start = int(query["startingBlockIndex"])
            return json_reply({"Blocks": [{"BlockIndex": i, "BlockToken": f"new{i}"} for i in range(start, 9)]})
        return block_reply(filled(5)) if query["blockToken"].startswith("new") else refusal("INVALID_BLOCK_TOKEN")

    client = answering(answer)
    for index in (4, 5, 6):
        assert client.read(HOME, "snap-1", BlockRef(index, f"old{index}")) == filled(5)
    assert sum(path.endswith("/blocks") for path in asked) == 1


def test_an_expired_page_token_continues_where_it_was(answering: Callable[[Answering], EbsBlocks]) -> None:
    def answer(path: str, query: dict[str, str]) -> Reply:
        if query.get("pageToken"):
            return refusal("INVALID_PAGE_TOKEN")
        start = int(query["startingBlockIndex"])
        blocks = [{"BlockIndex": i, "BlockToken": "t"} for i in range(start, min(start + 2, 5))]
        return json_reply({"Blocks": blocks, "NextToken": "soon expired" if start + 2 < 5 else None})

    assert [b.index for b in answering(answer).allocated(HOME, "snap-1")] == [0, 1, 2, 3, 4]


def test_a_page_may_be_empty_and_yet_not_the_last(answering: Callable[[Answering], EbsBlocks]) -> None:
    pages: Iterator[dict[str, Any]] = iter(
        [{"Blocks": [], "NextToken": "2"}, {"Blocks": [{"BlockIndex": 8, "BlockToken": "t"}]}]
    )
    client = answering(lambda path, query: json_reply(next(pages)))
    assert [b.index for b in client.allocated(HOME, "snap-1")] == [8]


def test_a_block_only_in_the_first_snapshot_has_no_token(answering: Callable[[Answering], EbsBlocks]) -> None:
    rows = [
        {"BlockIndex": 1, "FirstBlockToken": "a"},
        {"BlockIndex": 2, "SecondBlockToken": "b"},
        {"BlockIndex": 3, "FirstBlockToken": "c", "SecondBlockToken": "d"},
    ]
    client = answering(lambda path, query: json_reply({"ChangedBlocks": rows}))
    assert list(client.changed(HOME, "snap-1", "snap-2")) == [BlockRef(1, ""), BlockRef(2, "b"), BlockRef(3, "d")]


def test_something_that_is_not_aws_is_named(answering: Callable[[Answering], EbsBlocks]) -> None:
    client = answering(lambda path, query: Reply(200, b"<html>Sign in to the hotel network</html>", {}))
    with pytest.raises(Unavailable, match="not JSON"):
        list(client.allocated(HOME, "snap-1"))


def test_a_refused_connection_is_unavailable(region: Site) -> None:
    gone = EbsBlocks(Fixed("http://127.0.0.1:1"), FakeClock(datetime.now(UTC)))
    with pytest.raises(Unavailable, match="does not answer"):
        list(gone.allocated(HOME, "snap-1"))


def test_waiting_is_counted_by_the_clock_not_slept_in_tests(region: Site) -> None:
    clock = FakeClock(datetime.now(UTC))
    started = time.monotonic()
    with pytest.raises(Unavailable):
        list(EbsBlocks(Fixed("http://127.0.0.1:1"), clock).allocated(HOME, "snap-1"))
    assert time.monotonic() - started < 2


def test_block_actions_are_recorded_with_the_others(region: Site, client: EbsBlocks) -> None:
    aws = Boto3Aws(SystemClock(), endpoint_url=region.account.url)
    blocks = EbsBlocks(aws, SystemClock())
    with pytest.raises(AwsNotFound):
        list(blocks.allocated(HOME, "snap-0123456789abcdef0"))
    blocks.close()
    assert aws.actions == {"ebs:ListSnapshotBlocks"}
