"""Every kind of object altered in every way: always noticed, never passed on as data, and blamed on those it hurts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from server.domain.errors import Damaged, ForeignFormat, HoldfastError, NotFound, WrongPassword
from server.ports import BLOCK_SIZE
from server.repository.check import check
from server.repository.fetch import Fetcher, TreeReader
from server.repository.manifest import Manifest
from server.repository.prune import collect
from server.repository.repository import Repository
from server.repository.tree import LEAF_BITS, LEAF_BLOCKS
from tests.repository.bed import OWNER, PASSWORD, SMALL, Bed, Content, plain

FIRST: Content = {0: 5, 1: 7, 2: 10, 255: 11, 300: 15, 599: 16}
SECOND: Content = FIRST | {1: 21, 300: 25}
THIRD: Content = {0: 30, 1: 35, 299: 36, 400: 40}

Alteration = Callable[[Bed, str], None]


def bed() -> tuple[Bed, dict[UUID, Content]]:
    """Two points that share packs, and one by itself."""
    made = Bed()
    first, _ = made.backup(FIRST)
    second, _ = made.backup(SECOND, changed=[1, 300], parent=first.id)
    third, _ = made.backup(THIRD)
    return made, {first.id: FIRST, second.id: SECOND, third.id: THIRD}


def flipped(share: float) -> Alteration:
    def flip(made: Bed, name: str) -> None:
        data = bytearray(made.inner.get(name))
        data[min(len(data) - 1, int(share * len(data)))] ^= 0x10
        made.inner.put(name, bytes(data))

    return flip


def cut(share: float) -> Alteration:
    return lambda made, name: _put(made, name, made.inner.get(name)[: int(share * len(made.inner.get(name)))])


def emptied(made: Bed, name: str) -> None:
    made.inner.put(name, b"")


def zeroed(made: Bed, name: str) -> None:
    made.inner.put(name, bytes(len(made.inner.get(name))))


def removed(made: Bed, name: str) -> None:
    made.inner.delete([name])


def exchanged(made: Bed, name: str) -> None:
    """With another object of the same kind, or with any when there is none."""
    kind = name.partition("/")[0] + "/"
    other = next((each for each in made.names(kind) if each != name), "config" if name != "config" else "owner")
    mine, theirs = made.inner.get(name), made.inner.get(other)
    made.inner.put(name, theirs)
    made.inner.put(other, mine)


def _put(made: Bed, name: str, data: bytes) -> None:
    made.inner.put(name, data)


ALTERATIONS: dict[str, Alteration] = {
    **{f"a bit at {share:.0%}": flipped(share) for share in (0.0, 0.05, 0.37, 0.5, 0.8, 0.999)},
    **{f"cut at {share:.0%}": cut(share) for share in (0.01, 0.5, 0.99)},
    "empty": emptied,
    "zeros": zeroed,
    "removed": removed,
    "exchanged": exchanged,
}


def hurt(made: Bed, point: UUID, content: Content) -> set[int]:
    """Indexes of blocks that cannot be restored, asked for one by one; all when the manifest cannot be read. What can be
    restored is right."""
    try:
        manifest = made.repo.point(point)
    except (Damaged, ForeignFormat, NotFound):
        return set(range(600))
    return {index for index in plain(content) if not _restores(made.repo, manifest, index, content)}


def _restores(repo: Repository, manifest: Manifest, index: int, content: Content) -> bool:
    """Asked for without its neighbours, which a restore would fetch with it."""
    disk = manifest.disk("vol-1")
    assert disk is not None
    fetcher = Fetcher(repo.vault)
    try:
        entry = TreeReader(fetcher, disk.root, disk.level).node(0, index >> LEAF_BITS)[index & (LEAF_BLOCKS - 1)]
        (data,) = fetcher.blocks([entry])
    except Damaged:
        return False
    assert data == plain(content)[index], "other bytes than were backed up"
    return True


def blamed(made: Bed) -> dict[UUID, set[int]]:
    """Block indexes by point, as the check says; a whole point when its manifest is meant."""
    found: dict[UUID, set[int]] = {}
    for problem in check(made.repo, "content"):
        for harm in problem.harm:
            span = range(harm.start // BLOCK_SIZE, -(-harm.end // BLOCK_SIZE)) if harm.disk_id else range(600)
            found.setdefault(harm.point_id, set()).update(span)
    return found


def packs_and_points(made: Bed) -> Iterator[str]:
    return iter(made.packs() + made.names("points/"))


@pytest.mark.parametrize("how", ALTERATIONS)
def test_what_a_point_needs(how: str) -> None:
    names = list(packs_and_points(bed()[0]))
    kinds = [name.partition("/")[0] for name in names]
    assert {kind: kinds.count(kind) for kind in kinds} == {"packs": 3, "trees": 3, "points": 3}
    for number in range(len(names)):
        made, points = bed()
        name = list(packs_and_points(made))[number]
        ALTERATIONS[how](made, name)
        made.reopen()
        truth = {point: indexes for point, content in points.items() if (indexes := hurt(made, point, content))}
        said = blamed(made)
        lost = {point for point in truth if f"points/{point}" not in made.names("points/")}
        assert truth or how.startswith(("a bit", "cut at 99%")), f"{how}: {name}"  # it may have hit a footer
        assert set(said) == set(truth) - lost, (
            f"{how}: {name}"
        )  # a manifest that is gone leaves no trace; the database knows it
        for point in said:
            assert truth[point] <= said[point], f"{how}: {name}"


@pytest.mark.parametrize("how", ALTERATIONS)
def test_what_opens_it(how: str) -> None:
    for number in range(3):
        made, points = bed()
        name = [*made.names("keys/"), "config", "owner"][number]
        ALTERATIONS[how](made, name)
        try:
            made.reopen()
        except WrongPassword:
            raise AssertionError(f"{how}: damage of {name} was taken for a wrong password") from None
        except HoldfastError:
            continue
        assert (name, how) == ("owner", "removed"), f"{how}: {name} was not missed"  # its creator is still known
        for point, content in points.items():
            assert made.restored(made.repo.point(point)) == plain(content)


@pytest.mark.parametrize("how", ALTERATIONS)
def test_what_collection_and_runs_keep(how: str) -> None:
    """Tombstones, pins, the state and the list of a collection: with any of them altered, nothing that is needed is deleted."""
    number = 0
    while True:
        made, points = bed()
        hidden = next(iter(points))
        made.repo.forget(hidden)
        made.days(5)
        collect(made.repo, min_age=timedelta(days=1))
        made.repo.begin(UUID(int=77), parent=list(points)[1], tuning=SMALL)
        names = [
            name for prefix in ("forgotten/", "pins/", "gc/", "catalog/", "moved/", "damage/") for name in made.names(prefix)
        ]
        if number == len(names):
            break
        ALTERATIONS[how](made, names[number])
        number += 1
        for _ in range(3):
            made.days(1.5)
            try:
                collect(made.repo, min_age=timedelta(days=1))
            except (Damaged, ForeignFormat):
                continue
        for point, content in points.items():
            if point != hidden:
                assert made.restored(made.repo.point(point)) == plain(content), f"{how}: {names[number - 1]}"
    assert number >= 4


def test_objects_of_another_repository() -> None:
    """Swapped in under the same names, by somebody who knows neither password."""
    made, points = bed()
    other, _ = bed()
    for mine, theirs in zip(packs_and_points(made), packs_and_points(other), strict=True):
        kept = made.inner.get(mine)
        made.inner.put(mine, other.inner.get(theirs))
        truth = {point for point, content in points.items() if hurt(made, point, content)}
        assert truth
        assert set(blamed(made)) == truth
        made.inner.put(mine, kept)
    assert blamed(made) == {}


def test_an_older_pin_or_state_costs_no_data() -> None:
    """Replaying earlier versions of what may change is possible for who can write to the bucket; it deletes nothing."""
    made, points = bed()
    first, second, third = points
    run = made.repo.begin(UUID(int=77), parent=second, tuning=SMALL)
    old_pin = made.inner.get(f"pins/{run.point_id}")
    made.repo.forget(first)
    made.days(2)
    collect(made.repo, min_age=timedelta(days=1))
    old_state = made.inner.get("gc/state")
    run.abandon()
    made.repo.recall(first)
    made.inner.put("gc/state", old_state)
    made.inner.put(f"pins/{run.point_id}", old_pin)
    for _ in range(4):
        made.days(2)
        collect(made.repo, min_age=timedelta(days=1))
    for point, content in points.items():
        assert made.restored(made.repo.point(point)) == plain(content)
    assert third in points
    assert Repository.open(made.blobs, PASSWORD, clock=made.clock, owner=OWNER).id == made.repo.id
