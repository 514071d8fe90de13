"""The demo's own endpoint, ``/_demo/``: act as a guest, look at disks, set the clock, cause trouble. Unsigned, loopback only.

Bodies and answers are JSON; a request that cannot be met is answered 400, 404 or 405 with ``{"error": sentence}``.

``GET healthz``
``GET calls``, ``DELETE calls``
    How many calls of each operation arrived (``ec2:CreateSnapshots``); count anew.
``POST faults`` ``{"operation": "ec2:*", "kind": "throttle", "times": 2, "probability": 1, "delay": 0.5}``, ``GET``, ``DELETE``
    Trouble for calls that match (see ``server.demo.faults``).
``POST volumes/ID/blocks/N`` (body: the block), ``POST volumes/ID/churn?percent=1&seed=7``, ``POST volumes/ID/image?path=P``
    Write as the guest would: one block; some of the used ones; a whole sparse image.
``GET volumes/ID/hash``, ``GET snapshots/ID/hash``
    SHA-256 of every block that is not all zeros.
``POST clock`` ``{"at": "2027-01-31T04:00:00Z", "advance": 3600, "rate": 60}``, ``GET``, ``DELETE``
    The account's time (see ``server.demo.clock``): any of the three; ``at`` a date or Unix seconds, ``advance`` in seconds,
    ``rate`` 0 stands still. DELETE: real time. In this process: ``server.demo.clock.CLOCK``.
``POST ssm/INSTANCE`` ``{"agent": "online", "scripts": {"/opt/x.sh": {"exitCode": 3, "output": "", "error": ""}}}``,
``GET``, ``DELETE``
    What the guest is like (see ``server.demo.ssm.guests``): ``agent`` auto, online, offline or absent; ``vss`` ok,
    writers-fail, not-installed or partial; ``seconds``, ``vssSeconds``: how long commands take; ``platformName``,
    ``platformVersion``, ``agentVersion``. Members left out stay; ``scripts`` replaces them all.
``GET ssm/INSTANCE/commands``
    The commands sent there, oldest first.
``POST seed`` ``{"instances": 1000, "regions": ["us-east-1"], "name": "many", "disks": 1, "blocks": 2, "tags": {}}``
    So many running instances at once (see ``server.demo.mass``): Region → ids. Nothing when instances of that name are there.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from server.demo import mass
from server.demo.blockstore import BLOCK_SIZE, BlockStore, Disk
from server.demo.clock import CLOCK
from server.demo.control_plane import ControlPlane
from server.demo.faults import Fault, Faults
from server.demo.ssm import api as ssm
from server.demo.wire import BodyTooLarge, Reply, Request

PREFIX = "/_demo/"
_GUEST = re.compile(r"ssm/(i-[0-9a-f]+)(/commands)?$")
_DISK = re.compile(r"(volumes|snapshots)/((?:vol|snap)-[0-9a-f]+)/(hash|churn|image|blocks/(\d+))$")


class Refused(Exception):
    """A request this endpoint does not accept; the status says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Control:
    def __init__(self, blocks: BlockStore, faults: Faults, plane: ControlPlane) -> None:
        self._blocks = blocks
        self._faults = faults
        self._plane = plane

    async def handle(self, request: Request) -> Reply:
        try:
            if not _is_loopback(request.client_host):
                raise Refused(403, "only this machine may use the demo's control endpoint")
            return _json(await self._answer(request))
        except Refused as refusal:
            return _json({"error": str(refusal)}, refusal.status)
        except (ValueError, BodyTooLarge) as error:
            return _json({"error": str(error) or "the body is too large"}, 400)

    async def _answer(self, request: Request) -> Any:
        path = request.path.removeprefix(PREFIX)
        if path == "healthz":
            return {"status": "ok"}
        if path == "calls":
            if request.method == "DELETE":
                self._faults.calls.clear()
            return dict(sorted(self._faults.calls.items()))
        if path == "clock":
            return await self._answer_clock(request)
        if path == "seed" and request.method == "POST":
            crowd = mass.Crowd.parse(json.loads(await request.read(16_384)))
            return await asyncio.to_thread(self.fill, crowd)
        if path == "faults":
            return await self._answer_faults(request)
        if guest := _GUEST.match(path):
            return await self._answer_guest(request, guest[1], commands=guest[2] is not None)
        match = _DISK.match(path)
        disk = self._blocks.find(match[2]) if match else None
        if match is None or disk is None:
            raise Refused(404, f"there is no {path}")
        if match[3] == "hash":
            return await asyncio.to_thread(self._hash, disk)
        if match[1] != "volumes" or request.method != "POST":
            raise Refused(405, "only volumes can be changed, and by POST")
        if match[4] is not None:
            return await self._guest_write(request, disk, int(match[4]))
        return await asyncio.to_thread(self._change, match[3], disk, request.query())

    async def _answer_clock(self, request: Request) -> Any:
        if request.method == "POST":
            _set_clock(json.loads(await request.read(4_096)))
        elif request.method == "DELETE":
            CLOCK.reset()
        now = CLOCK.now()
        return {
            "at": datetime.fromtimestamp(now, UTC).isoformat(),
            "unix": now,
            "rate": CLOCK.setting.rate,
            "real": CLOCK.is_real,
        }

    async def _answer_faults(self, request: Request) -> Any:
        if request.method == "POST":
            self._faults.add(Fault.parse(json.loads(await request.read(16_384))))
        elif request.method == "DELETE":
            self._faults.clear()
        return [fault.document() for fault in self._faults.all()]

    async def _answer_guest(self, request: Request, instance_id: str, *, commands: bool) -> Any:
        change = json.loads(await request.read(262_144) or b"{}") if request.method == "POST" else None
        return await asyncio.to_thread(self._guest, request.method, instance_id, change, commands)

    def fill(self, crowd: mass.Crowd) -> dict[str, list[str]]:
        """Region → ids of the new instances; none when instances of this name are there already."""
        with self._plane.changing():
            return {} if mass.is_there(crowd) else mass.seed(crowd, self._blocks)

    def _guest(self, method: str, instance_id: str, change: Any, commands: bool) -> Any:
        with self._plane.changing() if method != "GET" else self._plane.lock:
            backend = ssm.backend_of(instance_id)
            if backend is None:
                raise Refused(404, f"there is no instance {instance_id}")
            if commands:
                return [each.as_command() for each in backend.commands.values() if instance_id in each.invocations]
            if method == "POST":
                backend.guests[instance_id] = backend.guest(instance_id).changed(change)
            elif method == "DELETE":
                backend.guests.pop(instance_id, None)
            return backend.guest(instance_id).document()

    async def _guest_write(self, request: Request, disk: Disk, index: int) -> Any:
        data = await request.read(BLOCK_SIZE)
        if len(data) != BLOCK_SIZE:
            raise Refused(400, f"a block has {BLOCK_SIZE} bytes, not {len(data)}")
        if index >= disk.block_count:
            raise Refused(400, f"block {index} lies beyond the end of the volume")
        await asyncio.to_thread(self._blocks.put, disk, index, data)
        return {"block": index}

    def _change(self, verb: str, disk: Disk, query: Mapping[str, str]) -> Any:
        if verb == "churn":
            changed = self._blocks.churn(disk, float(query.get("percent", "1")), int(query.get("seed", "7")))
            return {"blocks": changed}
        path = Path(query.get("path", ""))
        if verb != "image" or not path.is_file():
            raise Refused(400, f"there is no image file at {str(path)!r}")
        return {"blocks": self._blocks.import_image(disk, path)}

    def _hash(self, disk: Disk) -> Any:
        """``root``: SHA-256 over each non-zero block's index (8 bytes, big endian) and digest, ascending."""
        root = hashlib.sha256()
        digests: dict[str, str] = {}
        for index, digest in self._blocks.digests(disk):
            root.update(index.to_bytes(8, "big") + digest)
            digests[str(index)] = digest.hex()
        return {
            "blocks": digests,
            "root": root.hexdigest(),
            "size_gib": disk.size_gib,
            "written": len(self._blocks.blocks(disk)),
        }


def _set_clock(document: Any) -> None:
    """Errors: ValueError with what is wrong."""
    if not isinstance(document, dict) or not document or set(document) - {"at", "advance", "rate"}:
        raise ValueError("expected an object with at, advance or rate")
    at = document.get("at")
    if isinstance(at, str):
        moment = datetime.fromisoformat(at)
        at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    rate = document.get("rate")
    CLOCK.set(
        at=None if at is None else float(at),
        advance=float(document.get("advance", 0.0)),
        rate=None if rate is None else float(rate),
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "testclient", "localhost")


def _json(document: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document, default=str).encode(), [("content-type", "application/json")])
