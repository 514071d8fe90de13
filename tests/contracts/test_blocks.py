"""The ``Blocks`` port: the in-memory one and the EBS direct client against the demo account keep the same promises."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from server.adapters.blocks_memory import MemoryBlocks
from server.adapters.clock import SystemClock
from server.adapters.ebs import EbsBlocks
from server.domain.errors import AwsNotFound, AwsRejected
from server.ports import BLOCK_SIZE, BlockRef
from tests.contracts.blocks_bench import Bench, DemoBench, MemoryBench, filled, upload
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
