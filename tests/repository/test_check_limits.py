"""Where a check stops looking, and what only looks like damage: nobody is told that everything is whole without a look."""

from __future__ import annotations

import pytest

from server.domain.immutability import BucketFacts, LockRequest
from server.repository import findings
from server.repository.check import check, record, undelete
from server.repository.control import Control
from server.repository.damage import known_damage
from server.repository.verify import Cursor, Share, verify
from tests.repository.bed import Bed, Content, plain
from tests.repository.test_archive import BLOCKS, Vaults
from tests.repository.test_check_levels import CONTENT, spoil, spoiled

LOCKING = BucketFacts(versioning="enabled", object_lock=True)
WEEK = LockRequest("daily", 7)


class TestEnd:
    def test_a_check_that_stopped_says_so_although_it_names_one_object_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bed = Bed()
        bed.backup(CONTENT)
        bed.backup({index: seed + 1000 for index, seed in CONTENT.items()})
        for name in bed.names("packs/"):
            bed.inner.put(name, bed.inner.get(name)[:60])
        assert not any(problem.unfinished for problem in check(bed.repo, "structure"))
        monkeypatch.setattr(findings, "MAX_FINDINGS", 2)
        problems = list(check(bed.repo, "structure"))
        assert [problem.harm for problem in problems if problem.unfinished] == [()]

    def test_short_locks_do_not_end_a_check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bed = Bed(facts=LOCKING)
        bed.backup(CONTENT, lock=WEEK)
        second, _ = bed.backup({index: seed + 1000 for index, seed in CONTENT.items()}, lock=WEEK)
        for version in (version for versions in bed.inner._objects.values() for version in versions):
            version.locked_until = None
        spoiled(bed, second, 3)
        record(bed.repo, check(bed.repo, "content"))
        monkeypatch.setattr(findings, "MAX_FINDINGS", 2)
        problems = list(check(bed.repo, "available"))
        assert {harm.point_id for problem in problems for harm in problem.harm} == {second.id}


class TestOverwritten:
    """Whoever may write to a bucket with locks can hide what is there under something else."""

    @pytest.mark.parametrize("prefix", ["packs/", "trees/", "points/"])
    def test_what_was_hidden_under_something_else_comes_back(self, prefix: str) -> None:
        bed = Bed(facts=LOCKING)
        first, _ = bed.backup(CONTENT, lock=WEEK)
        for name in bed.names(prefix):
            bed.inner.put(name, bytes(len(bed.inner.get(name))))
        problems = list(check(bed.repo, "content"))
        assert {harm.point_id for problem in problems for harm in problem.harm} == {first.id}
        assert undelete(bed.repo, problems) == bed.names(prefix)
        assert undelete(bed.repo, problems) == [], "said once"
        assert list(check(bed.repo, "content")) == []
        assert bed.restored(first) == plain(CONTENT)

    def test_a_lock_that_is_not_there_is_looked_under(self) -> None:
        bed = Bed(facts=LOCKING)
        first, _ = bed.backup(CONTENT, lock=WEEK)
        for name in bed.names("packs/"):
            bed.inner.put(name, bytes(len(bed.inner.get(name))))
        problems = list(check(bed.repo, "available"))
        assert not any(problem.harm for problem in problems), "nothing was read"
        assert undelete(bed.repo, problems) == bed.names("packs/")
        assert bed.restored(first) == plain(CONTENT)

    def test_a_deleted_tree_comes_back(self) -> None:
        bed = Bed(facts=LOCKING)
        first, _ = bed.backup(CONTENT, lock=WEEK)
        for name in bed.names("trees/"):
            bed.inner.hide(name)
        assert undelete(bed.repo, check(bed.repo, "structure"))
        assert bed.restored(first) == plain(CONTENT)


class TestArchives:
    def test_what_was_healed_in_an_archive_does_not_keep_it_from_being_checked(self) -> None:
        vaults = Vaults()
        content: Content = {index: 5 * index + 5 for index in range(12)}
        first, _ = vaults.bed.backup(content, blocks=BLOCKS)
        made = vaults.store(first)
        vaults.cold.delete([next(iter(vaults.cold.list("packs/"))).name])
        record(vaults.archive, check(vaults.archive, "available"))
        assert known_damage(vaults.archive.vault)
        second, _ = vaults.bed.backup(content, blocks=BLOCKS, changed=[], parent=first.id)
        vaults.store(second, made)
        assert list(check(vaults.archive, "available")) == []
        record(vaults.archive, [])


class TestVerified:
    def test_the_parents_damage_is_not_the_points(self) -> None:
        bed = Bed()
        first, _ = bed.backup(CONTENT)
        (leaf,) = bed.names("trees/")
        second, _ = bed.backup({index: seed + 1000 for index, seed in CONTENT.items()}, parent=first.id)
        spoil(bed, leaf, 60)
        share = Share(2, 3)  # not the only leaf's turn
        report = verify(bed.repo, second, parent=first, share=share, start=Cursor(), budget=1 << 40, control=Control())
        assert report.problems == []
        assert report.blocks == len(CONTENT)
