"""A repository with very many points: how long a list takes, and how long until one of them is open."""

from __future__ import annotations

import random
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from server.ports import BLOCK_SIZE, BlockRef
from server.repository import catalog, layout
from server.repository.crypto import TYPE_MANIFEST
from server.repository.manifest import Manifest
from server.repository.repository import Control, DiskInput, Repository
from server.repository.restore import read_blocks
from tests.bench import engine
from tests.bench.processes import child
from tests.bench.rows import Report, median

POINTS = 10_000
QUICK_POINTS = 2_000
ROUNDS = 5


def measure(work: Path, report: Report, *, quick: bool) -> None:
    count = QUICK_POINTS if quick else POINTS
    repo = str(work / "points")
    one = child("listing.fill", repo=repo, count=count).answer["point"]
    fresh = [child("listing.list_points", repo=repo).answer for _ in range(2)]
    child("listing.refresh", repo=repo)
    cached = [child("listing.list_points", repo=repo).answer for _ in range(ROUNDS)]
    single = [child("listing.open_point", repo=repo, point=one).answer for _ in range(ROUNDS)]
    shutil.rmtree(repo)
    says = f"{count:,} points: repository opened with its password and every point listed, as after the daily collection"
    report.add("list_points", median(run["seconds"] for run in cached), "s", says, 2.0)
    says = "the same before any collection: every manifest is read"
    report.add("list_points_uncollected", median(run["seconds"] for run in fresh), "s", says)
    says = f"one of {count:,}: its manifest read and the first block of its disk delivered"
    report.add("open_point", median(run["seconds"] for run in single) * 1000, "ms", says, 100.0)


def fill(repo: str, count: int) -> dict[str, Any]:
    """One real backup; all other points are its manifest under other ids, with what an EC2 instance's manifest holds."""
    repository = _fresh(repo)
    vault = repository.vault
    first = UUID(int=1)
    run = repository.begin(first, parent=None)
    data = random.Random(1).randbytes(BLOCK_SIZE)
    disk = DiskInput(disk_id=engine.DISK, size_bytes=8 * 2**30, document={"device": "/dev/xvda", "type": "gp3", "iops": 3000})
    result = run.disk(disk, blocks=[BlockRef(7, "t")], read=lambda _: data, mode="full", control=Control())
    manifest = run.commit(at=engine.NOON, resource=_resource(0), document=_document(), disks=[result])
    for number in range(1, count):
        twin = Manifest(
            id=UUID(int=random.Random(number).getrandbits(128), version=4),
            at=engine.NOON + timedelta(hours=number),
            parent=first,
            resource=_resource(number % 500),
            document=manifest.document,
            disks=manifest.disks,
        )
        name = layout.point(twin.id)
        vault.put_once(name, vault.seal(name, TYPE_MANIFEST, twin.to_json()))
    return {"point": str(first)}


def _resource(number: int) -> dict[str, Any]:
    name = {"id": f"i-{number:017x}", "name": f"server-{number}"}
    return {"kind": "ec2", "region": "eu-central-1", "account": "123456789012", **name}


def _document() -> dict[str, Any]:
    tags = {f"tag-{number}": f"value of tag {number}" for number in range(10)}
    return {"instanceType": "m7i.large", "tags": tags, "interfaces": [{"subnetId": "subnet-1", "groups": ["sg-1", "sg-2"]}]}


def _fresh(repo: str) -> Repository:
    engine.create(repo)
    return engine.opened(repo)


def list_points(repo: str) -> dict[str, Any]:
    started = time.monotonic()
    count = sum(1 for _ in engine.opened(repo).points())
    return {"seconds": time.monotonic() - started, "count": count}


def open_point(repo: str, point: str) -> dict[str, Any]:
    """Timed after the repository is open: its key derivation is slow on purpose."""
    repository = engine.opened(repo)
    started = time.monotonic()
    blocks = read_blocks(repository, repository.point(UUID(point)), engine.DISK)
    index, _ = next(blocks)
    seconds = time.monotonic() - started
    blocks.close()  # type: ignore[attr-defined]  # it is a generator
    return {"seconds": seconds, "index": index}


def refresh(repo: str) -> dict[str, Any]:
    catalog.refresh(engine.opened(repo))
    return {}
