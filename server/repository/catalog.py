"""Many points' manifests in few objects, so that a list of points does not read each (FORMAT.md §2): a cache, never the truth.

A line counts only while ``points/<id>`` is listed and not forgotten. Points without a line are read one by one; losing or
damaging every object here costs time, nothing else. Lines are manifests without their documents, unknown keys kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.domain.errors import Damaged, ForeignFormat, NotFound
from server.repository import layout
from server.repository.crypto import TYPE_CATALOG, TYPE_MANIFEST, canonical
from server.repository.manifest import Manifest, PointSummary
from server.repository.vault import Vault

if TYPE_CHECKING:
    from server.repository.repository import Repository

READERS = 16  # objects read at once: a store far away answers each after tens of milliseconds
CHUNK = 64  # manifests asked for ahead of the reader
LINES_MAX = 4_096  # of one object, about 1 KiB each before compression
LINE_MAX = 32 * 1024  # characters; a point with a larger manifest is not cached
CACHED_MAX = 200_000  # lines kept in memory while listing; the points beyond are read one by one
SMALL_MAX = 8  # objects less than half full before they are put together

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Object:
    """A catalog object; without lines when it is damaged."""

    name: str
    lines: list[Line]


def points(repo: Repository) -> Iterator[PointSummary]:
    """Every visible point, by id. Errors: Damaged (names the point), the storage's."""
    vault = repo.vault
    hidden = set(repo.forgotten())
    cached: dict[str, Line] = {}
    for found in _objects(vault):
        for line in found.lines:
            if len(cached) < CACHED_MAX:
                cached[line["id"]] = line
    ids = (layout.uuid_of(blob.name) for blob in vault.blobs.list(layout.POINTS))
    shown = (point_id for point_id in ids if point_id and point_id not in hidden)
    with vault.pool(READERS, "points") as pool:
        while chunk := list(islice(shown, CHUNK)):
            fresh = [point_id for point_id in chunk if str(point_id) not in cached]
            read = dict(zip(fresh, pool.map(partial(_read, vault), fresh), strict=True))
            for point_id in chunk:
                manifest = read[point_id] if point_id in read else cached[str(point_id)]
                if manifest is not None:
                    yield PointSummary.of(_manifest(point_id, manifest))


def refresh(repo: Repository) -> int:
    """Add the points the catalog lacks and put small objects together; the number added. The owner's alone; idempotent,
    harmless beside readers and after a crash at any write. Errors: NotOwner, the storage's."""
    vault = repo.vault
    vault.check_owner()
    wanted = {str(point_id) for blob in vault.blobs.list(layout.POINTS) if (point_id := layout.uuid_of(blob.name))}
    kept, replaced = _sorted_out(_objects(vault), wanted)
    known = {line["id"] for found in kept for line in found.lines}
    moving = {line["id"]: line for found in replaced for line in found.lines if line["id"] in wanted - known}
    missing = sorted(wanted - known - moving.keys())[:CACHED_MAX]
    added = 0
    with vault.pool(READERS, "catalog") as pool:
        for at in range(0, len(missing), LINES_MAX):
            fresh = pool.map(lambda point_id: _line_if_sound(vault, point_id), missing[at : at + LINES_MAX])
            found = {line["id"]: line for line in fresh if line is not None}
            added += len(found)
            moving |= found
    lines = [moving[point_id] for point_id in sorted(moving)]
    for at in range(0, len(lines), LINES_MAX):
        name = layout.catalog(vault.new_id())
        vault.put_once(name, vault.seal(name, TYPE_CATALOG, {"points": lines[at : at + LINES_MAX]}))
    if replaced:
        vault.check_owner()
        vault.patiently(lambda: vault.blobs.delete([found.name for found in replaced]))
    return added


def _sorted_out(objects: Iterable[_Object], wanted: set[str]) -> tuple[list[_Object], list[_Object]]:
    """What stays as it is, and what is written anew with others and then deleted: damaged and dead objects always, small
    ones when there are many."""
    kept, small, replaced = [], [], []
    for found in objects:
        alive = sum(line["id"] in wanted for line in found.lines)
        if alive == 0:
            replaced.append(found)
        elif alive < LINES_MAX // 2:
            small.append(found)
        else:
            kept.append(found)
    if len(small) > SMALL_MAX:
        return kept, replaced + small
    return kept + small, replaced


def _objects(vault: Vault) -> Iterator[_Object]:
    names = [blob.name for blob in vault.blobs.list(layout.CATALOG)]
    with vault.pool(READERS, "catalog") as pool:
        yield from filter(None, pool.map(lambda name: _object(vault, name), names))


def _object(vault: Vault, name: str) -> _Object | None:
    """None when it was replaced meanwhile, or a newer program wrote it."""
    try:
        lines = vault.read_sealed(name, TYPE_CATALOG)["points"]
        return _Object(name, [line for line in lines if isinstance(line["id"], str)])
    except (NotFound, ForeignFormat):
        return None
    except (Damaged, KeyError, TypeError):
        return _Object(name, [])


def _read(vault: Vault, point_id: UUID) -> Line | None:
    """The manifest, None when it has just been collected. Errors: Damaged, the storage's."""
    try:
        return vault.read_sealed(layout.point(point_id), TYPE_MANIFEST)
    except NotFound:
        return None


def _line_if_sound(vault: Vault, point_id: str) -> Line | None:
    """None for a manifest that is gone, damaged (whoever lists the points is told so) or large."""
    try:
        manifest = _read(vault, UUID(point_id))
        if manifest is None or str(_manifest(UUID(point_id), manifest).id) != manifest["id"]:
            return None
    except Damaged:
        return None
    disks = [{**disk, "document": {}} for disk in manifest["disks"]]
    line = {**manifest, "document": {}, "disks": disks}
    return line if len(canonical(line)) <= LINE_MAX else None


def _manifest(point_id: UUID, line: Line) -> Manifest:
    manifest = Manifest.from_json(line)
    if manifest.id != point_id:
        raise Damaged(f"Point {point_id} holds the manifest of another.", fields={"object": layout.point(point_id)})
    return manifest
