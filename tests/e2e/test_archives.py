"""Backup, archive, archive again, restore from the archive: real processes, real S3 and EBS wires, compared block for block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from server.demo import setting
from server.demo.sample import BUCKET
from server.demo.visitor import Session, Visitor
from tests.conftest import RunningAppliance

BLOCK = 512 * 1024
SECONDS = 240.0

ADD = "mutation($input: AddRepositoryInput!) { addRepository(input: $input) { repository { id storageClass } } }"
RUN = "mutation($input: StartPolicyInput!) { startPolicy(input: $input) { session { id } } }"
ARCHIVE = "mutation($input: ArchivePointsInput!) { archivePoints(input: $input) { session { id } } }"
DISABLE = "mutation($input: IdInput!) { disablePolicy(input: $input) { policy { id } } }"
RETRIEVE = "mutation($input: RetrievePointsInput!) { retrievePoints(input: $input) { session { id } } }"
EXTEND = "mutation($input: ExtendRetrievalInput!) { extendRetrieval(input: $input) { session { id } } }"
RESTORE = "mutation($input: VolumeRestoreInput!) { startVolumeRestore(input: $input) { session { id } } }"
ESTIMATE = "query($id: ID!) { estimateRetrieval(pointId: $id) { packs sizeBytes readableBytes usd } }"
POINTS = """query($filter: RestorePointFilter) { restorePoints(first: 100, filter: $filter, order: {field: AT}) {
    edges { node { id at storedBytes provenHow resource { id name } disks { diskId }
        source { id } retrieval { state availableUntil } } } } }"""


class Guide:
    """What the test asks of the appliance and the account."""

    def __init__(self, appliance: RunningAppliance) -> None:
        self.cloud = appliance.cloud
        self.visitor = Visitor(appliance.url)
        self.visitor.sign_in(appliance.username, appliance.password)
        self.prepared = setting.prepare(self.visitor)

    def done(self, mutation: str, **input: Any) -> Session:
        (payload,) = self.visitor.ask(mutation, input=input).values()
        session = self.visitor.finished(payload["session"]["id"], look=lambda _: None, seconds=SECONDS)
        setting.must_succeed(session)
        return session

    def points(self, leg: str) -> list[dict[str, Any]]:
        """Of web-01, oldest first."""
        page = self.visitor.ask(POINTS, filter={"leg": leg, "state": "AVAILABLE", "search": "web-01"})["restorePoints"]
        return [edge["node"] for edge in page["edges"] if edge["node"]["resource"]["name"] == "web-01"]

    def backup(self) -> dict[str, Any]:
        self.done(RUN, id=self.prepared.policy_id)
        return self.points("BACKUP")[-1]

    def hashes(self, volume: str) -> dict[str, str]:
        found: dict[str, str] = self.cloud.control("GET", f"volumes/{volume}/hash")["blocks"]
        return found

    def calls(self, prefix: str) -> int:
        return sum(times for name, times in self.cloud.calls().items() if name.startswith(prefix))


@pytest.fixture
def guide(appliance: RunningAppliance) -> Iterator[Guide]:
    found = Guide(appliance)
    yield found
    found.visitor.ask(DISABLE, input={"id": found.prepared.policy_id})  # it would claim the resources of other tests' policies


def test_from_backup_to_archive_and_back(guide: Guide) -> None:
    place = {"accountId": guide.prepared.account_id, "region": "us-east-1", "location": BUCKET}
    named = {"name": f"Archive {uuid4().hex[:6]}", "kind": "S3", "prefix": uuid4().hex, "password": "a long enough password"}
    added = guide.visitor.ask(ADD, input={**place, **named, "storageClass": "GLACIER"})["addRepository"]["repository"]
    assert added["storageClass"] == "GLACIER"

    first = guide.backup()
    guide.cloud.reset()
    full = guide.done(ARCHIVE, pointIds=[first["id"]], repositoryId=added["id"], keepDays=365)
    assert guide.calls("ebs:") == guide.calls("ec2:") == 0, "archives are made from backups"
    (volume,) = (disk["diskId"] for disk in first["disks"])
    assert int(full["bytesRead"]) == len(guide.hashes(volume)) * BLOCK

    churned = guide.cloud.control("POST", f"volumes/{volume}/churn?percent=1&seed=11")["blocks"]
    original = guide.hashes(volume)
    second = guide.backup()
    increment = guide.done(ARCHIVE, pointIds=[second["id"]], repositoryId=added["id"], keepDays=365)
    assert int(increment["bytesRead"]) == len(churned) * BLOCK
    assert int(increment["bytesStored"]) < int(full["bytesStored"]) / 10

    archived = guide.points("ARCHIVE")[-1]
    assert archived["source"] == {"id": second["id"]}
    guide.cloud.reset()
    zone = setting.zone_of(guide.visitor, archived)
    where = {"accountId": zone.account_id, "region": zone.region, "zone": zone.name}
    restored = guide.done(RESTORE, pointId=archived["id"], retrievalMode="EXPEDITED", **where)
    assert guide.calls("s3:RestoreObject") > 0
    assert any("retrieving" in line["message"] for line in restored["log"])
    (made,) = restored["tasks"][0]["result"]["volumes"]
    assert guide.hashes(made["volumeId"]) == original

    after = guide.points("ARCHIVE")[-1]
    assert after["retrieval"]["state"] == "AVAILABLE"
    assert after["provenHow"] == "RESTORE"
    estimate = guide.visitor.ask(ESTIMATE, id=archived["id"])["estimateRetrieval"]
    assert (estimate["packs"], estimate["usd"]) == (0, 0)
    guide.done(EXTEND, pointId=archived["id"], days=2)
    assert guide.points("ARCHIVE")[-1]["retrieval"]["availableUntil"] > after["retrieval"]["availableUntil"]
    older = guide.points("ARCHIVE")[-2]
    assert older["retrieval"] is None
    guide.done(RETRIEVE, pointIds=[older["id"]], mode="BULK", days=3)
    assert guide.points("ARCHIVE")[-2]["retrieval"]["state"] == "AVAILABLE"
