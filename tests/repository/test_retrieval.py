"""Retrieval: the packs a point needs, asked for once, found when they are readable, kept readable, and lost ones noticed."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from server.domain.errors import Archived, Cancelled, Damaged, InvalidInput, NotFound
from server.domain.repository import RetrievalMode, StorageClass
from server.repository import layout
from server.repository.archive import archive_disk, copies
from server.repository.control import Control
from server.repository.crypto import TYPE_DATA_PACK
from server.repository.manifest import Manifest
from server.repository.moved import Move, write_moves
from server.repository.restore import read_blocks
from server.repository.retrieval import arrived, ask, needed, survey
from tests.repository.bed import SMALL, Content, plain
from tests.repository.test_archive import BLOCKS, Vaults

DAY = timedelta(days=1)
LARGE = {index: 5 * index + 5 for index in range(40)}  # does not compress: several packs
BULK = RetrievalMode.BULK


@pytest.fixture
def vaults() -> Vaults:
    return Vaults()


def stored(vaults: Vaults, content: Content) -> tuple[Manifest, list[str]]:
    """An archive point, and the packs it needs."""
    source, _ = vaults.bed.backup(content, blocks=BLOCKS)
    made = vaults.store(source)
    names = needed(vaults.archive, made.manifest)
    assert len(names) > 5
    return made.manifest, names


def asked(vaults: Vaults, names: list[str], *, mode: RetrievalMode = BULK, days: int = 1, last: timedelta = DAY) -> int:
    return ask(vaults.archive, names, mode=mode, days=days, least=vaults.bed.clock.now() + last)


def test_before_anything_all_packs_are_asleep(vaults: Vaults) -> None:
    _, names = stored(vaults, LARGE)
    found = survey(vaults.archive, names)
    size = sum(blob.size for blob in vaults.cold.list("packs/"))
    assert (found.packs, found.size_bytes, found.asleep, found.asleep_bytes) == (len(names), size, len(names), size)
    assert (found.ongoing, found.until) == (0, None)
    assert arrived(vaults.archive, names).lost


def test_what_is_asked_for_arrives_and_ends(vaults: Vaults) -> None:
    manifest, names = stored(vaults, LARGE)
    assert asked(vaults, names, days=2) == len(names)
    assert asked(vaults, names, days=2) == 0, "what is under way is not asked for again"
    assert survey(vaults.archive, names).ongoing == len(names)
    waiting = arrived(vaults.archive, names)
    assert (waiting.packs, waiting.lost) == (0, False)
    vaults.bed.clock.advance(timedelta(hours=12))
    there = arrived(vaults.archive, names)
    assert (there.packs, there.lost) == (len(names), False)
    assert there.until == survey(vaults.archive, names).until
    assert dict(read_blocks(vaults.archive, manifest, "vol-1")) == plain(LARGE)
    assert there.until is not None
    vaults.bed.clock.set(there.until)
    assert arrived(vaults.archive, names).lost
    with pytest.raises(Archived):
        list(read_blocks(vaults.archive, manifest, "vol-1"))


def test_only_what_lacks_a_lasting_copy_is_asked_for(vaults: Vaults) -> None:
    _, names = stored(vaults, LARGE)
    asked(vaults, names[:2])
    vaults.bed.clock.advance(timedelta(hours=13))
    assert asked(vaults, names, last=timedelta(0)) == len(names) - 2
    vaults.bed.clock.advance(timedelta(hours=13))
    until = arrived(vaults.archive, names).until
    assert until is not None
    assert asked(vaults, names, days=5, last=until + DAY - vaults.bed.clock.now()) == 2, "the others last longer already"
    later = arrived(vaults.archive, names).until
    assert later is not None
    assert later >= until + DAY


def test_looking_goes_on_where_it_was(vaults: Vaults) -> None:
    _, names = stored(vaults, LARGE)
    asked(vaults, names[:3], mode=RetrievalMode.EXPEDITED)
    asked(vaults, names[3:])
    vaults.bed.clock.advance(timedelta(minutes=5))
    first = arrived(vaults.archive, names)
    assert first.packs == 3
    vaults.bed.clock.advance(timedelta(hours=12))
    seen = arrived(vaults.archive, names, start=first.packs, until=first.until)
    assert (seen.packs, seen.until) == (len(names), first.until)


def test_a_disk_alone_needs_its_own_packs_only(vaults: Vaults) -> None:
    one, _ = vaults.bed.backup(LARGE, blocks=BLOCKS, disk_id="vol-1")
    two, _ = vaults.bed.backup({index: seed + 1000 for index, seed in LARGE.items()}, blocks=BLOCKS, disk_id="vol-2")
    archive = vaults.archive.begin(uuid4(), parent=None, tuning=SMALL)
    results = [
        archive_disk(each, archive, control=Control())
        for source in (one, two)
        for each in copies(vaults.bed.repo, source, archive)
    ]
    manifest = archive.commit(at=one.at, resource={}, document={}, disks=results)
    both = needed(vaults.archive, manifest)
    alone = [needed(vaults.archive, manifest, [disk]) for disk in ("vol-1", "vol-2")]
    assert sorted(alone[0] + alone[1]) == both
    with pytest.raises(NotFound, match="vol-9"):
        needed(vaults.archive, manifest, ["vol-9"])


def test_copies_stored_by_healing_are_retrieved_too_and_lost_packs_are_not(vaults: Vaults) -> None:
    manifest, names = stored(vaults, LARGE)
    target = vaults.archive.vault.new_id()
    vaults.cold.put(layout.data_pack(target), b"healed", storage_class=StorageClass.GLACIER)
    lost = layout.pack_id_of(names[0])
    assert lost is not None
    vaults.archive.vault.upgrade()
    write_moves(vaults.archive.vault, TYPE_DATA_PACK, lost, [Move(48, target + bytes([1, 0, 0, 0]), 48)])
    assert needed(vaults.archive, manifest) == sorted([*names, layout.data_pack(target)])
    vaults.cold.delete([names[0]])
    assert needed(vaults.archive, manifest) == sorted([*names[1:], layout.data_pack(target)])


def test_a_copy_that_is_gone_since_is_not_waited_for(vaults: Vaults) -> None:
    """Collected, as nothing needs what was healed with it any more; the record is kept for other items of the pack."""
    manifest, names = stored(vaults, LARGE)
    pack = layout.pack_id_of(names[0])
    assert pack is not None
    vaults.archive.vault.upgrade()
    gone = vaults.archive.vault.new_id() + bytes([1, 0, 0, 0])
    write_moves(vaults.archive.vault, TYPE_DATA_PACK, pack, [Move(7, gone, 48)])
    assert needed(vaults.archive, manifest) == names
    assert survey(vaults.archive, names).packs == len(names)


def test_a_missing_pack_is_damage_named(vaults: Vaults) -> None:
    _, names = stored(vaults, LARGE)
    vaults.cold.delete([names[1]])
    with pytest.raises(Damaged) as damaged:
        survey(vaults.archive, names)
    assert damaged.value.fields["object"] == names[1]


def test_deep_archive_has_no_expedited_retrieval() -> None:
    vaults = Vaults(storage_class=StorageClass.DEEP_ARCHIVE)
    _, names = stored(vaults, LARGE)
    with pytest.raises(InvalidInput):
        asked(vaults, names, mode=RetrievalMode.EXPEDITED)
    assert asked(vaults, names, mode=RetrievalMode.STANDARD) == len(names)


def test_it_can_be_stopped(vaults: Vaults) -> None:
    _, names = stored(vaults, LARGE)
    with pytest.raises(Cancelled):
        ask(vaults.archive, names, mode=BULK, days=1, least=vaults.bed.clock.now(), halted=lambda: True)
    assert survey(vaults.archive, names).ongoing == 0


def test_a_standard_repository_needs_no_retrieval(vaults: Vaults) -> None:
    source, _ = vaults.bed.backup(LARGE, blocks=BLOCKS)
    names = needed(vaults.bed.repo, source)
    assert survey(vaults.bed.repo, names).asleep == 0
    assert arrived(vaults.bed.repo, names).packs == len(names)
    assert ask(vaults.bed.repo, names, mode=BULK, days=1, least=vaults.bed.clock.now() + DAY) == 0
