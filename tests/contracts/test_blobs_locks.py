"""Locks, versions and archives: memory, and S3 as the demo account does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.blobs.s3 import S3Blobs
from server.adapters.clock import FakeClock
from server.domain.errors import AlreadyThere, Archived, InvalidInput, NotFound
from server.domain.immutability import BucketFacts
from server.domain.repository import RetrievalMode, StorageClass
from server.ports import Blobs
from tests.contracts.buckets import DemoS3, demo_s3
from tests.waiting import until

LOCKED = BucketFacts(versioning="enabled", object_lock=True)
SOON = timedelta(seconds=3)
LATER = timedelta(days=1)


@dataclass(frozen=True)
class Place:
    """A store with locks, and what only a test does to it. ``pass_time`` waits, or sets the store's clock; ``hide`` deletes as
    somebody else would; ``count`` versions and delete markers."""

    blobs: Blobs
    pass_time: Callable[[datetime], None]
    hide: Callable[[str], None]
    count: Callable[[str], int]

    def in_(self, span: timedelta) -> datetime:
        return self.blobs.now() + span


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoS3]:
    with demo_s3() as found:
        yield found


def in_memory(facts: BucketFacts) -> Place:
    clock = FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    blobs = MemoryBlobs(clock, facts=facts)
    return Place(blobs, lambda moment: clock.sleep((moment - clock.now()).total_seconds()), blobs.hide, blobs.version_count)


def in_s3(demo: DemoS3, **bucket: Any) -> Place:
    name = demo.bucket(lock=True, **bucket)
    blobs = S3Blobs(demo.client, name, "folder", page_size=3)

    def count(object_name: str) -> int:
        page = demo.client.list_object_versions(Bucket=name, Prefix=f"folder/{object_name}")
        return len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))

    return Place(
        blobs,
        lambda moment: until(lambda: blobs.now() > moment, what="the store's clock"),
        lambda object_name: demo.client.delete_object(Bucket=name, Key=f"folder/{object_name}") and None,
        count,
    )


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    return in_memory(LOCKED) if request.param == "memory" else in_s3(request.getfixturevalue("demo"))


@pytest.fixture(params=["memory", "s3"])
def defaulting(request: pytest.FixtureRequest) -> Place:
    """A bucket that locks what is put for a day, unless it is told otherwise."""
    if request.param == "memory":
        return in_memory(BucketFacts(versioning="enabled", object_lock=True, default_mode="GOVERNANCE", default_retention=1))
    return in_s3(request.getfixturevalue("demo"), retention_days=1)


class TestLocks:
    def test_a_locked_object_stays_until_its_lock_ends(self, place: Place) -> None:
        end = place.in_(SOON)
        assert place.blobs.put("a", b"1", if_absent=True, lock_until=end).locked_until == end
        place.blobs.put("b", b"2")
        assert place.blobs.delete(["a", "b"]) == ["a"]
        assert place.blobs.get("a") == b"1"
        assert place.blobs.head("b") is None
        assert place.count("a") == 1
        place.pass_time(end)
        assert place.blobs.delete(["a"]) == []
        assert place.blobs.head("a") is None
        assert place.count("a") == 0

    def test_the_lock_is_told_by_head(self, place: Place) -> None:
        end = place.in_(LATER).replace(microsecond=0)
        place.blobs.put("locked", b"", lock_until=end)
        place.blobs.put("free", b"")
        locked, free = place.blobs.head("locked"), place.blobs.head("free")
        assert locked is not None
        assert free is not None
        assert (locked.locked_until, free.locked_until) == (end, None)

    def test_locks_are_extended_and_never_shortened(self, place: Place) -> None:
        short, long = place.in_(SOON).replace(microsecond=0), place.in_(LATER).replace(microsecond=0)
        names = [f"packs/{number}" for number in range(20)]
        for name in names:
            place.blobs.put(name, b"1", lock_until=long if name.endswith("7") else None)
        place.blobs.extend_locks(names, short)
        heads = {name: place.blobs.head(name) for name in names}
        assert {name: head and head.locked_until for name, head in heads.items()} == {
            name: long if name.endswith("7") else short for name in names
        }
        place.blobs.extend_locks(names, long)
        assert place.blobs.delete(names) == names

    def test_extending_names_what_is_absent(self, place: Place) -> None:
        place.blobs.put("a", b"1")
        with pytest.raises(NotFound) as caught:
            place.blobs.extend_locks(["a", "gone"], place.in_(LATER))
        assert caught.value.fields == {"object": "gone"}

    def test_an_upload_is_locked_when_it_is_complete(self, place: Place) -> None:
        upload = place.blobs.upload("large", lock_until=place.in_(LATER))
        upload.part(1, b"x")
        upload.complete()
        assert place.blobs.delete(["large"]) == ["large"]

    def test_deleting_many_versions_of_many_objects(self, place: Place) -> None:
        names = sorted(f"{folder}/{number:02}" for folder in "abc" for number in range(7))
        for name in names:
            place.blobs.put(name, b"1", lock_until=place.in_(LATER) if name.endswith("5") else None)
            place.hide(name)
            place.blobs.put(name, b"2")
        chosen = [*reversed(names[::2]), "b/00-absent", "zz"]
        locked = [name for name in chosen if name.endswith("5")]
        assert place.blobs.delete(chosen) == locked
        assert {blob.name for blob in place.blobs.list()} == {*names} - {*chosen} | {*locked}
        assert [place.count(name) for name in chosen if name not in locked] == [0] * (len(chosen) - len(locked))


class TestVersions:
    def test_what_is_replaced_does_not_stay_behind(self, place: Place) -> None:
        blob = place.blobs.put("state", b"0")
        for number in range(1, 5):
            blob = place.blobs.put("state", str(number).encode(), if_version=blob.version)
        assert place.count("state") == 1
        assert place.blobs.get("state") == b"4"

    def test_a_locked_version_stays_behind_and_goes_later(self, place: Place) -> None:
        end = place.in_(SOON)
        place.blobs.put("state", b"locked", lock_until=end)
        place.blobs.put("state", b"new")
        assert place.count("state") == 2
        assert place.blobs.delete(["state"]) == ["state"]
        assert place.blobs.get("state") == b"new"
        place.pass_time(end)
        place.blobs.put("state", b"newer")
        assert place.count("state") == 1

    def test_the_loser_of_a_race_removes_nothing(self, place: Place) -> None:
        first = place.blobs.put("state", b"1")
        place.blobs.put("state", b"2")
        with pytest.raises(AlreadyThere):
            place.blobs.put("state", b"3", if_version=first.version)
        assert place.blobs.get("state") == b"2"

    def test_what_somebody_else_deleted_comes_back(self, place: Place) -> None:
        place.blobs.put("a", b"1")
        place.hide("a")
        assert place.blobs.head("a") is None
        assert [blob.name for blob in place.blobs.list()] == []
        with pytest.raises(NotFound):
            place.blobs.get("a")
        assert place.blobs.reveal("a")
        assert place.blobs.get("a") == b"1"

    def test_what_is_hidden_can_be_listed(self, place: Place) -> None:
        for name in ("keys/a", "keys/b", "packs/c"):
            place.blobs.put(name, b"1")
        place.hide("keys/b")
        place.hide("packs/c")
        assert list(place.blobs.hidden()) == ["keys/b", "packs/c"]
        assert list(place.blobs.hidden("keys/")) == ["keys/b"]
        assert place.blobs.reveal("keys/b")
        assert list(place.blobs.hidden("keys/")) == []

    def test_what_somebody_put_over_a_locked_object_goes(self, place: Place) -> None:
        place.blobs.put("a", b"truth", if_absent=True, lock_until=place.blobs.now() + timedelta(days=2))
        place.blobs.put("a", b"lies")
        place.hide("a")
        place.blobs.put("a", b"more lies")
        assert place.blobs.reveal("a")
        assert place.blobs.get("a") == b"truth"
        assert place.count("a") == 1

    def test_of_objects_without_a_lock_the_newest_counts(self, place: Place) -> None:
        place.blobs.put("state", b"1")
        place.blobs.put("state", b"2")
        assert place.blobs.reveal("state")
        assert place.blobs.get("state") == b"2"

    def test_hidden_ones_are_deleted_whole(self, place: Place) -> None:
        place.blobs.put("a", b"1")
        place.hide("a")
        assert place.blobs.delete(["a"]) == []
        assert place.count("a") == 0
        assert not place.blobs.reveal("a")


class TestDefaultRetention:
    def test_everything_put_is_locked_for_a_while(self, defaulting: Place) -> None:
        blob = defaulting.blobs.put("gc/state", b"1")
        defaulting.blobs.put("gc/state", b"2", if_version=blob.version)
        assert defaulting.blobs.delete(["gc/state"]) == ["gc/state"]
        assert defaulting.blobs.get("gc/state") == b"2"

    def test_a_lock_of_ones_own_counts_instead(self, defaulting: Place) -> None:
        end = defaulting.in_(SOON)
        defaulting.blobs.put("a", b"1", lock_until=end)
        defaulting.pass_time(end)
        assert defaulting.blobs.delete(["a"]) == []

    def test_parts_of_uploads_are_accepted(self, defaulting: Place) -> None:
        upload = defaulting.blobs.upload("large")
        upload.part(1, memoryview(b"x" * 1000))
        upload.complete()
        assert defaulting.blobs.delete(["large"]) == ["large"]

    def test_a_compliance_lock_replaces_it(self, defaulting: Place) -> None:
        end = defaulting.in_(timedelta(days=2)).replace(microsecond=0)
        defaulting.blobs.put("a", b"1")
        defaulting.blobs.extend_locks(["a"], end)
        head = defaulting.blobs.head("a")
        assert head is not None
        assert head.locked_until == end


class TestArchives:
    @pytest.mark.parametrize("storage_class", [StorageClass.GLACIER, StorageClass.DEEP_ARCHIVE])
    def test_an_archived_object_is_read_after_its_retrieval(self, place: Place, storage_class: StorageClass) -> None:
        place.blobs.put("a", b"12345", storage_class=storage_class)
        (listed,) = place.blobs.list()
        assert listed.storage_class is storage_class
        with pytest.raises(Archived):
            place.blobs.get("a")
        assert available(place) is None
        place.blobs.retrieve("a", mode=RetrievalMode.STANDARD, days=2)
        assert available(place) == (True, None)
        with pytest.raises(Archived):
            place.blobs.get("a", start=1, length=2)
        place.blobs.retrieve("a", mode=RetrievalMode.STANDARD, days=2)
        asked = place.blobs.now()
        wait_for_copy(place, storage_class)
        assert place.blobs.get("a", start=1, length=2) == b"23"
        found = available(place)
        assert found is not None
        assert found[1] is not None
        assert timedelta(days=2) <= found[1] - asked <= timedelta(days=4)
        assert found[1].time() == datetime.min.time()

    def test_asking_again_moves_the_expiry(self, place: Place) -> None:
        place.blobs.put("a", b"1", storage_class=StorageClass.GLACIER)
        place.blobs.retrieve("a", mode=RetrievalMode.EXPEDITED, days=1)
        wait_for_copy(place, StorageClass.GLACIER)
        before = available(place)
        place.blobs.retrieve("a", mode=RetrievalMode.BULK, days=6)
        after = available(place)
        assert before is not None
        assert after is not None
        assert before[1] is not None
        assert after[1] is not None
        assert after[1] - before[1] == timedelta(days=5)

    def test_what_cannot_be_retrieved_is_refused(self, place: Place) -> None:
        place.blobs.put("plain", b"1")
        place.blobs.put("deep", b"1", storage_class=StorageClass.DEEP_ARCHIVE)
        with pytest.raises(InvalidInput, match="not archived"):
            place.blobs.retrieve("plain", mode=RetrievalMode.BULK, days=1)
        with pytest.raises(InvalidInput, match="expedited"):
            place.blobs.retrieve("deep", mode=RetrievalMode.EXPEDITED, days=1)
        with pytest.raises(NotFound):
            place.blobs.retrieve("gone", mode=RetrievalMode.BULK, days=1)

    def test_uploads_are_archived_and_locked(self, place: Place) -> None:
        upload = place.blobs.upload("a", lock_until=place.in_(LATER), storage_class=StorageClass.DEEP_ARCHIVE)
        upload.part(1, b"1")
        assert upload.complete().storage_class is StorageClass.DEEP_ARCHIVE
        assert place.blobs.delete(["a"]) == ["a"]
        place.blobs.extend_locks(["a"], place.in_(2 * LATER))


def available(place: Place) -> tuple[bool, datetime | None] | None:
    head = place.blobs.head("a")
    assert head is not None
    return None if head.availability is None else (head.availability.ongoing, head.availability.until)


def wait_for_copy(place: Place, storage_class: StorageClass) -> None:
    if isinstance(place.blobs, MemoryBlobs):
        place.pass_time(place.in_(timedelta(hours=5 if storage_class is StorageClass.GLACIER else 12)))
    until(lambda: (found := available(place)) is not None and not found[0], what="the retrieval")


def test_a_copy_expires_in_memory() -> None:
    place = in_memory(LOCKED)
    place.blobs.put("a", b"1", storage_class=StorageClass.GLACIER)
    place.blobs.retrieve("a", mode=RetrievalMode.EXPEDITED, days=1)
    place.pass_time(place.in_(timedelta(days=3)))
    assert available(place) is None
    with pytest.raises(Archived):
        place.blobs.get("a")


@pytest.mark.parametrize("which", ["memory", "s3"])
def test_a_bucket_without_locks_says_so(which: str, request: pytest.FixtureRequest) -> None:
    demo: DemoS3 | None = request.getfixturevalue("demo") if which == "s3" else None
    blobs: Blobs = S3Blobs(demo.client, demo.bucket()) if demo else in_memory(BucketFacts()).blobs
    end = blobs.now() + LATER
    blobs.put("a", b"1")
    for action in (
        lambda: blobs.put("b", b"1", lock_until=end),
        lambda: blobs.upload("b", lock_until=end),
        lambda: blobs.extend_locks(["a"], end),
        lambda: blobs.extend_locks(["a", "b"], end),
    ):
        with pytest.raises(InvalidInput, match="cannot lock"):
            action()
