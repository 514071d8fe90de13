"""Levels, shares and points of a check; what it records, and what is healed or undeleted afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest

from server.domain.errors import InvalidInput
from server.domain.immutability import BucketFacts, LockRequest
from server.ports import BLOCK_SIZE
from server.repository import layout
from server.repository.check import Harm, Problem, Sample, check, record, undelete
from server.repository.crypto import TYPE_DATA_PACK, TYPE_TREE_PACK
from server.repository.damage import Bad, known_damage, write_damage
from server.repository.fetch import Fetcher, NodeAt
from server.repository.manifest import Manifest
from server.repository.moved import Move, write_moves
from server.repository.prune import collect
from server.repository.tree import Entry
from tests.repository.bed import Bed, Content, plain

CONTENT: Content = {index: 5 * index + 5 for index in range(12)}
LOCKING = BucketFacts(versioning="enabled", object_lock=True)


def spoil(bed: Bed, name: str, position: int) -> None:
    data = bytearray(bed.inner.get(name))
    data[position] ^= 0x40
    bed.inner.put(name, bytes(data))


def entries(bed: Bed, manifest: Manifest) -> dict[int, Entry]:
    """Of the first leaf."""
    root = manifest.disks[0].root
    assert root is not None
    fetcher = Fetcher(bed.repo.vault)
    return fetcher.node(NodeAt(fetcher.node(NodeAt(root, 1, 0))[0], 0, 0))


def spoiled(bed: Bed, manifest: Manifest, index: int) -> Entry:
    entry = entries(bed, manifest)[index]
    spoil(bed, layout.data_pack(entry.pack[:16]), entry.offset + 7)
    return entry


class TestSample:
    def test_shares_together_reach_every_block_once(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT)
        for index in CONTENT:
            spoiled(bed, first, index)
        found = [list(check(bed.repo, "content", sample=Sample(part, 5))) for part in range(5)]
        starts = sorted(harm.start // BLOCK_SIZE for problems in found for problem in problems for harm in problem.harm)
        lengths = sum(harm.end - harm.start for problems in found for problem in problems for harm in problem.harm)
        assert lengths == len(CONTENT) * BLOCK_SIZE
        assert starts
        assert sum(map(bool, found)) > 1

    def test_a_share_that_is_not_there(self) -> None:
        for part, of in ((-1, 2), (2, 2), (0, 0)):
            with pytest.raises(InvalidInput):
                Sample(part, of)


class TestPoints:
    def test_only_those_asked_for_are_looked_at(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT)
        second, _ = bed.backup({0: 7})
        spoiled(bed, first, 3)
        assert list(check(bed.repo, "content", points=[second.id])) == []
        (problem,) = check(bed.repo, "content", points=[first.id])
        assert problem.harm == (Harm(first.id, "vol-1", 3 * BLOCK_SIZE, 4 * BLOCK_SIZE),)

    def test_a_backup_while_it_checks_is_no_damage(self) -> None:
        bed = Bed()
        bed.backup(CONTENT)
        checking = check(bed.repo, "structure")
        real = bed.repo.forgotten
        bed.repo.forgotten = lambda: (bed.backup({1: 9}), real())[1]  # type: ignore[method-assign]  # a backup in between
        assert list(checking) == []


class TestAvailable:
    def test_locks_are_as_long_as_promised(self) -> None:
        bed = Bed(facts=LOCKING)
        lock = LockRequest("daily", 7)
        bed.backup(CONTENT, lock=lock)
        assert list(check(bed.repo, "available")) == []
        name = bed.names("packs/")[0]
        real = bed.blobs.head

        def head(asked: str) -> object:
            blob = real(asked)
            if asked == name and blob is not None:
                return type(blob)(blob.name, blob.size, blob.version, blob.modified)
            return blob

        bed.blobs.head = head  # type: ignore[method-assign,assignment]  # a lock that went missing
        (problem,) = check(bed.repo, "available")
        assert (problem.object, problem.harm) == (name, ())
        assert "not at all" in problem.message

    def test_once_the_promise_is_over_nobody_asks(self) -> None:
        bed = Bed(facts=LOCKING)
        bed.backup(CONTENT, lock=LockRequest("daily", 7))
        bed.clock.advance(timedelta(days=60))
        assert list(check(bed.repo, "available")) == []

    def test_hidden_packs_come_back(self) -> None:
        bed = Bed(facts=LOCKING)
        first, _ = bed.backup(CONTENT)
        for name in bed.names("packs/"):
            bed.inner.hide(name)
        problems = list(check(bed.repo, "available"))
        assert {harm.point_id for problem in problems for harm in problem.harm} == {first.id}
        assert len(undelete(bed.repo, problems)) == len(bed.names("packs/")) > 0
        assert list(check(bed.repo, "content")) == []
        assert bed.restored(first) == plain(CONTENT)


class TestRecord:
    def test_is_known_until_it_can_be_read_again(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT)
        entry = spoiled(bed, first, 3)
        record(bed.repo, check(bed.repo, "content"))
        assert known_damage(bed.repo.vault).bad == {Bad(TYPE_DATA_PACK, entry.pack, entry.offset, entry.length)}
        assert known_damage(bed.repo.vault).hurts(TYPE_DATA_PACK, entry)
        # A shallower check sees it, too, and a check of other blocks does not withdraw it.
        assert len(list(check(bed.repo, "structure"))) == 1
        record(bed.repo, [])
        assert known_damage(bed.repo.vault)
        spoil(bed, layout.data_pack(entry.pack[:16]), entry.offset + 7)  # back to what it was
        record(bed.repo, check(bed.repo, "structure"))
        assert not known_damage(bed.repo.vault)
        assert bed.names("damage/") == []

    def test_an_item_stored_anew_is_no_damage_any_more(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT)
        entry = spoiled(bed, first, 3)
        record(bed.repo, check(bed.repo, "content"))
        second, _ = bed.backup({3: CONTENT[3]})
        copy = entries(bed, second)[3]
        write_moves(bed.repo.vault, TYPE_DATA_PACK, entry.pack[:16], [Move(entry.offset, copy.pack, copy.offset)])
        assert bed.restored(first) == plain(CONTENT)
        record(bed.repo, check(bed.repo, "content"))
        assert not known_damage(bed.repo.vault)

    def test_missing_packs_and_bad_nodes(self) -> None:
        bed = Bed()
        bed.backup(CONTENT)
        name = bed.names("packs/")[0]
        kept = bed.inner.get(name)
        bed.inner.delete([name])
        spoil(bed, bed.names("trees/")[0], 60)
        record(bed.repo, check(bed.repo, "structure"))
        bad = known_damage(bed.repo.vault).bad
        assert {each.type for each in bad} <= {TYPE_DATA_PACK, TYPE_TREE_PACK}
        spoil(bed, bed.names("trees/")[0], 60)
        problems = list(check(bed.repo, "structure"))
        record(bed.repo, problems)
        assert known_damage(bed.repo.vault).bad == {Bad(TYPE_DATA_PACK, layout.pack_id_of(name) or b"")}
        bed.inner.put(name, kept[:-5])
        record(bed.repo, [])
        assert known_damage(bed.repo.vault)  # there again, but cut off
        bed.inner.put(name, kept)
        record(bed.repo, check(bed.repo, "structure"))
        assert not known_damage(bed.repo.vault)

    def test_of_packs_nothing_needs_any_more_goes_with_the_collection(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT)
        bed.backup({0: 7})
        spoiled(bed, first, 3)
        record(bed.repo, check(bed.repo, "content"))
        collect(bed.repo, min_age=timedelta(days=1))
        assert known_damage(bed.repo.vault)
        bed.repo.forget(first.id)
        bed.days(2)
        collect(bed.repo, min_age=timedelta(days=1))
        assert not known_damage(bed.repo.vault)

    def test_is_bounded_and_survives_its_own_damage(self) -> None:
        bed = Bed()
        bed.backup(CONTENT)
        many = [Bad(TYPE_DATA_PACK, n.to_bytes(20, "big"), n, 5) for n in range(1, 3000)]
        write_damage(bed.repo.vault, many, at=bed.clock.now())
        assert len(known_damage(bed.repo.vault).bad) == 1000
        (name,) = bed.names("damage/")
        spoil(bed, name, 60)
        assert not known_damage(bed.repo.vault)
        record(bed.repo, [Problem("x", "y", (), (many[0],))])
        assert known_damage(bed.repo.vault).bad == {many[0]}
        assert len(bed.names("damage/")) == 1
