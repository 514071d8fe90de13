"""Archives made from another repository: the same disks, only what changed is read and stored, and nothing needs a source disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.adapters.blobs.memory import MemoryBlobs
from server.domain.errors import Archived, Cancelled, Damaged
from server.domain.repository import RetrievalMode, StorageClass
from server.ports import BLOCK_SIZE
from server.repository.archive import Origin, archive_disk, copies, make_origin, origin_of
from server.repository.manifest import Manifest
from server.repository.prune import collect
from server.repository.repository import Control, Repository
from server.repository.restore import read_blocks
from server.repository.retrieval import ask, needed
from tests.repository.bed import EAGER, OWNER, PASSWORD, QUICK, SMALL, Bed, Content, plain

BLOCKS = 1200  # five leaves, the last one not full
SOME = {index: index + 1 for index in range(0, BLOCKS, 3)}


@dataclass
class Made:
    """An archive point, and what it cost: block indexes read from the source, bytes stored in data packs."""

    manifest: Manifest
    read: int
    written: int


@dataclass
class Vaults:
    """A standard repository (``bed``) and an archive; both on one clock."""

    bed: Bed = field(default_factory=Bed)
    storage_class: StorageClass = StorageClass.GLACIER

    def __post_init__(self) -> None:
        self.cold = MemoryBlobs(self.bed.clock, name="archive")
        self.archive = Repository.create(
            self.cold, PASSWORD, clock=self.bed.clock, owner=OWNER, kdf=QUICK, storage_class=self.storage_class
        )

    def store(self, source: Manifest, parent: Made | None = None, *, point: UUID | None = None) -> Made:
        run = self.archive.begin(point or uuid4(), parent=parent.manifest.id if parent else None, tuning=SMALL)
        found = copies(self.bed.repo, source, run)
        expected = sum(each.blocks_to_read() for each in found)
        results = [archive_disk(each, run, control=Control()) for each in found]
        made = run.commit(
            at=source.at,
            resource=source.resource,
            document=source.document,
            disks=results,
            archive=make_origin(self.bed.repo, source).to_json(),
        )
        read = sum(disk.blocks_read for disk in made.disks)
        assert read == expected
        return Made(made, read, sum(disk.blocks_written for disk in made.disks))

    def thawed(self, made: Made, disk_id: str = "vol-1") -> dict[int, bytes]:
        """The disk read back, after a retrieval."""
        names = needed(self.archive, made.manifest)
        later = self.bed.clock.now() + timedelta(days=1)
        ask(self.archive, names, mode=RetrievalMode.BULK, days=2, least=later)
        self.bed.clock.advance(timedelta(hours=49))
        return dict(read_blocks(self.archive, made.manifest, disk_id, threads=2))


@pytest.fixture
def vaults() -> Vaults:
    return Vaults()


def changed(content: Content, *indexes: int) -> Content:
    return {**content, **{index: index + 7000 for index in indexes}}


def test_a_full_archive_holds_the_same_disk_in_its_storage_class(vaults: Vaults) -> None:
    source, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    made = vaults.store(source)
    assert made.read == made.written == len(SOME)
    classes = {blob.name.split("/")[0]: blob.storage_class for blob in vaults.cold.list()}
    assert classes.pop("packs") is StorageClass.GLACIER
    assert set(classes.values()) == {StorageClass.STANDARD}
    with pytest.raises(Archived):
        list(read_blocks(vaults.archive, made.manifest, "vol-1"))
    assert vaults.thawed(made) == plain(SOME)


def test_an_increment_reads_and_stores_what_changed(vaults: Vaults) -> None:
    first, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    full = vaults.store(first)
    now = changed(SOME, 3, 4, 1199)
    second, _ = vaults.bed.backup(now, blocks=BLOCKS, changed=[3, 4, 1199], parent=first.id)
    made = vaults.store(second, full)
    assert made.read == made.written == 3
    assert vaults.thawed(made) == plain(now)


def test_once_the_former_source_is_gone_only_changed_leaves_are_read(vaults: Vaults) -> None:
    first, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    full = vaults.store(first)
    now = changed(SOME, 3)
    second, _ = vaults.bed.backup(now, blocks=BLOCKS, changed=[3], parent=first.id)
    vaults.bed.repo.forget(first.id)
    made = vaults.store(second, full)
    assert made.read == sum(1 for index in now if index < 256)
    assert made.written == 1
    assert vaults.thawed(made) == plain(now)


def test_what_became_zero_is_zero_in_the_archive(vaults: Vaults) -> None:
    first, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    full = vaults.store(first)
    gone = [index for index in SOME if index < 256 or index == 600]  # a whole leaf, and one block of another
    now = {index: seed for index, seed in SOME.items() if index not in gone}
    second, _ = vaults.bed.backup(now, blocks=BLOCKS, changed=gone, parent=first.id)
    made = vaults.store(second, full)
    assert made.read == made.written == 0
    assert vaults.thawed(made) == plain(now)


def test_a_disk_that_grew_is_still_an_increment_and_one_that_shrank_is_read_whole(vaults: Vaults) -> None:
    first, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    full = vaults.store(first)
    grown = changed(SOME, 1500)
    second, _ = vaults.bed.backup(grown, blocks=1600, changed=[1500], parent=first.id)
    made = vaults.store(second, full)
    assert (made.read, made.written) == (1, 1)
    assert vaults.thawed(made) == plain(grown)
    small = {index: seed for index, seed in SOME.items() if index < 300}
    third, _ = vaults.bed.backup(small, blocks=300)
    shrunk = vaults.store(third, made)
    assert (shrunk.read, shrunk.written) == (len(small), 0)  # read, found to be there already
    assert vaults.thawed(shrunk) == plain(small)


def test_an_archive_fed_from_another_repository_compares_nothing_of_its_ids(vaults: Vaults) -> None:
    first, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    full = vaults.store(first)
    vaults.bed = replace(vaults.bed)  # a repository with other keys
    again, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    made = vaults.store(again, full)
    assert (made.read, made.written) == (len(SOME), 0)
    assert vaults.thawed(made) == plain(SOME)


def test_points_are_independent_so_any_may_go(vaults: Vaults) -> None:
    content, source, parent = dict(SOME), None, None
    kept: list[tuple[Made, Content]] = []
    for step in range(3):
        content = changed(content, step, 700 + step)
        source, _ = vaults.bed.backup(
            content, blocks=BLOCKS, changed=[step, 700 + step] if source else None, parent=source.id if source else None
        )
        parent = vaults.store(source, parent)
        kept.append((parent, content))
    for made, _ in kept[:2]:
        vaults.archive.forget(made.manifest.id)
    for _ in range(3):
        vaults.bed.days(4)
        collect(vaults.archive, min_age=timedelta(days=1))
    assert [each.id for each in vaults.archive.points()] == [kept[2][0].manifest.id]
    assert vaults.thawed(kept[2][0]) == plain(kept[2][1])


def test_collection_of_an_archive_rewrites_nothing(vaults: Vaults) -> None:
    first, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    full = vaults.store(first)
    second, _ = vaults.bed.backup(changed(SOME, *range(0, 1000, 2)), blocks=BLOCKS, parent=first.id)
    vaults.store(second, full)
    vaults.archive.forget(full.manifest.id)
    before = {blob.name for blob in vaults.cold.list("packs/")}
    for _ in range(3):
        vaults.bed.days(4)
        collect(vaults.archive, min_age=timedelta(days=1))
    assert {blob.name for blob in vaults.cold.list("packs/")} <= before


def test_an_interrupted_archive_goes_on_where_it_was(vaults: Vaults) -> None:
    source, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    point = uuid4()
    saved: list[str] = []
    run = vaults.archive.begin(point, parent=None, tuning=EAGER)
    (copy,) = copies(vaults.bed.repo, source, run)
    with pytest.raises(Cancelled):
        archive_disk(copy, run, control=Control(cancelled=lambda: len(saved) >= 2, save=saved.append))
    run = vaults.archive.begin(point, parent=None, tuning=EAGER)
    (copy,) = copies(vaults.bed.repo, source, run)
    listed = [ref.index for ref in copy.refs(512)]
    assert listed == [index for index in sorted(SOME) if index >= 512]
    (copy,) = copies(vaults.bed.repo, source, run)
    result = archive_disk(copy, run, control=Control(), checkpoint=saved[-1])
    manifest = run.commit(at=source.at, resource={}, document={}, disks=[result])
    assert result.record.blocks_read == len(SOME)
    assert vaults.thawed(Made(manifest, 0, 0)) == plain(SOME)


def test_the_manifest_says_what_it_was_made_from(vaults: Vaults) -> None:
    source, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    made = vaults.store(source)
    origin = origin_of(vaults.archive.point(made.manifest.id))
    assert origin == make_origin(vaults.bed.repo, source)
    assert (origin.repository, origin.point) == (vaults.bed.repo.id, source.id)
    assert len(origin.disks["vol-1"].leaves) == 5 * 16
    assert origin_of(source) is None


@pytest.mark.parametrize(
    "wrong", [{}, {"repository": "x"}, {"repository": str(OWNER), "point": str(OWNER), "disks": [{"diskId": "a", "leaves": "!"}]}]
)
def test_an_origin_that_is_not_well_formed_is_damage(wrong: dict[str, object]) -> None:
    with pytest.raises(Damaged):
        Origin.from_json(wrong)


def test_a_damaged_source_is_never_archived(vaults: Vaults) -> None:
    source, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    for name in vaults.bed.names("packs/"):
        data = bytearray(vaults.bed.inner.get(name))
        data[5000] ^= 1
        vaults.bed.inner.put(name, bytes(data))
    with pytest.raises(Damaged):
        vaults.store(source)
    assert list(vaults.archive.points()) == []


def test_a_damaged_former_source_only_costs_reading_more(vaults: Vaults) -> None:
    first, _ = vaults.bed.backup(SOME, blocks=BLOCKS)
    full = vaults.store(first)
    now = changed(SOME, 3)
    second, _ = vaults.bed.backup(now, blocks=BLOCKS)  # a full of its own: shares no tree with the first
    trees = [name for name in vaults.bed.names("trees/") if first.id.hex in name or name in _trees_of(vaults, first)]
    for name in trees:
        vaults.bed.inner.delete([name])
    made = vaults.store(second, full)
    assert made.written == 1
    assert vaults.thawed(made) == plain(now)


def _trees_of(vaults: Vaults, manifest: Manifest) -> Iterable[str]:
    """The tree pack of the point's top node: every node of a disk this small."""
    root = manifest.disks[0].root
    assert root is not None
    pack = root.pack[:16]
    return [f"trees/{pack[:1].hex()}/{pack.hex()}"]


contents = st.dictionaries(st.integers(0, 799), st.integers(0, 12), max_size=60)


@settings(max_examples=25, deadline=None)
@given(history=st.lists(st.tuples(contents, st.booleans()), min_size=2, max_size=4))
def test_any_history_ends_in_the_last_content(history: list[tuple[Content, bool]]) -> None:
    """Points with any contents, archived one after the other, the former source forgotten or not."""
    vaults = Vaults()
    source: Manifest | None = None
    made: Made | None = None
    for content, forget in history:
        former, (source, _) = source, vaults.bed.backup(content, blocks=800)
        if former is not None and forget:
            vaults.bed.repo.forget(former.id)
        made = vaults.store(source, made)
    assert made is not None
    assert vaults.thawed(made) == plain(history[-1][0])
    assert made.manifest.disks[0].size_bytes == 800 * BLOCK_SIZE
