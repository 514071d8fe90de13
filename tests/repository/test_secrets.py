"""What opens a repository besides its first password: KMS keys, a change from one to the other, reading without owning."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from server.adapters.blobs.faulty import FaultyBlobs
from server.adapters.blobs.memory import MemoryBlobs
from server.adapters.clock import FakeClock
from server.domain.errors import AlreadyThere, AwsNotFound, AwsRejected, Damaged, NotOwner, WrongPassword
from server.domain.repository import StorageClass
from server.ports import Blob
from server.repository import layout
from server.repository.crypto import canonical, checksum
from server.repository.prune import collect
from server.repository.repository import KmsKey, Password, Repository, Secret, peek
from tests.repository.bed import OWNER, PASSWORD, QUICK, START, Bed, plain
from tests.repository.kms import KEY, MULTI_REGION, OTHER_KEY, REPLICA, MemoryKms

OTHER = UUID(int=2)


def made(secret: Secret) -> tuple[MemoryBlobs, Repository]:
    clock = FakeClock(START)
    blobs = MemoryBlobs(clock)
    return blobs, Repository.create(blobs, secret, clock=clock, owner=OWNER, kdf=QUICK)


def opened(blobs: MemoryBlobs, secret: Secret, owner: UUID | None = OWNER) -> Repository:
    return Repository.open(blobs, secret, clock=FakeClock(START), owner=owner)


def altered_slot(blobs: MemoryBlobs, **change: str) -> None:
    """The only key slot changed by somebody who knows how checksums are made."""
    (name,) = [blob.name for blob in blobs.list(layout.KEYS)]
    slot = json.loads(blobs.get(name)) | change
    blobs.put(name, canonical({**slot, "checksum": checksum(slot)}))


class TestKms:
    def test_the_key_opens_what_it_made(self) -> None:
        kms = MemoryKms(KEY)
        blobs, repo = made(KmsKey(KEY, kms))
        assert opened(blobs, KmsKey(KEY, kms)).vault.keys.ring_bytes() == repo.vault.keys.ring_bytes()
        header = peek(blobs, clock=FakeClock(START))
        assert (header.password, header.kms_keys) == (False, (KEY,))

    def test_another_key_is_told_which_one_it_is(self) -> None:
        kms = MemoryKms(KEY, OTHER_KEY)
        blobs, _ = made(KmsKey(KEY, kms))
        with pytest.raises(WrongPassword, match=KEY.rsplit("/", 1)[-1]):
            opened(blobs, KmsKey(OTHER_KEY, kms))

    def test_a_password_is_told_that_a_key_is_needed(self) -> None:
        blobs, _ = made(KmsKey(KEY, MemoryKms(KEY)))
        with pytest.raises(WrongPassword, match=KEY.rsplit("/", 1)[-1]):
            opened(blobs, PASSWORD)

    def test_a_key_is_told_that_a_password_is_needed(self) -> None:
        blobs, _ = made(PASSWORD)
        with pytest.raises(WrongPassword, match="password"):
            opened(blobs, KmsKey(KEY, MemoryKms(KEY)))

    def test_a_replica_of_a_multi_region_key_opens_in_another_region(self) -> None:
        kms = MemoryKms(MULTI_REGION)
        blobs, _ = made(KmsKey(MULTI_REGION, kms))
        opened(blobs, KmsKey(REPLICA, kms))

    def test_a_deleted_key_is_not_called_damage(self) -> None:
        blobs, _ = made(KmsKey(KEY, MemoryKms(KEY)))
        with pytest.raises(AwsNotFound):
            opened(blobs, KmsKey(KEY, MemoryKms()))

    def test_a_slot_moved_to_another_repository_does_not_open(self) -> None:
        kms = MemoryKms(KEY)
        blobs, _ = made(KmsKey(KEY, kms))
        foreign, _ = made(KmsKey(KEY, kms))
        (name,) = [blob.name for blob in foreign.list(layout.KEYS)]
        altered_slot(blobs, dataKey=json.loads(foreign.get(name))["dataKey"])
        with pytest.raises(AwsRejected):
            opened(blobs, KmsKey(KEY, kms))

    @pytest.mark.parametrize("change", [{"hint": "forged"}, {"wrapped": "AAAA"}, {"nonce": "!"}, {"dataKey": "~"}])
    def test_a_forged_slot_is_damage(self, change: dict[str, str]) -> None:
        kms = MemoryKms(KEY)
        blobs, _ = made(KmsKey(KEY, kms))
        altered_slot(blobs, **change)
        with pytest.raises(Damaged):
            opened(blobs, KmsKey(KEY, kms))

    def test_from_password_to_key_and_back_without_touching_data(self) -> None:
        bed, kms = Bed(), MemoryKms(KEY)
        manifest, _ = bed.backup({1: 1})
        before = {blob.name: blob.version for blob in bed.inner.list() if not blob.name.startswith("keys/")}
        assert bed.repo.change_secret(KmsKey(KEY, kms)) == []
        with pytest.raises(WrongPassword):
            opened(bed.inner, PASSWORD)
        bed.repo = opened(bed.inner, KmsKey(KEY, kms))
        assert bed.repo.change_secret(Password("new"), hint="n", kdf=QUICK) == []
        bed.repo = opened(bed.inner, "new")
        assert bed.restored(bed.repo.point(manifest.id)) == plain({1: 1})
        assert {blob.name: blob.version for blob in bed.inner.list() if not blob.name.startswith("keys/")} == before

    def test_secrets_do_not_show_themselves(self) -> None:
        assert "hunter2" not in repr(Password("hunter2"))
        assert "hunter2" not in repr({"secret": Password("hunter2")})
        assert "MemoryKms" not in repr(KmsKey(KEY, MemoryKms(KEY)))


def reader_with_point() -> tuple[Bed, Repository, UUID]:
    bed = Bed()
    manifest, _ = bed.backup({1: 1, 3: 5})
    return bed, Repository.open(bed.inner, PASSWORD, clock=bed.clock, owner=None), manifest.id


class TestReadingWithoutOwning:
    def test_everything_can_be_read_whoever_owns_it(self) -> None:
        bed, _, point_id = reader_with_point()
        Repository.open(bed.inner, PASSWORD, clock=bed.clock, owner=OTHER, take_over=True)
        bed.repo = Repository.open(bed.inner, PASSWORD, clock=bed.clock, owner=None)
        assert [summary.id for summary in bed.repo.points()] == [point_id]
        assert bed.restored(bed.repo.point(point_id)) == plain({1: 1, 3: 5})

    @pytest.mark.parametrize(
        "write",
        [
            lambda repo, point_id: repo.begin(uuid4(), parent=point_id),
            lambda repo, point_id: repo.forget(point_id),
            lambda repo, point_id: repo.recall(point_id),
            lambda repo, _: repo.change_secret("x", kdf=QUICK),
            lambda repo, _: repo.vault.put_once("packs/x", b""),
            lambda repo, _: repo.vault.replace(layout.CONFIG, b"", repo.vault.blobs.head(layout.CONFIG).version),
            lambda repo, _: collect(repo, min_age=timedelta(0)),
        ],
    )
    def test_nothing_can_be_written(self, write: Callable[[Repository, UUID], object]) -> None:
        bed, reader, point_id = reader_with_point()
        before = {blob.name: blob.version for blob in bed.inner.list()}
        with pytest.raises(NotOwner, match="reading only"):
            write(reader, point_id)
        assert {blob.name: blob.version for blob in bed.inner.list()} == before

    def test_opening_writes_nothing_even_where_the_creator_died_before_its_last_write(self) -> None:
        bed, _, _ = reader_with_point()
        bed.inner.delete([layout.OWNER])
        Repository.open(bed.inner, PASSWORD, clock=bed.clock, owner=None)
        assert layout.OWNER not in bed.names()


class Overtaken(FaultyBlobs):
    """A store in which something else happens just before the first conditional write."""

    def __init__(self, inner: MemoryBlobs, first: Callable[[], None]) -> None:
        super().__init__(inner, FakeClock(START), seed=1)
        self._first: Callable[[], None] | None = first
        self.refused = 0

    def put(self, name: str, data: bytes | memoryview, **conditions: Any) -> Blob:
        if self._first is not None:
            first, self._first = self._first, None
            first()
        try:
            return super().put(name, data, **conditions)
        except AlreadyThere:
            self.refused += 1
            raise


class TestVersions:
    def as_version_1(self) -> Bed:
        bed = Bed()
        config = json.loads(bed.inner.get(layout.CONFIG))
        bed.inner.put(layout.CONFIG, bed.repo.vault.keys.signed({**config, "version": 1, "later": "kept"}))
        return bed

    def test_new_ones_are_of_version_2(self) -> None:
        assert peek(Bed().inner, clock=FakeClock(START)).version == 2

    def test_an_upgrade_changes_the_version_and_nothing_else(self) -> None:
        bed = self.as_version_1()
        before = json.loads(bed.inner.get(layout.CONFIG))
        bed.repo.vault.upgrade()
        bed.repo.vault.upgrade()
        after = json.loads(bed.inner.get(layout.CONFIG))
        changed = {key for key in before | after if before.get(key) != after.get(key)}
        assert changed == {"version", "checksum", "mac"}
        assert bed.reopen().id == bed.repo.id

    def test_only_the_owner_upgrades(self) -> None:
        bed = self.as_version_1()
        Repository.open(bed.inner, PASSWORD, clock=bed.clock, owner=OTHER, take_over=True)
        with pytest.raises(NotOwner):
            bed.repo.vault.upgrade()
        assert peek(bed.inner, clock=bed.clock).version == 1

    def test_a_worker_that_is_overtaken_while_upgrading_succeeds_too(self) -> None:
        bed = self.as_version_1()
        overtaken = Overtaken(bed.inner, Repository.open(bed.inner, PASSWORD, clock=bed.clock, owner=OWNER).vault.upgrade)
        Repository.open(overtaken, PASSWORD, clock=bed.clock, owner=OWNER).vault.upgrade()
        assert overtaken.refused == 1
        assert peek(bed.inner, clock=bed.clock).version == 2

    def test_the_storage_class_is_remembered_under_the_mac(self) -> None:
        clock = FakeClock(START)
        blobs = MemoryBlobs(clock)
        Repository.create(blobs, PASSWORD, clock=clock, owner=OWNER, kdf=QUICK, storage_class=StorageClass.DEEP_ARCHIVE)
        assert opened(blobs, PASSWORD).vault.storage_class is StorageClass.DEEP_ARCHIVE
        assert peek(blobs, clock=clock).storage_class is StorageClass.DEEP_ARCHIVE
        assert opened(made(PASSWORD)[0], PASSWORD).vault.storage_class is StorageClass.STANDARD
        config = json.loads(blobs.get(layout.CONFIG)) | {"storageClass": "glacier"}
        blobs.put(layout.CONFIG, canonical({**config, "checksum": checksum(config)}))
        with pytest.raises(Damaged):
            opened(blobs, PASSWORD)
