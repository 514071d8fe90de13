"""Creating and opening: passwords, owners, foreign folders, damage told apart from a wrong password."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest

from server.adapters.blobs.faulty import Crash, Faults, FaultyBlobs
from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.clock import FakeClock
from server.domain.errors import AlreadyThere, Damaged, ForeignFormat, HoldfastError, NotFound, NotOwner, WrongPassword
from server.repository.crypto import canonical, checksum
from server.repository.repository import Kdf, Repository, peek
from tests.repository.bed import OWNER, PASSWORD, QUICK, SMALL, START, Bed, plain

OTHER = UUID(int=2)


def reopen(bed: Bed, password: str = PASSWORD, owner: UUID = OWNER, *, take_over: bool = False) -> Repository:
    return Repository.open(bed.inner, password, clock=bed.clock, owner=owner, take_over=take_over)


class TestPassword:
    def test_the_right_one_opens(self) -> None:
        bed = Bed()
        assert reopen(bed).id == bed.repo.id

    @pytest.mark.parametrize("wrong", ["", "correct hors", "Correct horse", "correct horse "])
    def test_a_wrong_one_is_told_so(self, wrong: str) -> None:
        with pytest.raises(WrongPassword):
            reopen(Bed(), wrong)

    def test_the_same_letters_in_another_unicode_form_open(self) -> None:
        clock = FakeClock(START)
        blobs = MemoryBlobs(clock)
        Repository.create(blobs, "Schlu\u0308ssel", clock=clock, owner=OWNER, kdf=QUICK)
        Repository.open(blobs, "Schl\u00fcssel", clock=clock, owner=OWNER)

    def test_changing_it_rewrites_no_data(self) -> None:
        bed = Bed()
        manifest, _ = bed.backup({1: 1})
        before = {blob.name: blob.version for blob in bed.inner.list() if not blob.name.startswith("keys/")}
        bed.repo.change_secret("new", hint="short", kdf=QUICK)
        assert {blob.name: blob.version for blob in bed.inner.list() if not blob.name.startswith("keys/")} == before
        with pytest.raises(WrongPassword):
            reopen(bed)
        bed.repo = reopen(bed, "new")
        assert bed.restored(bed.repo.point(manifest.id)) == plain({1: 1})
        assert peek(bed.inner, clock=bed.clock).hint == "short"

    @pytest.mark.parametrize("applied", [False, True])
    @pytest.mark.parametrize("number", [1, 2])
    def test_a_crash_while_changing_it_never_locks_out(self, number: int, applied: bool) -> None:
        bed = Bed()
        bed.blobs.revive(Faults(crash_after=number, crash_applied=applied))
        with pytest.raises(Crash):
            bed.repo.change_secret("new", kdf=QUICK)
        opened = 0
        for password in (PASSWORD, "new"):
            try:
                reopen(bed, password)
                opened += 1
            except WrongPassword:
                continue
        assert opened >= 1

    def test_the_default_costs_are_not_cheap(self) -> None:
        assert Kdf().memory_kib >= 64 * 1024
        assert Kdf().passes >= 3

    def test_neither_key_nor_password_is_shown(self) -> None:
        bed = Bed()
        everything = b"".join(bed.inner.get(name) for name in bed.names())
        assert PASSWORD.encode() not in everything
        assert bed.repo.vault.keys.ring_bytes()[4:] not in everything
        assert bed.repo.vault.keys.ring_bytes()[4:].hex() not in repr(bed.repo.vault)


class TestDamage:
    def test_every_flipped_bit_in_a_key_slot_is_damage_and_never_a_wrong_password(self) -> None:
        bed = Bed()
        (name,) = bed.names("keys/")
        good = bed.inner.get(name)
        for position in range(0, len(good), 7):
            bad = bytearray(good)
            bad[position] ^= 1 << position % 8
            bed.inner.put(name, bytes(bad))
            with pytest.raises(Damaged):
                reopen(bed)

    @pytest.mark.parametrize("name", ["config", "owner"])
    def test_every_flipped_bit_in_plain_objects_is_noticed(self, name: str) -> None:
        bed = Bed()
        good = bed.inner.get(name)
        for position in range(0, len(good), 5):
            bad = bytearray(good)
            bad[position] ^= 1 << position % 8
            bed.inner.put(name, bytes(bad))
            with pytest.raises((Damaged, ForeignFormat)):
                reopen(bed)

    @pytest.mark.parametrize("name", ["config", "owner"])
    def test_forgery_with_a_right_checksum_is_noticed(self, name: str) -> None:
        bed = Bed()
        content = json.loads(bed.inner.get(name))
        content["created" if name == "config" else "since"] = "2020-01-01T00:00:00+00:00"
        content["checksum"] = checksum(content)
        bed.inner.put(name, canonical(content))
        with pytest.raises(Damaged):
            reopen(bed)

    def test_a_forged_key_slot_is_noticed(self) -> None:
        bed = Bed()
        (name,) = bed.names("keys/")
        slot = json.loads(bed.inner.get(name))
        slot["hint"] = "another"
        slot["checksum"] = checksum(slot)
        bed.inner.put(name, canonical(slot))
        with pytest.raises(Damaged):
            reopen(bed)

    def test_absurd_costs_are_refused_before_they_are_paid(self) -> None:
        bed = Bed()
        (name,) = bed.names("keys/")
        slot = json.loads(bed.inner.get(name))
        slot["kdf"]["memoryKib"] = 2**31
        slot["checksum"] = checksum(slot)
        bed.inner.put(name, canonical(slot))
        with pytest.raises(Damaged):
            reopen(bed)

    def test_one_sound_slot_is_enough(self) -> None:
        bed = Bed()
        bed.inner.put("keys/00000000-0000-0000-0000-000000000000", b"rubbish")
        reopen(bed)

    def test_lost_slots(self) -> None:
        bed = Bed()
        bed.inner.delete(bed.names("keys/"))
        with pytest.raises(Damaged, match="key slots"):
            reopen(bed)

    def test_a_slot_of_another_repository_does_not_open_this_one(self) -> None:
        one, two = Bed(), Bed()
        one.inner.delete(one.names("keys/"))
        (name,) = two.names("keys/")
        one.inner.put(name, two.inner.get(name))
        with pytest.raises(HoldfastError):
            reopen(one)


class TestForeign:
    def test_an_empty_folder(self) -> None:
        clock = FakeClock(START)
        with pytest.raises(NotFound, match="empty"):
            Repository.open(MemoryBlobs(clock), "x", clock=clock, owner=OWNER)

    @pytest.mark.parametrize("content", [b"", b"binary \xff", b"[]", b'{"format": "restic"}', b'{"version": 2}'])
    def test_somebody_elses_config(self, content: bytes) -> None:
        clock = FakeClock(START)
        blobs = MemoryBlobs(clock)
        blobs.put("config", content)
        with pytest.raises(ForeignFormat):
            Repository.open(blobs, "x", clock=clock, owner=OWNER)

    def test_a_folder_without_config(self) -> None:
        clock = FakeClock(START)
        blobs = MemoryBlobs(clock)
        blobs.put("holiday/photo.jpg", b"")
        with pytest.raises(ForeignFormat):
            Repository.open(blobs, "x", clock=clock, owner=OWNER)

    @pytest.mark.parametrize("change", [{"version": 3}, {"requires": ["quantum"]}, {"storageClass": "tape"}])
    def test_newer_formats_say_what_to_do(self, change: dict[str, object]) -> None:
        bed = Bed()
        content = json.loads(bed.inner.get("config")) | change
        bed.inner.put("config", bed.repo.vault.keys.signed(content))
        with pytest.raises(ForeignFormat) as caught:
            reopen(bed)
        assert "newer Holdfast" in str(caught.value.remedy)


class TestCreating:
    def test_twice_is_refused(self) -> None:
        bed = Bed()
        with pytest.raises(AlreadyThere, match="repository"):
            Repository.create(bed.inner, "x", clock=bed.clock, owner=OTHER, kdf=QUICK)
        reopen(bed)

    def test_in_a_folder_with_other_things_is_refused(self) -> None:
        clock = FakeClock(START)
        blobs = MemoryBlobs(clock)
        blobs.put("photo.jpg", b"")
        with pytest.raises(AlreadyThere, match="not empty"):
            Repository.create(blobs, "x", clock=clock, owner=OWNER, kdf=QUICK)

    def test_over_a_repository_that_lost_its_config_is_refused(self) -> None:
        bed = Bed()
        bed.backup({1: 1})
        bed.inner.delete(["config"])
        before = bed.names()
        with pytest.raises(AlreadyThere):
            Repository.create(bed.inner, "x", clock=bed.clock, owner=OWNER, kdf=QUICK)
        assert bed.names() == before

    @pytest.mark.parametrize("applied", [False, True])
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_crash_leaves_nothing_that_a_second_attempt_cannot_mend(self, number: int, applied: bool) -> None:
        clock = FakeClock(START)
        blobs = FaultyBlobs(MemoryBlobs(clock), clock, seed=1, faults=Faults(crash_after=number, crash_applied=applied))
        with pytest.raises(Crash):
            Repository.create(blobs, PASSWORD, clock=clock, owner=OWNER, kdf=QUICK)
        blobs.revive()
        try:
            Repository.create(blobs, PASSWORD, clock=clock, owner=OWNER, kdf=QUICK)
        except AlreadyThere:
            assert (number, applied) in ((2, True), (3, False), (3, True))
        repo = Repository.open(blobs, PASSWORD, clock=clock, owner=OWNER)
        assert repo.begin(uuid4(), parent=None)


class TestOwner:
    def test_another_appliance_is_refused_and_told_whose_it_is(self) -> None:
        bed = Bed()
        with pytest.raises(NotOwner, match=str(OWNER)):
            reopen(bed, owner=OTHER)
        assert peek(bed.inner, clock=bed.clock).owner == OWNER

    def test_taking_over_stops_the_previous_owner(self) -> None:
        bed = Bed()
        manifest, _ = bed.backup({1: 1})
        bed.inner.put("unrelated", b"")
        run = bed.repo.begin(uuid4(), parent=manifest.id, tuning=SMALL)
        taken = reopen(bed, owner=OTHER, take_over=True)
        assert peek(bed.inner, clock=bed.clock).owner == OTHER
        for action in (
            lambda: bed.repo.begin(uuid4(), parent=None),
            lambda: bed.repo.forget(manifest.id),
            lambda: bed.repo.recall(manifest.id),
            lambda: bed.repo.change_secret("x", kdf=QUICK),
            lambda: run.commit(at=START, resource={}, document={}, disks=[]),
        ):
            with pytest.raises(NotOwner):
                action()
        assert [point.id for point in taken.points()] == [manifest.id]

    def test_the_password_is_needed_to_take_over(self) -> None:
        with pytest.raises(WrongPassword):
            reopen(Bed(), "wrong", OTHER, take_over=True)


def test_usage_counts_everything() -> None:
    bed = Bed()
    before = bed.repo.usage()
    bed.backup({1: 5, 2: 1})
    after = bed.repo.usage()
    assert after.objects == before.objects + 3  # data pack, tree pack, manifest
    assert after.stored_bytes == sum(blob.size for blob in bed.inner.list())
