"""Which packs are worth compacting: decisions with reasons, from facts alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.domain.cost import GIB
from server.domain.repository import StorageClass
from server.repository.worth import DEAD_SHARE, MAX_PACK, ROUND_BYTES, ROUND_PACKS, PackFacts, choose, decide, footprint

MIB = 1024 * 1024


def pack(size: int = 16 * MIB, live: int = 4 * MIB, *, items: int = 20, name: str = "packs/aa/1") -> PackFacts:
    return PackFacts(name=name, size=size, live_items=items, live_bytes=live)


def test_a_mostly_dead_pack_is_moved() -> None:
    decision = decide(pack())
    assert decision.compact
    assert 11 * MIB < decision.freed < 12 * MIB
    assert "are free" in decision.reason


def test_reasons_to_leave_a_pack() -> None:
    cases = {
        "needed": pack(live=15 * MIB),
        "nothing of it is needed": pack(live=0, items=0),
        "too large": pack(size=MAX_PACK + 1),
        "less than the requests cost": pack(size=100_000, live=1_000),
        "locked": PackFacts(name="p", size=16 * MIB, live_items=1, live_bytes=1, locked=True),
        "archived": PackFacts(name="p", size=16 * MIB, live_items=1, live_bytes=1, storage_class=StorageClass.GLACIER),
    }
    for words, facts in cases.items():
        decision = decide(facts)
        assert not decision.compact
        assert words in decision.reason


FACTS = st.builds(
    PackFacts,
    name=st.text("0123456789abcdef", min_size=4, max_size=8),
    size=st.integers(0, 2 * MAX_PACK),
    live_items=st.integers(0, 100_000),
    live_bytes=st.integers(0, 2 * MAX_PACK),
    storage_class=st.sampled_from(StorageClass),
    locked=st.booleans(),
)


@given(FACTS, st.sampled_from([None, "us-east-1", "eu-central-1"]))
def test_what_is_moved_always_frees_a_good_part(facts: PackFacts, region: str | None) -> None:
    decision = decide(facts, region)
    assert decision.reason
    assert 0 <= decision.freed <= facts.size
    if decision.compact:
        assert decision.freed >= facts.size * DEAD_SHARE
        assert facts.live_items
        assert not facts.locked
        assert facts.storage_class is StorageClass.STANDARD


@given(st.lists(FACTS, max_size=20, unique_by=lambda facts: facts.name))
def test_choose_takes_only_what_is_worth_it_best_first(packs: list[PackFacts]) -> None:
    chosen = choose(packs)
    assert all(decide(facts).compact for facts in chosen)
    shares = [decide(facts).freed / facts.size for facts in chosen]
    assert shares == sorted(shares, reverse=True)
    assert {facts.name for facts in chosen} == {facts.name for facts in packs if decide(facts).compact}


def test_one_collection_moves_no_more_than_it_should() -> None:
    many = [pack(size=MAX_PACK, live=MAX_PACK // 2, items=1, name=f"{n:08d}") for n in range(ROUND_PACKS)]
    assert sum(facts.live_bytes for facts in choose(many)) <= ROUND_BYTES
    small = [pack(size=2 * MIB, live=1, items=1, name=f"{n:08d}") for n in range(ROUND_PACKS + 10)]
    assert len(choose(small)) == ROUND_PACKS


def test_cost_follows_the_region() -> None:
    here, there = (footprint(1, GIB, StorageClass.STANDARD, region).usd_month for region in ("us-east-1", "eu-central-1"))
    assert here == 0.023
    assert there > here
