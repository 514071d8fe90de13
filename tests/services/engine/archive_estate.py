"""A machine backed up once, and an archive repository beside the standard one: what tests of archives start from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from server.domain.access import SYSTEM
from server.domain.repository import Repository, RetrievalMode
from server.domain.restore import Leg, RestorePoint, Retrieval, VolumeRestore
from server.domain.session import State
from server.services import archives, restores, retrievals
from tests.services.engine.harness import Appliance
from tests.services.engine.test_protection import block, points, run

ROOT = {index: block(f"root {index}") for index in range(0, 600, 4)}
DATA = {0: block("zero"), 300: block("three hundred")}
QUICK = RetrievalMode.EXPEDITED


@dataclass
class Estate:
    """``policy`` backs web-1 up, which has the disks vol-a (ROOT) and vol-b (DATA)."""

    appliance: Appliance
    policy: UUID
    archive: Repository

    def backup(self) -> RestorePoint:
        self.appliance.clock.advance(timedelta(hours=1))
        session = run(self.appliance, self.policy)
        assert session.state is State.SUCCESS, self.appliance.lines(session.id)
        return points(self.appliance, Leg.BACKUP)[-1]

    def store(self, *sources: RestorePoint, keep_days: int = 365) -> UUID:
        ids = [source.id for source in sources]
        session = archives.archive_points(self.appliance.app, SYSTEM, ids, self.archive.id, keep_days=keep_days)
        assert session is not None
        self.appliance.work()
        return session.id

    def archived(self) -> list[RestorePoint]:
        return points(self.appliance, Leg.ARCHIVE)

    def restore(self, point: RestorePoint, **changes: object) -> UUID:
        wanted = VolumeRestore(account_id=point.account_id, region="us-east-1", zone="us-east-1b")
        options = replace(wanted, **changes)  # type: ignore[arg-type]  # named by the tests below
        session = restores.start_volume_restore(self.appliance.app, SYSTEM, point.id, options)
        assert session is not None
        return session.id

    def retrieve(self, *, mode: RetrievalMode = QUICK, days: int = 1) -> UUID:
        ids = [point.id for point in self.archived()]
        session = retrievals.retrieve_points(self.appliance.app, SYSTEM, ids, mode=mode, days=days)
        assert session is not None
        return session.id

    def state(self) -> Retrieval:
        (point,) = self.archived()
        assert point.retrieval is not None
        return point.retrieval

    def lines(self, session_id: UUID) -> str:
        return "\n".join(self.appliance.lines(session_id))
