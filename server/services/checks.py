"""Looking at what a repository holds, pass by pass, and telling people which points are hurt, where, and which are whole again.

A check of all content is cut into passes over disjoint shares of the blocks, so that it can be stopped, resumed and shares its
worker with backups. What a pass finds is durable before the next one begins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from server.domain.errors import Damaged
from server.domain.health import CheckLevel
from server.domain.repository import Repository
from server.domain.restore import Damage, DamagedRange, Health, PointState, RestorePoint
from server.domain.session import Level, State
from server.ports import Select, Tx, Where
from server.repository import check as engine
from server.repository import layout
from server.repository.control import Control
from server.repository.findings import MAX_FINDINGS, Harm, Problem
from server.repository.repository import Repository as Engine
from server.services import points
from server.services.slots import wait_for_slot
from server.services.steps import Done, Line, Next, Run
from server.services.wording import count, size

PASS_BYTES: Final = 64 << 30  # stored bytes one pass reads at most, about: minutes, not hours
PASSES_MAX: Final = 1000
RANGES_MAX: Final = 20  # damaged ranges kept per point
TOLD_MAX: Final = 100  # problems named in the log
PAGE: Final = 500

Finish = Callable[[Tx, datetime], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``points`` None: all of the repository. With CONTENT, ``share`` of ``shares`` disjoint shares of all blocks is read."""

    level: CheckLevel
    points: tuple[UUID, ...] | None = None
    share: int = 0
    shares: int = 1

    def to_json(self) -> dict[str, Any]:
        chosen = None if self.points is None else [str(id) for id in self.points]
        return {"level": self.level.value, "points": chosen, "share": self.share, "shares": self.shares}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        chosen = data["points"]
        return cls(
            level=CheckLevel(data["level"]),
            points=None if chosen is None else tuple(UUID(id) for id in chosen),
            share=data["share"],
            shares=data["shares"],
        )


# ---- the step ---------------------------------------------------------------------------------------------------------


def step(run: Run, *, finish: Finish | None = None) -> Next | Done:
    """One pass of a CHECK_REPOSITORY or CHECK_CHAIN task, whose document holds ``repositoryId`` and ``plan``. ``finish`` is
    written with the task's end.
    """
    document = run.task.document
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(UUID(document["repositoryId"]))
    plan = Plan.from_json(document["plan"])
    if not run.app.data_slots.acquire(blocking=False):
        return wait_for_slot(run, run.task.stage)
    try:
        found = _pass(run, row, plan)
    finally:
        run.app.data_slots.release()
    if found.done < found.passes:
        run.progress(done=found.done, total=found.passes)
        following = {**document, "found": found.to_json()}
        return Next(stage=run.task.stage, document=following, message=f"Checked {found.done} of {found.passes} parts.")
    return _told(run, row, plan, found, finish)


@dataclass(slots=True)
class _Found:
    """What the passes so far found. ``problems``: digest → whether it costs data (locks that are too short do not, yet);
    ``harmed``: points; ``overflow``: there was more than a check looks at, so that nobody can be said to be whole."""

    passes: int
    done: int = 0
    problems: dict[str, bool] = field(default_factory=dict)
    harmed: set[str] = field(default_factory=set)
    overflow: bool = False

    @property
    def hurting(self) -> int:
        return sum(self.problems.values())

    def add(self, problems: Sequence[Problem], harm: Iterable[UUID]) -> list[Problem]:
        """Those that are new: a thing may be met in every pass."""
        fresh = [each for each in problems if _digest(each) not in self.problems]
        self.problems.update((_digest(each), bool(each.harm)) for each in fresh[:MAX_FINDINGS])
        self.harmed.update(str(id) for id in harm)
        ended = len(problems) >= MAX_FINDINGS or any(each.unfinished for each in problems)
        self.overflow = self.overflow or ended
        self.done += 1
        return fresh

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "harmed": sorted(self.harmed)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> _Found:
        return cls(**{**data, "harmed": set(data["harmed"])})


def _digest(problem: Problem) -> str:
    return blake2b(f"{problem.object} {problem.message}".encode(), digest_size=8).hexdigest()


