"""Bytes: seals, packs and nodes do what FORMAT.md says, and parsers survive anything."""

from __future__ import annotations

import os
import threading
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.errors import Damaged, ForeignFormat, HoldfastError
from server.repository.crypto import HEADER_SIZE, TYPE_DATA_PACK, TYPE_MANIFEST, TYPE_PIN, TYPE_TREE_PACK, Keys
from server.repository.pack import KIND_BLOCK, KIND_LEAF, RAW, PackBuffer, PackReader, read_footer
from server.repository.tree import (
    Entry,
    Slots,
    content_root,
    decode_node,
    encode_node,
    node_id,
    reached_packs,
    top_level,
)

KEYS = Keys.new(uuid4())
MIB = 1024 * 1024


class TestSeal:
    def test_opens_under_its_own_name_only(self) -> None:
        sealed = KEYS.seal("points/a", TYPE_MANIFEST, b"content")
        assert KEYS.unseal("points/a", TYPE_MANIFEST, sealed) == b"content"
        for name, kind in (("points/b", TYPE_MANIFEST), ("points/a", TYPE_PIN)):
            with pytest.raises(Damaged):
                KEYS.unseal(name, kind, sealed)
        with pytest.raises(Damaged):
            Keys(uuid4(), {1: os.urandom(32)}).unseal("points/a", TYPE_MANIFEST, sealed)

    def test_never_twice_the_same(self) -> None:
        assert KEYS.seal("x", TYPE_PIN, b"same") != KEYS.seal("x", TYPE_PIN, b"same")

    @given(st.data())
    @settings(max_examples=200)
    def test_every_flipped_bit_is_noticed(self, data: st.DataObject) -> None:
        sealed = bytearray(KEYS.seal("x", TYPE_PIN, b"content"))
        position = data.draw(st.integers(0, len(sealed) * 8 - 1))
        sealed[position // 8] ^= 1 << position % 8
        with pytest.raises((Damaged, ForeignFormat)):
            KEYS.unseal("x", TYPE_PIN, bytes(sealed))

    @given(st.binary(max_size=200))
    def test_garbage_is_refused(self, garbage: bytes) -> None:
        with pytest.raises(HoldfastError):
            KEYS.unseal("x", TYPE_PIN, garbage)

    def test_newer_versions_are_not_called_damage(self) -> None:
        sealed = bytearray(KEYS.seal("x", TYPE_PIN, b""))
        sealed[8] = 2
        with pytest.raises(ForeignFormat, match="object layout 2"):
            KEYS.unseal("x", TYPE_PIN, bytes(sealed))

    def test_keys_of_several_epochs(self) -> None:
        old = Keys(uuid4(), {1: b"a" * 32})
        sealed = old.seal("x", TYPE_PIN, b"old")
        new = Keys(old.repository_id, {1: b"a" * 32, 2: b"b" * 32})
        assert new.unseal("x", TYPE_PIN, sealed) == b"old"
        assert (new.content, new.tree) == (old.content, old.tree)
        with pytest.raises(Damaged, match="data key 2"):
            old.unseal("x", TYPE_PIN, new.seal("x", TYPE_PIN, b"new"))


class TestPack:
    def fill(self, payloads: list[bytes], kind: int = TYPE_DATA_PACK) -> tuple[PackBuffer, bytes]:
        pack = PackBuffer(KEYS, kind, bytearray(MIB), {"point": "p", "disk": "d"}, os.urandom(16))
        for number, payload in enumerate(payloads):
            item = pack.reserve(KIND_BLOCK, RAW, len(payload), number, bytes([number]) * 16)
            assert item is not None
            pack.fill(item, payload)
        assert pack.close()
        return pack, bytes(pack.finish())

    def test_single_items_are_read_by_range(self) -> None:
        payloads = [b"first", b"second" * 1000, b""]
        pack, data = self.fill(payloads)
        context, items = read_footer(KEYS, TYPE_DATA_PACK, pack.name, data)
        assert context == {"point": "p", "disk": "d"}
        assert [item.position for item in items] == [0, 1, 2]
        reader = PackReader(KEYS, TYPE_DATA_PACK, pack.ref)
        for item, payload in zip(items, payloads, strict=True):
            sealed = data[item.offset : item.offset + item.length]
            assert reader.open(KIND_BLOCK, RAW, item.offset, sealed, max_size=MIB) == payload

    def test_an_item_opens_at_its_own_place_only(self) -> None:
        pack, data = self.fill([b"a" * 100, b"b" * 100])
        other, _ = self.fill([b"a" * 100])
        sealed = data[HEADER_SIZE : HEADER_SIZE + 116]
        reader = PackReader(KEYS, TYPE_DATA_PACK, pack.ref)
        assert reader.open(KIND_BLOCK, RAW, HEADER_SIZE, sealed, max_size=MIB) == b"a" * 100
        wrong = [
            (reader, KIND_BLOCK, RAW, HEADER_SIZE + 116),
            (reader, KIND_LEAF, RAW, HEADER_SIZE),
            (reader, KIND_BLOCK, 1, HEADER_SIZE),
            (PackReader(KEYS, TYPE_DATA_PACK, other.ref), KIND_BLOCK, RAW, HEADER_SIZE),
            (PackReader(KEYS, TYPE_TREE_PACK, pack.ref), KIND_BLOCK, RAW, HEADER_SIZE),
        ]
        for where, kind, codec, offset in wrong:
            with pytest.raises(Damaged):
                where.open(kind, codec, offset, sealed, max_size=MIB)

    def test_no_room_is_said_before_the_buffer_ends(self) -> None:
        pack = PackBuffer(KEYS, TYPE_DATA_PACK, bytearray(MIB), {}, os.urandom(16))
        count = 0
        while (item := pack.reserve(KIND_BLOCK, RAW, 1000, count, bytes(16))) is not None:
            pack.fill(item, b"x" * 1000)
            count += 1
        assert pack.close()
        data = pack.finish()
        assert len(data) <= MIB
        assert len(read_footer(KEYS, TYPE_DATA_PACK, pack.name, bytes(data))[1]) == count > 800

    def test_filled_by_many_threads(self) -> None:
        pack = PackBuffer(KEYS, TYPE_DATA_PACK, bytearray(MIB), {}, os.urandom(16))

        def work(seed: int) -> None:
            for number in range(50):
                item = pack.reserve(KIND_BLOCK, RAW, 500, seed * 100 + number, bytes(16))
                assert item is not None
                pack.fill(item, bytes([seed]) * 500)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert pack.close()
        data = bytes(pack.finish())
        reader = PackReader(KEYS, TYPE_DATA_PACK, pack.ref)
        _, items = read_footer(KEYS, TYPE_DATA_PACK, pack.name, data)
        assert len(items) == 400
        for item in items:
            sealed = data[item.offset : item.offset + item.length]
            opened = reader.open(KIND_BLOCK, RAW, item.offset, sealed, max_size=MIB)
            assert opened == bytes([item.position // 100]) * 500

    @given(st.data())
    @settings(max_examples=100, deadline=None)
    def test_incomplete_or_altered_ends_are_noticed(self, data: st.DataObject) -> None:
        pack, stored = self.fill([b"a" * 10])
        cut = data.draw(st.integers(0, len(stored) - 1))
        with pytest.raises(HoldfastError):
            read_footer(KEYS, TYPE_DATA_PACK, pack.name, stored[:cut])
        altered = bytearray(stored)
        altered[len(stored) - 1 - data.draw(st.integers(0, 40))] ^= 1
        try:
            _, items = read_footer(KEYS, TYPE_DATA_PACK, pack.name, bytes(altered))
        except HoldfastError:
            return
        assert len(items) == 1  # the reserved bytes of the trailer mean nothing yet


entries = st.builds(
    Entry,
    pack=st.binary(min_size=20, max_size=20),
    codec=st.integers(0, 1),
    offset=st.integers(0, 2**32 - 1),
    length=st.integers(0, 2**32 - 1),
    id=st.binary(min_size=16, max_size=16),
    blocks=st.just(1),
)


def in_order(slots: Slots) -> Slots:
    return dict(sorted(slots.items()))


class TestNodes:
    @given(st.dictionaries(st.integers(0, 255), entries, min_size=1, max_size=256).map(in_order), st.integers(0, 2**40))
    def test_leaves_read_back_the_same(self, slots: Slots, number: int) -> None:
        data = encode_node(0, number, slots)
        assert decode_node(KEYS.tree, 0, number, node_id(KEYS.tree, 0, number, slots), data) == slots
        assert set(reached_packs(0, data)) == {entry.pack for entry in slots.values()}

    @given(st.dictionaries(st.integers(0, 511), entries, min_size=1, max_size=64).map(in_order), st.integers(0, 2**40))
    def test_pages_read_back_the_same(self, slots: Slots, number: int) -> None:
        slots = {slot: entry._replace(blocks=slot + 7) for slot, entry in slots.items()}
        data = encode_node(2, number, slots)
        assert decode_node(KEYS.tree, 2, number, node_id(KEYS.tree, 2, number, slots), data) == slots

    @given(st.binary(max_size=300), st.integers(0, 3))
    def test_garbage_is_damage_and_nothing_else(self, garbage: bytes, level: int) -> None:
        with pytest.raises(Damaged):
            decode_node(KEYS.tree, level, 0, bytes(16), garbage)

    def test_ids_depend_on_content_and_not_on_place(self) -> None:
        here = Entry(b"p" * 20, 0, 1, 2, b"i" * 16)
        there = Entry(b"q" * 20, 1, 3, 4, b"i" * 16)
        one = node_id(KEYS.tree, 0, 5, {3: here})
        assert one == node_id(KEYS.tree, 0, 5, {3: there})
        others = [
            node_id(KEYS.tree, 0, 5, {4: here}),
            node_id(KEYS.tree, 0, 6, {3: here}),
            node_id(KEYS.tree, 1, 5, {3: here}),
            node_id(KEYS.tree, 0, 5, {3: here._replace(id=b"j" * 16)}),
            node_id(Keys.new(uuid4()).tree, 0, 5, {3: here}),
        ]
        assert len({one, *others}) == 6

    def test_levels(self) -> None:
        gib, tib = 2**30, 2**40
        sizes = {1: 0, 128 * MIB: 0, 128 * MIB + 1: 1, 64 * gib: 1, 64 * gib + 1: 2, 32 * tib: 2, 32 * tib + 1: 3}
        assert {size: top_level(size) for size in sizes} == sizes

    def test_the_content_root_includes_the_size(self) -> None:
        assert content_root(KEYS.tree, 1, None) != content_root(KEYS.tree, 2, None)
