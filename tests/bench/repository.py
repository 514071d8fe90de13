"""``scripts/bench repository``: the engine against bare kernels, restic and BorgBackup on one disk image, in one run."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from server.ports import BLOCK_SIZE
from tests.bench import image, listing, memory, peers, wire
from tests.bench.processes import Run, child, command, read_through
from tests.bench.rows import Report, median

MIB = 1024**2
GROUPS = ("full", "increment", "restore", "points", "wire", "memory")
FULL_POINT = UUID(int=1)
CHANGED_SHARE = 0.01


@dataclass
class Bench:
    """One run. ``seconds`` collects, by what was measured, a value per round."""

    work: Path
    quick: bool
    report: Report
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def image(self) -> Path:
        return self.work / ("quick.img" if self.quick else "disk.img")

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 3

    @property
    def repo(self) -> Path:
        return self.work / "holdfast"

    def note(self, name: str, value: float) -> None:
        self.seconds[name].append(value)

    def typical(self, name: str) -> float:
        return median(self.seconds[name])

    def say(self, text: str) -> None:
        self.report.console.print(f"[dim]{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:.1f}[/dim] {text}")


def run(work: Path, report: Report, *, quick: bool, groups: tuple[str, ...] = GROUPS) -> None:
    bench = Bench(work, quick, report)
    disk = {"full", "increment", "restore"} & set(groups)
    if disk:
        _prepare(bench)
    if "full" in groups or disk:
        _full(bench, with_peers="full" in groups or "restore" in groups)
    if "increment" in groups:
        _increment(bench)
    if "restore" in groups:
        _restore(bench)
    for leftover in ("holdfast", "restic", "borg"):
        shutil.rmtree(work / leftover, ignore_errors=True)
    if "points" in groups:
        bench.say("10,000 points")
        listing.measure(work, report, quick=quick)
    if "wire" in groups:
        bench.say("EBS direct client")
        wire.measure(work, report, quick=quick)
    if "memory" in groups:
        bench.say("memory of a 16 TiB disk")
        memory.measure(work, report, quick=quick)


# ---- the image


def _prepare(bench: Bench) -> None:
    if not bench.image.exists():
        bench.say("making the image")
        image.make(bench.image, image.QUICK if bench.quick else image.FULL)
    read_through(bench.image)  # everybody reads it from memory
    size, data = bench.image.stat().st_size, len(image.allocated(bench.image)) * BLOCK_SIZE
    bench.say(f"{bench.image.name}: {size / 2**30:.1f} GiB, of which {data / 2**30:.2f} GiB hold data")


# ---- full backups


def _full(bench: Bench, *, with_peers: bool) -> None:
    rivals = [peers.restic(bench.work), peers.borg(bench.work)] if with_peers else []
    stored: dict[str, int] = {}
    for number in range(bench.rounds):
        bench.say(f"full backups, round {number + 1} of {bench.rounds}")
        bench.note("kernels", child("kernels.backup", image=str(bench.image)).answer["engine"])
        done = _fresh_full(bench)
        bench.note("full", done.wall)
        bench.note("full-engine", done.answer["engine"])
        for rival in rivals:
            rival.start()
            bench.note(rival.name, rival.backup(bench.image).wall)
            stored[rival.name] = rival.stored()
    if not bench.quick and rivals:
        _other_ways(bench)
    add, typical = bench.report.add, bench.typical
    add("full_seconds", typical("full"), "s", "full backup to a local folder, the whole process: start, key derivation, commit")
    for rival in rivals:
        ratio = typical("full") / typical(rival.name)
        says = f"time of the whole process against {rival.says}: {typical(rival.name):.1f} s"
        add(f"full_vs_{rival.name}", ratio, "×", says, 1 / 6 if rival.name == "restic" else 1 / 3)
    kernels = typical("kernels")
    says = f"begin to commit against pread, zero test, BLAKE3, zstd-1, AES-GCM of the same blocks, not written: {kernels:.2f} s"
    add("full_vs_kernels", kernels / typical("full-engine"), "×", says, 0.85, "higher")
    if rivals:
        own = child("engine.footprint", repo=str(bench.repo)).answer["stored"]
        says = f"bytes of the repository, {own / MIB:,.0f} MiB, against restic's {stored['restic'] / MIB:,.0f} MiB"
        add("stored_vs_restic", own / stored["restic"], "×", says, 1.05)


def _fresh_full(bench: Bench, *, holes: bool = False) -> Run:
    shutil.rmtree(bench.repo, ignore_errors=True)
    child("engine.create", repo=str(bench.repo))
    return child("engine.backup", repo=str(bench.repo), image=str(bench.image), point=str(FULL_POINT), holes=holes)


def _other_ways(bench: Bench) -> None:
    """Informs: does it matter that holes are known, or how Borg cuts chunks?"""
    bench.say("the same in other ways")
    fixed = peers.borg(bench.work, fixed=True)
    fixed.start()
    seconds = fixed.backup(bench.image).wall
    ratio = bench.typical("full") / seconds
    bench.report.add("full_vs_borg_fixed", ratio, "×", f"as full_vs_borg, against {fixed.says}: {seconds:.1f} s")
    shutil.rmtree(fixed.folder)
    every = _fresh_full(bench, holes=True).wall
    says = f"the same reading every block of the image, holes too ({every:.1f} s), against restic"
    bench.report.add("full_every_block_vs_restic", every / bench.typical("restic"), "×", says)
    _fresh_full(bench)


# ---- increments


def _increment(bench: Bench) -> None:
    """1 % of the blocks get new content; the list of changed blocks is known, as from EBS."""
    bench.say("increments of 1 %")
    listed = image.allocated(bench.image)
    changed = sorted(random.Random(image.SEED).sample(listed, max(1, round(len(listed) * CHANGED_SHARE))))
    copy = bench.work / "changed.img"
    command(["cp", "--sparse=always", bench.image, copy])
    image.change(copy, changed)
    before = child("engine.footprint", repo=str(bench.repo)).answer["metadata"]
    seconds = []
    metadata = 0.0
    for number in range(3 * bench.rounds):
        point = UUID(int=2 + number)
        done = child(
            "engine.backup", repo=str(bench.repo), image=str(copy), point=str(point), parent=str(FULL_POINT), changed=changed
        )
        seconds.append(done.answer["engine"])
        if number == 0:
            metadata = child("engine.footprint", repo=str(bench.repo)).answer["metadata"] - before
    copy.unlink()
    took, full = median(seconds), bench.typical("full-engine")
    says = f"begin to commit of {len(changed)} listed blocks, {took * 1000:.0f} ms, against the full's {full:.2f} s"
    bench.report.add("increment_vs_full", took / full, "×", says, 0.03)
    limit = CHANGED_SHARE * len(changed) * BLOCK_SIZE + MIB
    says = "all bytes the increment wrote that are not sealed blocks; limit 1 % of the changed bytes + 1 MiB"
    bench.report.add("increment_metadata", metadata / 1024, "KiB", says, limit / 1024)


# ---- restores


def _restore(bench: Bench) -> None:
    """Of the full backups of the last round, to a new sparse file each time."""
    rivals = [peers.restic(bench.work), peers.borg(bench.work)]
    for number in range(bench.rounds):
        bench.say(f"restores, round {number + 1} of {bench.rounds}")
        _restore_once(bench, rivals, compare=number == 0)
    add, typical = bench.report.add, bench.typical
    add("restore_seconds", typical("restore"), "s", "full restore to a sparse file, the whole process, synced")
    for rival in rivals:
        seconds = typical("r-" + rival.name)
        says = f"time of the whole process against {rival.says}: {seconds:.1f} s (not synced)"
        add(f"restore_vs_{rival.name}", typical("restore") / seconds, "×", says, 1 / 3)
    kernels, written = typical("r-kernels"), typical("r-written")
    says = f"point to synced file, ids verified, against pread, AES-GCM, zstd of the same blocks, not written: {kernels:.2f} s"
    add("restore_vs_kernels", kernels / typical("restore-engine"), "×", says, 0.8, "higher")
    says = f"the same against these kernels with pwrite to a sparse file: {written:.2f} s"
    add("restore_vs_kernels_writing", written / typical("restore-engine"), "×", says)


def _restore_once(bench: Bench, rivals: list[peers.Peer], *, compare: bool) -> None:
    out = bench.work / "out"
    place: dict[str, Any] = {"repo": str(bench.repo), "point": str(FULL_POINT)}
    bench.note("r-kernels", child("kernels.restore", **place).answer["engine"])
    bench.note("r-written", child("kernels.restore", **place, target=str(out)).answer["engine"])
    out.unlink()
    done = child("engine.restore", **place, target=str(out))
    bench.note("restore", done.wall)
    bench.note("restore-engine", done.answer["engine"])
    if compare:
        command(["cmp", bench.image, out])
    out.unlink()
    for rival in rivals:
        bench.note("r-" + rival.name, rival.restore(bench.image, out).wall)
        shutil.rmtree(out)
