"""Parsers meet what no Holdfast wrote: whatever the bytes, the answer is a value or one of our errors."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.domain.errors import Damaged, HoldfastError, InvalidInput
from server.ports import BLOCK_SIZE
from server.repository import crypto, layout
from server.repository.check import check, record
from server.repository.crypto import Keys, canonical, checksum, parse_header
from server.repository.dedup import DedupIndex
from server.repository.manifest import Manifest
from server.repository.moved import Move, write_moves
from server.repository.pack import read_footer
from server.repository.prune import collect
from server.repository.repository import Control, DiskInput, DiskResult, resume_index
from server.repository.tree import Entry, decode_node, encode_node, leaf_entries, node_id
from tests.repository.bed import EAGER, SMALL, Bed, Content, Source, plain, refs

CONTENT: Content = {0: 5, 1: 7, 300: 15}
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
SLOW_FUZZ = settings(FUZZ, max_examples=25)

VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, -1, 0, 1, 2**31, 2**64, 2**70, 1.5, "", "x", "00", "00" * 16, "ff" * 20, [], {}, [[]], [1, 2]]
    ),
    st.text(max_size=5),
    st.integers(),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
KEYS = Keys(UUID(int=7), {1: bytes(range(32))})

RUN = UUID(int=77)
HIDDEN = UUID(int=78)


# ---- JSON that is authentic and makes no sense ------------------------------------------------------------------------


def paths(data: object, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something could be exchanged."""
    if here:
        yield here
    if isinstance(data, dict):
        for key in data:
            yield from paths(data[key], (*here, key))
    elif isinstance(data, list):
        for at in range(min(len(data), 3)):
            yield from paths(data[at], (*here, at))


@st.composite
def disturbed(draw: st.DrawFn, content: dict[str, Any]) -> dict[str, Any]:
    """``content`` with one to three values exchanged or removed."""
    changed = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(sorted(paths(changed), key=str) or [("new",)]))
        place: Any = changed
        for step in path[:-1]:
            place = place[step]
        if draw(st.booleans()) and path[-1] != "new":
            del place[path[-1]]
        else:
            place[path[-1]] = draw(VALUES)
    return changed


def rich() -> Bed:
    """A repository that holds an object of every sealed kind."""
    bed = Bed()
    first, _ = bed.backup(CONTENT, point=UUID(int=1))
    (lost,) = bed.names("packs/")
    bed.backup(CONTENT | {1: 20}, changed=[1], parent=first.id, point=UUID(int=2))
    bed.backup({5: 1}, point=HIDDEN)
    bed.repo.forget(HIDDEN)
    bed.days(5)
    collect(bed.repo, min_age=timedelta(days=1))
    bed.repo.begin(RUN, parent=first.id, tuning=SMALL)
    pack = layout.pack_id_of(lost)
    assert pack is not None
    write_moves(bed.repo.vault, crypto.TYPE_DATA_PACK, pack, [Move(48, bytes(20), 48)])
    stored = bed.inner.get(lost)
    bed.inner.delete([lost])
    record(bed.repo, check(bed.repo, "structure"))
    bed.inner.put(lost, stored)
    return bed


SEALED = {
    layout.POINTS: crypto.TYPE_MANIFEST,
    layout.FORGOTTEN: crypto.TYPE_TOMBSTONE,
    layout.PINS: crypto.TYPE_PIN,
    layout.GC_STATE: crypto.TYPE_GC_STATE,
    layout.GC_MARKS: crypto.TYPE_GC_MARK,
    layout.MOVED: crypto.TYPE_MOVED,
    layout.DAMAGE: crypto.TYPE_DAMAGE,
    layout.CATALOG: crypto.TYPE_CATALOG,
}


@contextmanager
def only_our_errors() -> Iterator[None]:
    """Anything else fails the test."""
    with suppress(HoldfastError):
        yield


