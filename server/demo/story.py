"""The demo's story: what Holdfast is for, done through its public API on the demo account, and checked byte by byte.

Originals and restored disks are compared by the SHA-256 of every block, which the demo account computes from its own disks:
the appliance under test has no part in the comparison.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn
from rich.table import Table

from server.demo import setting
from server.demo.visitor import Session, Visitor, fetch
from server.domain.errors import HoldfastError

MIB: Final = 1024 * 1024
BLOCK: Final = 512 * 1024
CHURN_PERCENT: Final = 1
SNAPSHOTS_KEPT: Final = 1  # so that the second run already has something to delete
_STEP_SECONDS: Final = 1800.0  # one step may take this long on a slow machine

_POINTS: Final = """
query Points($filter: RestorePointFilter, $after: String) {
  restorePoints(first: 100, after: $after, filter: $filter, order: {field: AT, direction: ASC}) {
    edges { node { id leg at sizeBytes storedBytes resource { id name awsId } disks { diskId sizeBytes } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
_VOLUMES_BACK: Final = "mutation($input: VolumeRestoreInput!) { startVolumeRestore(input: $input) { session { id } } }"
_INSTANCE_BACK: Final = "mutation($input: InstanceRestoreInput!) { startInstanceRestore(input: $input) { session { id } } }"
_START: Final = "mutation($input: StartPolicyInput!) { startPolicy(input: $input) { session { id } } }"
_DELETE: Final = "mutation($input: DeletePointsInput!) { deleteRestorePoints(input: $input) { session { id } } }"
_COLLECT: Final = "mutation($input: IdInput!) { collectGarbage(input: $input) { session { id } } }"

Hashes = Mapping[str, str]
"""Block index (text) → SHA-256 in hex, of blocks that are not all zeros."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the final table. ``problems`` empty: the step did what it should."""

    title: str
    seconds: float
    data_bytes: int = 0
    stored_bytes: int = 0
    worker_peak_bytes: int = 0
    checked: str = ""
    problems: tuple[str, ...] = ()


@dataclass
class Story:
    """``worker_peak`` gives the worker's highest memory so far, in bytes; ``cloud_url`` is the demo account's address."""

    visitor: Visitor
    cloud_url: str
    worker_peak: Callable[[], int]
    console: Console
    rows: list[Row] = field(default_factory=list)
    originals: dict[str, Hashes] = field(default_factory=dict)  # volume id → as it was at the full backup
    changed: dict[str, Hashes] = field(default_factory=dict)  # volume id → as it was at the incremental backup

    def tell(self) -> bool:
        """Run every step, print the table, say whether all of it held. A step that fails ends the story."""
        try:
            self._tell()
        except HoldfastError as error:
            self.console.print(f"[bold red]Failed:[/] {error.sentence()}", highlight=False, soft_wrap=True)
            self.rows.append(Row(title="(stopped)", seconds=0, problems=(error.message,)))
        self.console.print(self._table())
        return all(not row.problems for row in self.rows)

    def _tell(self) -> None:
        prepared = self._prepare()
        points = self._full_backup(prepared)
        churned = self._change(
            max((disk for point in points for disk in point["disks"]), key=lambda disk: int(disk["sizeBytes"]))
        )
        target = next(point for point in points if any(disk["diskId"] == churned.volume_id for disk in point["disks"]))
        newest = self._incremental(prepared, churned, target)
        self._retention(prepared, len(points))
        self._volume_restore("Volume restore, incremental", newest)
        self._instance_restore(target)
        self._expire(prepared, target, newest)

    # ---- steps

    def _prepare(self) -> setting.Prepared:
        began = time.monotonic()
        with self._progress() as progress:
            bar = progress.add_task("Rescan, repository, policy", total=None, said="")
            prepared = setting.prepare(
                self.visitor, snapshots_kept=SNAPSHOTS_KEPT, look=lambda session: _show(progress, bar, session)
            )
        checked = f"{prepared.resource_count} instances found in {' and '.join(setting.REGIONS)}"
        problems = () if prepared.resource_count else ("no instance was found",)
        self._add("Rescan, repository, policy", began, checked=checked, problems=problems)
        return prepared

    def _full_backup(self, prepared: setting.Prepared) -> list[dict[str, Any]]:
        session, row = self._run("Full backup", _START, id=prepared.policy_id)
        points = self._points(policyId=prepared.policy_id, leg="BACKUP", state="AVAILABLE")
        self.originals = {disk["diskId"]: self._hashes(disk["diskId"]) for point in points for disk in point["disks"]}
        blocks = sum(map(len, self.originals.values()))
        problems = _unequal("backups made", len(points), len(session["tasks"]) - 1)
        self._add_row(row, checked=f"{len(points)} instances, {blocks} blocks in use", problems=problems)
        return points

    def _change(self, disk: Mapping[str, Any]) -> Churned:
        began = time.monotonic()
        volume = disk["diskId"]
        answer = self._cloud("POST", f"volumes/{volume}/churn?percent={CHURN_PERCENT}&seed=7")
        blocks = len(answer["blocks"])
        self.changed = {**self.originals, volume: self._hashes(volume)}
        differing = _differences(self.originals[volume], self.changed[volume])
        self._add(
            f"Change {CHURN_PERCENT} % of a disk",
            began,
            data_bytes=blocks * BLOCK,
            checked=f"{blocks} of {len(self.originals[volume])} blocks of {volume} rewritten",
            problems=_unequal("blocks that differ now", differing, blocks),
        )
        return Churned(volume, blocks)

    def _incremental(self, prepared: setting.Prepared, churned: Churned, target: Mapping[str, Any]) -> dict[str, Any]:
        self._cloud("DELETE", "calls")
        _session, row = self._run("Incremental backup", _START, id=prepared.policy_id)
        calls = self._cloud("GET", "calls")
        read, full_lists = calls.get("ebs:GetSnapshotBlock", 0), calls.get("ebs:ListSnapshotBlocks", 0)
        problems = _unequal("blocks read from AWS", read, churned.blocks) + _unequal("full block lists", full_lists, 0)
        checked = f"AWS was asked for {read} blocks, the {churned.blocks} changed ones"
        self._add_row(row, checked=checked, problems=problems)
        points = self._points(resourceId=target["resource"]["id"], leg="BACKUP", state="AVAILABLE")
        return points[-1]

    def _retention(self, prepared: setting.Prepared, instances: int) -> None:
        """The incremental run's own last task: one snapshot per instance is kept, older ones are gone from AWS."""
        began = time.monotonic()
        kept = self._points(policyId=prepared.policy_id, leg="SNAPSHOT", state="AVAILABLE")
        deleted = self._cloud("GET", "calls").get("ec2:DeleteSnapshot", 0)
        problems = _unequal("snapshot points kept", len(kept), instances * SNAPSHOTS_KEPT)
        if not deleted:
            problems += ("no snapshot was deleted in AWS",)
        self._add(
            "Retention", began, checked=f"{len(kept)} snapshot points kept, {deleted} snapshots deleted", problems=problems
        )

    def _volume_restore(self, title: str, point: Mapping[str, Any]) -> None:
        zone = setting.zone_of(self.visitor, point)
        place = {"accountId": zone.account_id, "region": zone.region, "zone": zone.name}
        session, row = self._run(title, _VOLUMES_BACK, pointId=point["id"], **place)
        restored = _task_result(session)["volumes"]
        problems, blocks = self._compare(restored, self.changed, len(point["disks"]))
        self._add_row(row, checked=f"{len(restored)} volumes, {blocks} blocks compared", problems=problems)

    def _instance_restore(self, point: Mapping[str, Any]) -> None:
        """From the full backup, older than the change: any point restores, not only the newest."""
        zone = setting.zone_of(self.visitor, point)
        name = f"{point['resource']['name']}-restored"
        session, row = self._run(
            "Instance restore, full",
            _INSTANCE_BACK,
            pointId=point["id"],
            accountId=zone.account_id,
            region=zone.region,
            name=name,
        )
        result = _task_result(session)
        problems, blocks = self._compare(result["volumes"], self.originals, len(point["disks"]))
        self._add_row(row, checked=f"{result['instanceId']}, {blocks} blocks compared", problems=problems)

    def _expire(self, prepared: setting.Prepared, oldest: Mapping[str, Any], newest: Mapping[str, Any]) -> None:
        """Delete the full backup and its garbage; the incremental one must still restore."""
        _session, row = self._run("Delete the full backup", _DELETE, ids=[oldest["id"]])
        self._add_row(row)
        _session, row = self._run("Collect garbage", _COLLECT, id=prepared.repository_id)
        self._add_row(row)
        self._volume_restore("Volume restore again", newest)

    # ---- means

    def _run(self, title: str, mutation: str, **values: Any) -> tuple[Session, Row]:
        """Start a session and wait for it. HoldfastError with its log unless it ends well."""
        began = time.monotonic()
        with self._progress() as progress:
            bar = progress.add_task(title, total=None, said="")
            answer = self.visitor.ask(mutation, input=values)
            (payload,) = answer.values()
            session = self.visitor.finished(
                payload["session"]["id"], look=lambda now: _show(progress, bar, now), seconds=_STEP_SECONDS
            )
        setting.must_succeed(session)
        row = Row(
            title=title,
            seconds=time.monotonic() - began,
            data_bytes=int(session["bytesRead"]) or int(session["progressDone"]),
            stored_bytes=int(session["bytesStored"]) if session["kind"] == "POLICY_RUN" else 0,  # others store nothing here
        )
        return session, row

    def _compare(
        self, restored: Sequence[Mapping[str, Any]], expected: Mapping[str, Hashes], disks: int
    ) -> tuple[tuple[str, ...], int]:
        """Problems, and how many blocks were compared."""
        problems = _unequal("volumes restored", len(restored), disks)
        blocks = 0
        for volume in restored:
            original, copy = expected[volume["diskId"]], self._hashes(volume["volumeId"])
            blocks += len(original)
            differing = _differences(original, copy)
            if differing:
                problems += (f"{volume['volumeId']} differs from {volume['diskId']} in {differing} blocks",)
        return problems, blocks

    def _points(self, **filters: Any) -> list[dict[str, Any]]:
        """All matching points, oldest first."""
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.visitor.ask(_POINTS, filter=filters, after=after)["restorePoints"]
            found += [edge["node"] for edge in page["edges"]]
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]

    def _hashes(self, volume_id: str) -> Hashes:
        blocks: Hashes = self._cloud("GET", f"volumes/{volume_id}/hash")["blocks"]
        return blocks

    def _cloud(self, method: str, path: str) -> dict[str, Any]:
        status, content = fetch(method, f"{self.cloud_url}/_demo/{path}", b"" if method == "POST" else None)
        if status >= 300:
            raise HoldfastError(f"The demo account refused {method} {path}: {content[:200].decode(errors='replace')}")
        answer = json.loads(content) if content else {}
        return answer if isinstance(answer, dict) else {"answer": answer}

    def _add(self, title: str, began: float, **values: Any) -> None:
        self._add_row(Row(title=title, seconds=time.monotonic() - began), **values)

    def _add_row(self, row: Row, *, data_bytes: int = 0, checked: str = "", problems: tuple[str, ...] = ()) -> None:
        whole = Row(
            title=row.title,
            seconds=row.seconds,
            data_bytes=row.data_bytes or data_bytes,
            stored_bytes=row.stored_bytes,
            worker_peak_bytes=self.worker_peak(),
            checked=checked,
            problems=problems,
        )
        self.rows.append(whole)
        self.console.print(
            f"{_verdict(whole)}  {whole.title}: {checked or 'done'}, {whole.seconds:.1f} s", highlight=False, soft_wrap=True
        )
        for problem in problems:
            self.console.print(f"      [red]{problem}[/]", highlight=False, soft_wrap=True)

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[said]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,  # a pipe gets one line per step
        )

    def _table(self) -> Table:
        table = Table(title="The whole story", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
        table.add_column("Step", no_wrap=True)
        for heading in ("Result", "Data\nMiB", "Time\ns", "\nMiB/s", "Stored\nMiB", "Worker\npeak MiB"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(
                row.title,
                _verdict(row),
                _mib(row.data_bytes),
                f"{row.seconds:.1f}",
                f"{row.data_bytes / MIB / row.seconds:,.0f}" if row.data_bytes > 10 * MIB else "",
                _mib(row.stored_bytes),
                _mib(row.worker_peak_bytes),
            )
        return table


@dataclass(frozen=True, slots=True)
class Churned:
    volume_id: str
    blocks: int


def _show(progress: Progress, bar: Any, session: Session) -> None:
    open_tasks = [task for task in session["tasks"] if task["state"] == "RUNNING"]
    said = open_tasks[0]["message"] if open_tasks else ""
    total = int(session["progressTotal"]) or None
    progress.update(bar, total=total, completed=int(session["progressDone"]), said=said[:60])


def _task_result(session: Session) -> Mapping[str, Any]:
    """What the only task of a restore made."""
    result: Mapping[str, Any] = session["tasks"][0]["result"]
    return result


def _differences(one: Hashes, other: Hashes) -> int:
    return sum(1 for index in one.keys() | other.keys() if one.get(index) != other.get(index))


def _unequal(what: str, found: int, expected: int) -> tuple[str, ...]:
    return () if found == expected else (f"{what}: {found}, expected {expected}",)


def _mib(amount: int) -> str:
    """In MiB, with a decimal while that tells something; nothing for zero."""
    return f"{amount / MIB:,.{1 if amount < 10 * MIB else 0}f}" if amount else ""


def _verdict(row: Row) -> str:
    return "[bold red]FAILED[/]" if row.problems else "[green]OK[/]"