def _passes(row: Repository, plan: Plan) -> int:
    """One; with CONTENT one for availability, and more into which the reading of the blocks is cut."""
    if plan.level is not CheckLevel.CONTENT:
        return 1
    return 1 + max(1, min(PASSES_MAX, -(-row.stored_bytes // (PASS_BYTES * plan.shares))))


def _pass(run: Run, row: Repository, plan: Plan) -> _Found:
    told = run.task.document.get("found")
    found = _Found.from_json(told) if told is not None else _Found(_passes(row, plan))
    level, sample = plan.level, None
    if plan.level is CheckLevel.CONTENT and found.done == 0:
        level = CheckLevel.AVAILABLE
    elif plan.level is CheckLevel.CONTENT:
        parts = plan.shares * (found.passes - 1)
        sample = engine.Sample(plan.share + plan.shares * (found.done - 1), parts) if parts > 1 else None
    problems = _examined(run, row, plan, level, sample)
    harm = _by_point(problems)
    note(run, harm)
    already = len(found.problems)
    _log(run, row, found.add(problems, harm), already=already)
    return found


def _examined(run: Run, row: Repository, plan: Plan, level: CheckLevel, sample: engine.Sample | None) -> list[Problem]:
    """What is wrong, recorded for healing. Packs that somebody deleted past us, in a bucket with versions, are brought back and
    looked at again."""
    repository = run.app.open_repository(row)
    control, chosen = Control(cancelled=run.halted), _present(run, plan)
    problems = list(engine.check(repository, level.value, points=chosen, sample=sample, control=control))
    if row.immutable and problems:
        revealed = engine.undelete(repository, problems)
        if revealed:
            text = f"{row.name}: {count(len(revealed), 'object')} deleted or overwritten by others brought back."
            run.log(text, Level.WARNING)
            problems = list(engine.check(repository, level.value, points=chosen, sample=sample, control=control))
    engine.record(repository, problems)
    return problems


def _present(run: Run, plan: Plan) -> Collection[UUID] | None:
    """Of the points named, those that were not deleted meanwhile."""
    if plan.points is None:
        return None
    with run.app.store.transaction() as tx:
        found = tx.points.many(plan.points)
    return [id for id, point in found.items() if point.state is PointState.AVAILABLE]


def _by_point(problems: Iterable[Problem]) -> dict[UUID, list[Harm]]:
    harm: defaultdict[UUID, list[Harm]] = defaultdict(list)
    for problem in problems:
        for each in problem.harm:
            harm[each.point_id].append(each)
    return dict(harm)


# ---- what becomes of the points ---------------------------------------------------------------------------------------


def note(run: Run, harm: Mapping[UUID, Sequence[Harm]]) -> None:
    """Mark the points that are hurt INCOMPLETE, durably, with the first ranges."""
    now = run.app.clock.now()
    for id, items in harm.items():
        with run.app.store.transaction() as tx:
            if id not in tx.points.many([id]):
                continue  # in the repository, and not imported yet
            point = tx.points.get(id, lock=True)
            tx.points.save(replace(point, health=Health.INCOMPLETE, damage=_damage(point, items, now)))


def remember(repository: Engine, problems: Sequence[Problem]) -> None:
    """Record damage found outside a check, so that the next backup heals it."""
    engine.record(repository, problems)


def of_manifest(point_id: UUID, damaged: Damaged) -> Problem:
    """A point whose manifest cannot be read."""
    return Problem(layout.point(point_id), damaged.message, (Harm(point_id, "", 0, 0),))


def _damage(point: RestorePoint, items: Sequence[Harm], now: datetime) -> Damage:
    """With what was found before: passes look at different blocks."""
    before = point.damage.ranges if point.damage else ()
    ranges = list(dict.fromkeys([*before, *(DamagedRange(disk_id=h.disk_id, start=h.start, end=h.end) for h in items)]))
    more = (point.damage.more if point.damage else 0) + max(0, len(ranges) - RANGES_MAX)
    return Damage(found_at=now, ranges=tuple(ranges[:RANGES_MAX]), more=more)


def heal(tx: Tx, ids: Collection[UUID]) -> int:
    """Mark INCOMPLETE points among ``ids`` HEALTHY; how many."""
    healed = 0
    wanted = list(ids)
    for at in range(0, len(wanted), PAGE):
        where = (Where("id", "in", wanted[at : at + PAGE]), Where("health", "eq", Health.INCOMPLETE))
        for point in tx.points.page(Select(where=where, limit=PAGE)):
            tx.points.save(replace(point, health=Health.HEALTHY, damage=None))
            healed += 1
    return healed


def look_again(run: Run, repository_id: UUID) -> tuple[int, int]:
    """Read again what is recorded as damaged in the points known to be hurt; how many are whole again, and how many are not."""
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(repository_id)
        hurt = {point.id for point in incomplete(tx, repository_id)}
    repository = run.app.open_repository(row)
    control = Control(cancelled=run.halted)
    problems = list(engine.check(repository, CheckLevel.STRUCTURE.value, points=hurt, control=control))
    engine.record(repository, problems)
    whole = set() if any(each.unfinished for each in problems) else _there(repository, hurt) - _by_point(problems).keys()
    with run.app.store.transaction() as tx:
        healed = heal(tx, whole)
    return healed, len(hurt) - len(whole)


def _there(repository: Engine, ids: Iterable[UUID]) -> set[UUID]:
    """Those whose manifests are there: a check says nothing of the others."""
    vault = repository.vault
    return {id for id in ids if vault.patiently(partial(vault.blobs.head, layout.point(id))) is not None}


def incomplete(tx: Tx, repository_id: UUID, *also: Where) -> list[RestorePoint]:
    """Points of a repository that are known to be hurt, at most PAGE."""
    where = (
        Where("repository_id", "eq", repository_id),
        Where("state", "eq", PointState.AVAILABLE),
        Where("health", "eq", Health.INCOMPLETE),
        *also,
    )
    return tx.points.page(Select(where=where, limit=PAGE))


# ---- telling ----------------------------------------------------------------------------------------------------------


def _log(run: Run, row: Repository, problems: Sequence[Problem], *, already: int) -> None:
    with run.app.store.transaction() as tx:
        known = tx.points.many({each.point_id for problem in problems for each in problem.harm})
    for problem in problems[: max(0, TOLD_MAX - already)]:
        level = Level.ERROR if problem.harm else Level.WARNING
        run.log(f"{row.name}: {problem.message} {_hurt(problem, known)}".rstrip(), level, object=problem.object)


def _hurt(problem: Problem, known: Mapping[UUID, RestorePoint]) -> str:
    hurt = {each.point_id for each in problem.harm}
    if not hurt:
        return ""
    first = problem.harm[0]
    point = known.get(first.point_id)
    name = points.describe(point) if point else f"The point {first.point_id}"
    where = f"disk {first.disk_id}, bytes {first.start} to {first.end}" if first.disk_id else "all of it"
    text = f"{name} cannot be restored whole: {where}."
    return text if len(hurt) == 1 else f"{text} {count(len(hurt) - 1, 'other point')} too."


def _told(run: Run, row: Repository, plan: Plan, found: _Found, finish: Finish | None) -> Done:
    now = run.app.clock.now()
    healed = 0
    if not found.overflow:
        with run.app.store.transaction() as tx:
            hurt = {point.id for point in incomplete(tx, row.id)} - {UUID(id) for id in found.harmed}
        whole = _there(run.app.open_repository(row), hurt if plan.points is None else hurt & set(plan.points))
        with run.app.store.transaction() as tx:
            healed = heal(tx, whole)

    def change(tx: Tx) -> None:
        if finish is not None:
            finish(tx, now)

    text = f"{row.name}: {_verdict(plan, found)}"
    if healed:
        text += f" {count(healed, 'point')} healthy again."
    result = {"problems": len(found.problems), "incompletePoints": len(found.harmed), "healedPoints": healed}
    state = State.ERROR if found.hurting else State.WARNING if found.problems else State.SUCCESS
    line = Line(text, _LEVELS[state], result)
    return Done(state=state, message=text, document={"result": result}, lines=(line,), change=change)


_LEVELS = {State.ERROR: Level.ERROR, State.WARNING: Level.WARNING, State.SUCCESS: Level.SUCCESS}


def _verdict(plan: Plan, found: _Found) -> str:
    if found.hurting:
        harmed = count(len(found.harmed), "restore point")
        return f"{count(found.hurting, 'damaged or missing object')}; {harmed} incomplete."
    if found.problems:
        return f"nothing is lost, but {count(len(found.problems), 'object')} not as it should be."
    looked = {
        CheckLevel.STRUCTURE: "every manifest and tree was read",
        CheckLevel.AVAILABLE: "every manifest and tree was read, every pack is there",
        CheckLevel.CONTENT: "every block was read"
        if plan.shares == 1
        else f"every pack is there, and one of {plan.shares} shares of the blocks was read",
    }[plan.level]
    return f"no damage found; {looked}."


def opening(row: Repository, plan: Plan) -> str:
    """The first line of a check's log."""
    what = {
        CheckLevel.STRUCTURE: "Reading the manifests and trees",
        CheckLevel.AVAILABLE: "Reading the manifests and trees, and asking for every pack,",
        CheckLevel.CONTENT: "Reading the manifests, trees and blocks",
    }[plan.level]
    which = f"{count(len(plan.points), 'restore point')} in {row.name}" if plan.points is not None else row.name
    share = f"; of the blocks share {plan.share + 1} of {plan.shares}" if plan.shares > 1 else ""
    return f"{what} of {which} ({size(row.stored_bytes)} stored){share}."