def use_everything(bed: Bed) -> None:
    for point in (UUID(int=1), UUID(int=2)):
        with only_our_errors():
            manifest = bed.repo.point(point)
            for disk in manifest.disks:
                found = bed.restored(manifest, disk.disk_id)
                wanted = plain(CONTENT if point.int == 1 else CONTENT | {1: 20})
                assert all(wanted.get(index) == data for index, data in found.items())
    with only_our_errors():
        list(bed.repo.points())
    with only_our_errors():
        record(bed.repo, check(bed.repo, "content"))
    with only_our_errors():
        run = bed.repo.begin(RUN, parent=UUID(int=1), tuning=SMALL)
        run.disk(
            DiskInput(disk_id="vol-1", size_bytes=600 * BLOCK_SIZE),
            blocks=refs(CONTENT),
            read=Source(CONTENT).read,
            mode="full",
            control=Control(),
        )
    with only_our_errors():
        bed.repo.recall(HIDDEN)
    for _ in range(2):
        bed.days(2)
        with only_our_errors():
            collect(bed.repo, min_age=timedelta(days=1))


@pytest.mark.parametrize("prefix", SEALED)
@SLOW_FUZZ
@given(data=st.data())
def test_sealed_objects(prefix: str, data: st.DataObject) -> None:
    bed = rich()
    names = bed.names(prefix)
    assert names, f"no object {prefix}"
    name = names[data.draw(st.integers(0, len(names) - 1))]
    vault = bed.repo.vault
    content = data.draw(disturbed(vault.read_sealed(name, SEALED[prefix])))
    bed.inner.put(name, vault.seal(name, SEALED[prefix], content))
    use_everything(bed)


@pytest.mark.parametrize("name", ["config", "owner", "keys/"])
@SLOW_FUZZ
@given(data=st.data())
def test_plain_objects(name: str, data: st.DataObject) -> None:
    """With a checksum that holds, as anybody can make one."""
    bed = Bed()
    bed.backup(CONTENT)
    (full,) = bed.names(name)
    content = data.draw(disturbed(json.loads(bed.inner.get(full))))
    with suppress(TypeError, ValueError):
        bed.inner.put(full, canonical({**content, "checksum": checksum(content)}))
    with only_our_errors():
        bed.reopen()


@FUZZ
@given(text=st.text(max_size=40), data=st.data())
def test_checkpoints(text: str, data: st.DataObject) -> None:
    bed = Bed()
    saved: list[str] = []
    large: Content = dict.fromkeys(range(0, 600, 50), 6)
    disk = DiskInput(disk_id="vol-1", size_bytes=600 * BLOCK_SIZE)
    run = bed.repo.begin(RUN, parent=None, tuning=EAGER)
    run.disk(disk, blocks=refs(large), read=Source(large).read, mode="full", control=Control(save=saved.append))
    mark = {**data.draw(disturbed(json.loads(saved[0]))), "run": json.loads(saved[0])["run"]}
    for checkpoint in (text, json.dumps(mark)):
        with only_our_errors():
            resume_index(checkpoint)
        with only_our_errors():
            run.disk(disk, blocks=refs(large), read=Source(large).read, mode="full", control=Control(), checkpoint=checkpoint)


@FUZZ
@given(data=st.data())
def test_manifests_and_results(data: st.DataObject) -> None:
    manifest, result = Bed().backup(CONTENT)
    with only_our_errors():
        Manifest.from_json(data.draw(disturbed(manifest.to_json())))
    assert DiskResult.from_json(json.loads(json.dumps(result.to_json()))) == result


# ---- bytes ------------------------------------------------------------------------------------------------------------


