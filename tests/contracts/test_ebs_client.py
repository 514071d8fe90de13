"""What only the EBS direct client can meet: throttling, lost answers, damaged bytes, tokens that expire."""

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
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from server.adapters import ebs as ebs_module
from server.adapters.aws import Boto3Aws, Keys
from server.adapters.clock import FakeClock, SystemClock
from server.adapters.ebs import EbsBlocks
from server.domain.errors import AwsAccessDenied, AwsNotFound, Damaged, Throttled, Unavailable
from server.domain.workload import Place
from server.ports import BLOCK_SIZE, BlockRef
from tests.contracts.blocks_bench import DemoBench, filled, upload
from tests.demo_account import HOME, DemoAccount, Site, demo_account, site


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
