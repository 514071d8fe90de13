"""Damage that is found while an interrupted backup rests: what it had settled was settled without knowing."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from server.adapters.blobs.faulty import Crash
from server.repository.crypto import TYPE_TREE_PACK
from server.repository.damage import Bad
from server.repository.layout import tree_pack
from tests.repository.bed import EAGER, Bed, Source, plain
from tests.repository.test_healing import BLOCKS, CONTENT, flip, healing_backup, note
from tests.waiting import until

IMPATIENT = replace(EAGER, checkpoint_patience=0.0)
CHANGED = [index for index in CONTENT if index % 600 == 0]


@pytest.mark.parametrize("known_before", [False, True])
def test_a_page_found_damaged_in_between_loses_nothing_that_was_settled(known_before: bool) -> None:
    bed = Bed()
    first, _ = bed.backup(CONTENT, blocks=BLOCKS)
    root = first.disks[0].root
    assert root is not None
    found = Bad(TYPE_TREE_PACK, root.pack, root.offset, root.length)
    if known_before:
        note(bed, found)
    now = {**CONTENT, **dict.fromkeys(CHANGED, 11)}
    point, saved = uuid4(), list[str]()
    source = Source(now)

    def die(index: int) -> None:
        if index >= 4800:
            until(lambda: bool(saved))  # readers run ahead of what is settled
            raise Crash

    source.at = die
    with pytest.raises(Crash):
        healing_backup(bed, first.id, now, CHANGED, point=point, tuning=IMPATIENT, source=source, saved=saved)
    assert saved, "it had come some way"
    flip(bed, tree_pack(root.pack[:16]), root.offset + 5)
    note(bed, found)
    bed.reopen()
    again = Source(now)
    second, _ = healing_backup(bed, first.id, now, CHANGED, point=point, tuning=IMPATIENT, source=again, saved=saved)
    assert bed.restored(second) == plain(now)
    assert (min(again.read_indexes) > 0) is known_before, "goes on where it was only if nothing was found meanwhile"
