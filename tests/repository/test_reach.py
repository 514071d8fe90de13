"""How much of a pack is needed: known for a share of all packs, in bounded memory."""

from __future__ import annotations

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from server.repository.reach import LiveItems
from server.repository.tree import Entry


class TestShares:
    """What is known of items is bounded, and every pack has its turn."""

    @given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30)), max_size=300), st.integers(0, 9))
    def test_what_is_known_is_right_and_bounded(self, reached: list[tuple[int, int]], turn: int) -> None:
        items = LiveItems(turn, limit=50)
        expected: dict[bytes, set[int]] = {}
        for number, offset in reached:
            entry = Entry(blake3(bytes([number])).digest(length=16) + bytes(4), 0, offset, 10, bytes(16))
            if items.wants(entry.pack):
                items.add(entry)
            expected.setdefault(entry.pack, set()).add(offset)
        known = {pack: live for pack in expected if (live := items.get(pack[:16])) is not None}
        for pack, live in known.items():
            assert items.wants(pack)
            assert (list(live.offsets), live.size) == (sorted(expected[pack]), 10 * len(expected[pack]))
        assert sum(len(live.offsets) for live in known.values()) <= 50

    def test_successive_turns_come_to_every_pack(self) -> None:
        packs = [blake3(bytes([n])).digest(length=16) + bytes(4) for n in range(64)]
        met: set[bytes] = set()
        for turn in range(64):
            items = LiveItems(turn, limit=20)
            for pack in packs:
                for offset in range(4):
                    if items.wants(pack):
                        items.add(Entry(pack, 0, offset, 10, bytes(16)))
            met |= {pack for pack in packs if items.get(pack[:16]) is not None}
        assert met == set(packs)
