"""Forwarding records that lead through several packs, in circles, or nowhere: followed, and made straight."""

from __future__ import annotations

import pytest

from server.domain.errors import Damaged
from server.repository import layout, worth
from server.repository.compact import flatten
from server.repository.crypto import TYPE_DATA_PACK
from server.repository.moved import read_moves, write_moves
from server.repository.repository import Control
from tests.repository.bed import Bed
from tests.repository.halves import BOTH, half_dead, rounds, sound


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact also what is too small to pay."""
    monkeypatch.setattr(worth, "PAYBACK_MONTHS", 1e9)


class TestTrails:
    def test_of_several_hops_are_followed_and_shortened(self, eager: None) -> None:
        bed = Bed()
        second = half_dead(bed)
        rounds(bed)
        vault = bed.repo.vault
        name = bed.names("moved/")[0]
        pack_id = layout.moved_pack_of(name) or b""
        (table,) = read_moves(vault, TYPE_DATA_PACK, pack_id)
        # The same by way of two packs that never were.
        hops = [bytes([n]) * 16 + b"\x01\0\0\0" for n in (1, 2)]
        old = list(table)
        write_moves(vault, TYPE_DATA_PACK, hops[1][:16], [move._replace(old=move.old) for move in old])
        write_moves(vault, TYPE_DATA_PACK, hops[0][:16], [move._replace(ref=hops[1], offset=move.old) for move in old])
        write_moves(vault, TYPE_DATA_PACK, pack_id, [move._replace(ref=hops[0], offset=move.old) for move in old])
        bed.inner.delete([name])
        sound(bed, {second.id: BOTH})
        bed.days(5)
        assert rounds(bed)[1].shortened == 1
        assert [list(each) for each in read_moves(vault, TYPE_DATA_PACK, pack_id)] == [old]
        assert len(bed.names("moved/")) == 4
        sound(bed, {second.id: BOTH})

    def test_in_a_circle_end(self) -> None:
        bed = Bed()
        second = half_dead(bed)
        rounds(bed)
        vault = bed.repo.vault
        name = bed.names("moved/")[0]
        pack_id = layout.moved_pack_of(name) or b""
        (table,) = read_moves(vault, TYPE_DATA_PACK, pack_id)
        bed.inner.delete([name])
        other, back = bytes(16) + b"\x01\0\0\0", pack_id + b"\x01\0\0\0"
        write_moves(vault, TYPE_DATA_PACK, pack_id, [move._replace(ref=other, offset=move.old) for move in table])
        write_moves(vault, TYPE_DATA_PACK, other[:16], [move._replace(ref=back, offset=move.old) for move in table])
        with pytest.raises(Damaged):
            bed.restored(second)
        assert flatten(vault, [(TYPE_DATA_PACK, pack_id)], Control()) == 0

    def test_a_record_to_a_pack_that_never_came_is_no_hindrance(self) -> None:
        """A process died between record and pack; the next one moved the items again."""
        bed = Bed()
        second = half_dead(bed)
        rounds(bed)
        vault = bed.repo.vault
        for name in bed.names("moved/"):
            pack_id = layout.moved_pack_of(name) or b""
            moves = list(read_moves(vault, TYPE_DATA_PACK, pack_id)[0])
            write_moves(vault, TYPE_DATA_PACK, pack_id, [move._replace(ref=bytes(16) + b"\x01\0\0\0") for move in moves])
        sound(bed, {second.id: BOTH})
        bed.days(5)
        rounds(bed)
        assert len(bed.names("moved/")) == 4
        sound(bed, {second.id: BOTH})
