"""The catalog: makes lists quick, and is believed in nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from server.domain.errors import Damaged, NotOwner
from server.repository import catalog, layout
from server.repository.crypto import TYPE_CATALOG, TYPE_MANIFEST
from server.repository.manifest import Manifest
from server.repository.repository import Repository
from tests.repository.bed import PASSWORD, Bed


def add_points(bed: Bed, count: int) -> list[Manifest]:
    """One backup, and its manifest under other ids."""
    first, _ = bed.backup({0: 1}, blocks=10)
    made = [first]
    vault = bed.repo.vault
    for number in range(count - 1):
        twin = replace(first, id=uuid4(), resource={"id": f"i-{number}"})
        name = layout.point(twin.id)
        vault.put_once(name, vault.seal(name, TYPE_MANIFEST, twin.to_json()))
        made.append(twin)
    return made


def listed(repo: Repository) -> list[UUID]:
    return [point.id for point in repo.points()]


def reads(bed: Bed, prefix: str) -> list[str]:
    """Names under ``prefix`` that listing the points reads."""
    names: list[str] = []
    get = bed.inner.get

    def counted(name: str, *, start: int = 0, length: int | None = None) -> bytes:
        names.append(name)
        return get(name, start=start, length=length)

    bed.inner.get = counted  # type: ignore[method-assign]
    try:
        list(bed.repo.points())
    finally:
        bed.inner.get = get  # type: ignore[method-assign]
    return [name for name in names if name.startswith(prefix)]


def ids(manifests: Iterable[Manifest]) -> list[UUID]:
    return sorted((manifest.id for manifest in manifests), key=str)


def test_a_list_is_the_same_with_and_without() -> None:
    bed = Bed()
    add_points(bed, 70)
    before = list(bed.repo.points())
    assert catalog.refresh(bed.repo) == 70
    assert list(bed.repo.points()) == before
    assert reads(bed, layout.POINTS) == []


def test_new_points_are_read_until_the_next_refresh() -> None:
    bed = Bed()
    add_points(bed, 3)
    catalog.refresh(bed.repo)
    late, _ = bed.backup({0: 2}, blocks=10)
    assert reads(bed, layout.POINTS) == [layout.point(late.id)]
    assert late.id in listed(bed.repo)
    assert catalog.refresh(bed.repo) == 1
    assert reads(bed, layout.POINTS) == []


def test_nothing_new_writes_nothing() -> None:
    bed = Bed()
    add_points(bed, 3)
    catalog.refresh(bed.repo)
    there = bed.names(layout.CATALOG)
    assert catalog.refresh(bed.repo) == 0
    assert bed.names(layout.CATALOG) == there


def test_forgotten_points_are_not_shown_and_recalled_ones_are() -> None:
    bed = Bed()
    made = add_points(bed, 3)
    catalog.refresh(bed.repo)
    bed.repo.forget(made[1].id)
    assert listed(bed.repo) == ids([made[0], made[2]])
    bed.repo.recall(made[1].id)
    assert listed(bed.repo) == ids(made)


def test_a_line_without_its_point_does_not_count() -> None:
    bed = Bed()
    made = add_points(bed, 3)
    catalog.refresh(bed.repo)
    bed.inner.delete([layout.point(made[1].id)])
    assert listed(bed.repo) == ids([made[0], made[2]])


def test_objects_without_a_living_line_go() -> None:
    bed = Bed()
    made = add_points(bed, 2)
    catalog.refresh(bed.repo)
    bed.inner.delete([layout.point(manifest.id) for manifest in made])
    catalog.refresh(bed.repo)
    assert bed.names(layout.CATALOG) == []


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: b"", lambda data: data[:60] + b"x" + data[61:]])
def test_a_damaged_object_costs_time_only(spoil: object) -> None:
    bed = Bed()
    made = add_points(bed, 3)
    catalog.refresh(bed.repo)
    (name,) = bed.names(layout.CATALOG)
    bed.inner.put(name, spoil(bed.inner.get(name)))  # type: ignore[operator]
    assert listed(bed.repo) == ids(made)
    assert catalog.refresh(bed.repo) == 3
    assert name not in bed.names(layout.CATALOG)
    assert reads(bed, layout.POINTS) == []


@pytest.mark.parametrize("content", [{}, {"points": 3}, {"points": [{}]}, {"points": ["x"]}, {"points": [{"id": 4}]}])
def test_a_malformed_object_is_passed_over(content: dict[str, object]) -> None:
    bed = Bed()
    made = add_points(bed, 2)
    vault = bed.repo.vault
    name = layout.catalog(vault.new_id())
    vault.put_once(name, vault.seal(name, TYPE_CATALOG, content))
    assert listed(bed.repo) == ids(made)
    assert catalog.refresh(bed.repo) == 2
    assert name not in bed.names(layout.CATALOG)


def test_a_damaged_manifest_is_named_and_never_cached() -> None:
    bed = Bed()
    made = add_points(bed, 3)
    bed.inner.put(layout.point(made[1].id), b"nonsense")
    assert catalog.refresh(bed.repo) == 2
    with pytest.raises(Damaged, match=str(made[1].id)):
        listed(bed.repo)


def test_many_small_objects_become_one() -> None:
    bed = Bed()
    made = []
    for number in range(catalog.SMALL_MAX + 2):
        made.append(bed.backup({0: number + 1}, blocks=10)[0])
        catalog.refresh(bed.repo)
        assert len(bed.names(layout.CATALOG)) <= catalog.SMALL_MAX + 1
    assert len(bed.names(layout.CATALOG)) == 1
    assert reads(bed, layout.POINTS) == []
    assert listed(bed.repo) == ids(made)


def test_full_objects_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "LINES_MAX", 4)
    bed = Bed()
    made = add_points(bed, 10)
    catalog.refresh(bed.repo)
    assert len(bed.names(layout.CATALOG)) == 3
    before = set(bed.names(layout.CATALOG))
    for number in range(2 * catalog.SMALL_MAX):
        made.append(bed.backup({0: number + 20}, blocks=10)[0])
        catalog.refresh(bed.repo)
    assert len(before & set(bed.names(layout.CATALOG))) == 2
    assert listed(bed.repo) == ids(made)


def test_a_large_manifest_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "LINE_MAX", 10)
    bed = Bed()
    made = add_points(bed, 2)
    assert catalog.refresh(bed.repo) == 0
    assert bed.names(layout.CATALOG) == []
    assert listed(bed.repo) == ids(made)


def test_only_the_owner_refreshes() -> None:
    bed = Bed()
    add_points(bed, 1)
    Repository.open(bed.blobs, bed_secret(), clock=bed.clock, owner=UUID(int=9), take_over=True)
    with pytest.raises(NotOwner):
        catalog.refresh(bed.repo)


def bed_secret() -> str:
    return PASSWORD


def test_documents_stay_out() -> None:
    bed = Bed()
    run = bed.repo.begin(uuid4(), parent=None)
    run.commit(at=bed.clock.now(), resource={"id": "i-1"}, document={"secret-looking": "x" * 5000}, disks=[])
    catalog.refresh(bed.repo)
    (name,) = bed.names(layout.CATALOG)
    (line,) = bed.repo.vault.read_sealed(name, TYPE_CATALOG)["points"]
    assert line["document"] == {}