@st.composite
def mangled(draw: st.DrawFn, stored: bytes) -> bytes:
    """Bytes exchanged, cut, doubled, or made up."""
    how = draw(st.sampled_from(["bytes", "cut", "grow", "new"]))
    if how == "new":
        return draw(st.binary(max_size=300))
    if how == "cut":
        return stored[: draw(st.integers(0, len(stored) - 1))]
    if how == "grow":
        return stored + draw(st.binary(min_size=1, max_size=40))
    changed = bytearray(stored)
    for _ in range(draw(st.integers(1, 4))):
        changed[draw(st.integers(0, len(stored) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


NODE = {slot: Entry(bytes([slot % 3]) * 20, slot % 2, 48 + slot, 100 + slot, bytes([slot]) * 16) for slot in range(0, 250, 7)}


@FUZZ
@given(data=st.data(), level=st.sampled_from([0, 1]))
def test_nodes(data: st.DataObject, level: int) -> None:
    """A node that is not exactly what its id says is refused; walks for collection do not fall over it."""
    sound = encode_node(level, 3, NODE)
    own_id = node_id(KEYS.tree, level, 3, NODE)
    assert decode_node(KEYS.tree, level, 3, own_id, sound) == NODE
    other = data.draw(mangled(sound))
    with only_our_errors():
        found = decode_node(KEYS.tree, level, 3, own_id, other)
        assert node_id(KEYS.tree, level, 3, found) == own_id
    if level == 0:
        assert list(leaf_entries(sound, lambda pack: pack[0] == 1)) == [entry for entry in NODE.values() if entry.pack[0] == 1]


@FUZZ
@given(data=st.data())
def test_headers_and_sealed_bytes(data: st.DataObject) -> None:
    sealed = KEYS.seal("points/x", crypto.TYPE_MANIFEST, b"content")
    other = data.draw(mangled(sealed))
    with only_our_errors():
        parse_header("points/x", crypto.TYPE_MANIFEST, KEYS.repository_id.bytes, other)
    if other != sealed:
        with pytest.raises(HoldfastError):
            KEYS.unseal("points/x", crypto.TYPE_MANIFEST, other)
    for name, kind in (("points/y", crypto.TYPE_MANIFEST), ("points/x", crypto.TYPE_PIN)):
        with pytest.raises(HoldfastError):
            KEYS.unseal(name, kind, sealed)


@FUZZ
@given(back=st.integers(1, 400), bit=st.integers(0, 7), length=st.integers(0, 40))
def test_footers(back: int, bit: int, length: int) -> None:
    """Altered or cut near the end, where the footer and the trailer are."""
    bed = Bed()
    bed.backup({0: 1, 1: 2})  # both compress well
    (name,) = bed.names("packs/")
    stored = bed.inner.get(name)
    context, items = read_footer(bed.repo.vault.keys, crypto.TYPE_DATA_PACK, name, stored)
    assert context["disk"] == "vol-1"
    assert len(items) == 2
    altered = bytearray(stored)
    altered[-min(back, len(altered))] ^= 1 << bit
    for other in (bytes(altered), stored[:-back], stored[:length], stored + bytes(back)):
        with only_our_errors():
            again = read_footer(bed.repo.vault.keys, crypto.TYPE_DATA_PACK, name, other)
            assert again == (context, items)  # what was altered was an item, not the footer


@settings(FUZZ, max_examples=40, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), spots=st.integers(1, 50))
def test_a_corrupt_index_never_gives_a_wrong_reference(seed: int, spots: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = random.Random(seed)
    folder = tmp_path_factory.mktemp("index")
    bed = Bed()
    bed.backup({index: index + 1 for index in range(6)})
    (name,) = bed.names("packs/")
    _, items = read_footer(bed.repo.vault.keys, crypto.TYPE_DATA_PACK, name, bed.inner.get(name))
    pack = layout.pack_id_of(name)
    assert pack is not None
    ref = pack + (1).to_bytes(4, "little")
    with DedupIndex.opened(folder, bed.repo.vault.keys, size_bytes=16 * 1024) as index:
        assert index is not None
        index.add(ref, items)
        truth = {item.id: index.get(item.id) for item in items}
    _spoil(next(folder.glob("*.dedup")), rng, spots)
    with DedupIndex.opened(folder, bed.repo.vault.keys, size_bytes=16 * 1024) as index:
        for item in items:
            assert index is None or index.get(item.id) in (None, truth[item.id])


def _spoil(path: Path, rng: random.Random, spots: int) -> None:
    content = bytearray(path.read_bytes())
    written = [at for at, byte in enumerate(content) if byte] or [0]
    for _ in range(spots):
        content[rng.choice(written)] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(content))


def test_blocks_of_the_wrong_size_are_refused() -> None:
    bed = Bed()
    run = bed.repo.begin(RUN, parent=None, tuning=SMALL)
    for data in (b"", b"x", bytes(BLOCK_SIZE + 1)):
        with pytest.raises((InvalidInput, Damaged)):
            run.disk(
                DiskInput(disk_id="vol-1", size_bytes=BLOCK_SIZE),
                blocks=refs({0: 1}),
                read=lambda _, data=data: data,  # type: ignore[misc]  # binds the loop's value
                mode="full",
                control=Control(),
            )
