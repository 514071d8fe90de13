"""Archives through the door: started, estimated, shown with each point, and refused in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from server.adapters.blobs.memory import MemoryBlobs
from server.api.graphql.scalars import global_id
from server.domain import repository as stored
from server.domain.access import Role
from server.domain.repository import RetrievalMode, StorageClass
from server.domain.restore import Leg, RestorePoint, Retrieval, RetrievalState
from server.ports import BLOCK_SIZE, BlockRef
from server.repository.repository import Control, DiskInput, Repository
from tests.api.bench import Bench
from tests.contracts.entities import point as make_point
from tests.contracts.entities import repository as make_repository
from tests.contracts.entities import resource as make_resource
from tests.repository.bed import QUICK

ARCHIVE = "mutation($in: ArchivePointsInput!) { archivePoints(input: $in) { session { kind name } clientMutationId } }"
RETRIEVE = "mutation($in: RetrievePointsInput!) { retrievePoints(input: $in) { session { id kind name } } }"
EXTEND = "mutation($in: ExtendRetrievalInput!) { extendRetrieval(input: $in) { session { kind name } } }"
ESTIMATE = """query($id: ID!, $mode: RetrievalMode!) { estimateRetrieval(pointId: $id, mode: $mode, days: 3) {
    storageClass packs sizeBytes readableBytes usd usdRetrieval usdRequests usdCopies readyFrom readyBy } }"""
SHOWN = """query($id: ID!) { node(id: $id) { ... on RestorePoint {
    leg source { id } retrieval { state mode days availableUntil expectedBy }
    archiveCost { storageClass usdPerMonth minimumUntil usdIfDeletedNow exactRegion } } } }"""


@dataclass
class Kept:
    """A backup in a standard repository, and an archive of it in another."""

    bench: Bench
    backup: RestorePoint
    archive: RestorePoint
    vault: stored.Repository

    def input(self, **changes: Any) -> dict[str, Any]:
        return {
            "pointIds": [global_id("RestorePoint", self.backup.id)],
            "repositoryId": global_id("Repository", self.vault.id),
            "keepDays": 365,
            **changes,
        }

    @property
    def archive_id(self) -> str:
        return global_id("RestorePoint", self.archive.id)

    def save(self, **changes: Any) -> None:
        with self.bench.store.transaction() as tx:
            current = tx.points.get(self.archive.id)
            values = {name: getattr(current, name) for name in current.__dataclass_fields__}
            tx.points.save(RestorePoint(**{**values, **changes}))


def fill(bench: Bench, row: stored.Repository, point_id: UUID, storage_class: StorageClass) -> None:
    """A repository in memory, holding one point of a block."""
    blobs = bench.buckets[row.location] = MemoryBlobs(clock=bench.clock)
    owner = bench.services.owner_id()
    made = Repository.create(blobs, row.password, clock=bench.clock, owner=owner, kdf=QUICK, storage_class=storage_class)
    run = made.begin(point_id, parent=None)
    disk = run.disk(
        DiskInput(disk_id="vol-1", size_bytes=BLOCK_SIZE),
        blocks=[BlockRef(0, "t")],
        read=lambda _: b"x" * BLOCK_SIZE,
        mode="full",
        control=Control(),
    )
    run.commit(at=bench.clock.now(), resource={}, document={}, disks=[disk])


@pytest.fixture
def kept(bench: Bench) -> Kept:
    now, ids = bench.clock.now(), (uuid4(), uuid4())
    home = make_repository(bench.home, location="warm", created_at=now)
    vault = make_repository(bench.home, location="cold", created_at=now, storage_class=StorageClass.GLACIER)
    fill(bench, home, ids[0], StorageClass.STANDARD)
    fill(bench, vault, ids[1], StorageClass.GLACIER)
    machine = make_resource(bench.home)
    times = {"at": now - timedelta(days=1), "created_at": now}
    backup = make_point(machine, id=ids[0], leg=Leg.BACKUP, repository_id=home.id, **times)
    archive = make_point(
        machine, id=ids[1], leg=Leg.ARCHIVE, repository_id=vault.id, source_id=backup.id, stored_bytes=1 << 40, **times
    )
    with bench.store.transaction() as tx:
        tx.resources.add(machine)
        tx.repositories.add(home)
        tx.repositories.add(vault)
        tx.points.add(backup)
        tx.points.add(archive)
    return Kept(bench, backup, archive, vault)


def test_archiving_starts_one_session_per_request(kept: Kept) -> None:
    kept.save(source_id=None)  # an archive that was imported: nothing says that the backup is archived
    given = {"in": kept.input(clientMutationId="once")}
    first = kept.bench.data(ARCHIVE, given, role=Role.OPERATOR)["archivePoints"]
    assert first["session"]["kind"] == "ARCHIVE"
    assert first["clientMutationId"] == "once"
    assert kept.bench.data(ARCHIVE, given, role=Role.OPERATOR)["archivePoints"] == first


def test_a_dry_run_starts_nothing(kept: Kept) -> None:
    kept.save(source_id=None)
    assert kept.bench.data(ARCHIVE, {"in": kept.input(dryRun=True)})["archivePoints"]["session"] is None
    asked = {"in": {"pointIds": [kept.archive_id], "dryRun": True}}
    assert kept.bench.data(RETRIEVE, asked)["retrievePoints"]["session"] is None


@pytest.mark.parametrize(
    ("changes", "code", "fields"),
    [
        ({}, "CONFLICT", set()),
        ({"keepDays": 0}, "INVALID_INPUT", {"keepDays"}),
        ({"keepDays": 1}, "INVALID_INPUT", {"keepDays"}),
        ({"pointIds": []}, "INVALID_INPUT", {"pointIds"}),
        ({"pointIds": ["nonsense"]}, "INVALID_INPUT", {"pointIds"}),
    ],
    ids=["archived already", "no keeping", "too old", "no point", "no id"],
)
def test_what_cannot_be_archived_is_refused(kept: Kept, changes: dict[str, Any], code: str, fields: set[str]) -> None:
    error = kept.bench.error(ARCHIVE, {"in": kept.input(**changes)})
    assert error["extensions"]["code"] == code
    assert set(error["extensions"].get("fields") or {}) == fields


def test_retrieving_is_for_restore_operators_and_archiving_is_not(kept: Kept) -> None:
    asked = {"in": {"pointIds": [kept.archive_id], "mode": "EXPEDITED", "days": 2}}
    assert kept.bench.error(RETRIEVE, asked, role=Role.VIEWER)["extensions"]["code"] == "FORBIDDEN"
    error = kept.bench.error(ARCHIVE, {"in": kept.input()}, role=Role.RESTORE_OPERATOR)
    assert error["extensions"]["code"] == "FORBIDDEN"
    session = kept.bench.data(RETRIEVE, asked, role=Role.RESTORE_OPERATOR)["retrievePoints"]["session"]
    assert session["kind"] == "RETRIEVAL"
    again = kept.bench.error(RETRIEVE, asked)
    assert "being retrieved already" in again["message"]
    cancel = "mutation($in: IdInput!) { cancelSession(input: $in) { session { state } } }"
    stopped = kept.bench.data(cancel, {"in": {"id": session["id"]}}, role=Role.RESTORE_OPERATOR)
    assert stopped["cancelSession"]["session"]["state"] == "CANCELLED"


def test_an_estimate_says_how_long_and_how_much(kept: Kept) -> None:
    found = kept.bench.data(ESTIMATE, {"id": kept.archive_id, "mode": "STANDARD"})["estimateRetrieval"]
    assert (found["storageClass"], found["packs"], found["readableBytes"]) == ("GLACIER", 1, 0)
    assert found["usd"] == pytest.approx(found["usdRetrieval"] + found["usdRequests"] + found["usdCopies"])
    assert found["readyFrom"] < found["readyBy"]
    backup = kept.bench.error(ESTIMATE, {"id": global_id("RestorePoint", kept.backup.id), "mode": "BULK"})
    assert "only archives" in backup["message"]


def test_a_point_shows_its_source_its_copy_and_its_cost(kept: Kept) -> None:
    shown = kept.bench.data(SHOWN, {"id": kept.archive_id})["node"]
    assert shown["source"] == {"id": global_id("RestorePoint", kept.backup.id)}
    assert shown["retrieval"] is None
    assert shown["archiveCost"]["storageClass"] == "GLACIER"
    assert shown["archiveCost"]["usdIfDeletedNow"] == pytest.approx(3 * shown["archiveCost"]["usdPerMonth"], rel=0.01)
    now = kept.bench.clock.now()
    copy = Retrieval(
        state=RetrievalState.AVAILABLE,
        mode=RetrievalMode.BULK,
        days=2,
        requested_at=now - timedelta(days=3),
        available_until=now + timedelta(minutes=10),
    )
    kept.save(retrieval=copy)
    assert kept.bench.data(SHOWN, {"id": kept.archive_id})["node"]["retrieval"]["state"] == "AVAILABLE"
    extended = kept.bench.data(EXTEND, {"in": {"pointId": kept.archive_id, "days": 3}})["extendRetrieval"]
    assert extended["session"]["kind"] == "RETRIEVAL"
    kept.bench.clock.advance(timedelta(minutes=10))
    later = kept.bench.data(SHOWN, {"id": kept.archive_id})["node"]["retrieval"]
    assert (later["state"], later["mode"], later["days"]) == ("EXPIRED", "BULK", 2)
    backup = kept.bench.data(SHOWN, {"id": global_id("RestorePoint", kept.backup.id)})["node"]
    assert (backup["source"], backup["retrieval"], backup["archiveCost"]) == (None, None, None)


def test_a_restore_of_an_archive_checks_the_mode(kept: Kept) -> None:
    with kept.bench.store.transaction() as tx:
        row = tx.repositories.get(kept.vault.id)
        values = {name: getattr(row, name) for name in row.__dataclass_fields__}
        deep = {**values, "storage_class": StorageClass.DEEP_ARCHIVE, "revision": row.revision + 1}
        tx.repositories.save(stored.Repository(**deep))
    restore = "mutation($in: VolumeRestoreInput!) { startVolumeRestore(input: $in) { session { id } } }"
    given = {"pointId": kept.archive_id, "accountId": kept.bench.home_id, "region": "us-east-1", "zone": "us-east-1a"}
    error = kept.bench.error(restore, {"in": {**given, "retrievalMode": "EXPEDITED"}})
    assert set(error["extensions"]["fields"]) == {"retrievalMode"}
