"""Looking at what a repository holds, pass by pass, and telling people: which points are hurt, where, and which are whole again.

A check of all content is cut into passes over disjoint shares of the blocks, so that it can be stopped, resumed and shares its
worker with backups. What a pass finds is durable before the next one begins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from server.domain.health import CheckLevel
from server.domain.repository import Repository
from server.domain.restore import Damage, DamagedRange, Health, PointState, RestorePoint
from server.domain.session import Level, State
from server.ports import Select, Tx, Where
from server.repository.check import Harm, Problem, Sample, check, record
from server.repository.control import Control
from server.repository.repository import Repository as Engine
from server.services import backups, points
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

    @property
    def whole(self) -> bool:
        """Whether every block is read: only then a point that was hurt can be said to be whole again."""
        return self.level is CheckLevel.CONTENT and self.shares == 1

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


def step(run: Run, *, finish: Finish) -> Next | Done:
    """One pass of a CHECK_REPOSITORY or CHECK_CHAIN task, whose document holds ``repositoryId`` and ``plan``. ``finish`` is
    written with the task's end."""
    document = run.task.document
    with run.app.store.transaction() as tx:
        row = tx.repositories.get(UUID(document["repositoryId"]))
    plan = Plan.from_json(document["plan"])
    if not run.app.data_slots.acquire(blocking=False):
        return backups.wait_for_slot(run, run.task.stage)
    try:
        found = _pass(run, row, plan)
    finally:
        run.app.data_slots.release()
    harmed = sorted({*document.get("harmed", ()), *found.harmed})
    done, total = int(document.get("done", 0)) + 1, _passes(row, plan)
    problems = int(document.get("problems", 0)) + found.problems
    following = {**document, "done": done, "harmed": harmed, "problems": problems}
    if done < total:
        run.progress(done=done, total=total)
        return Next(stage=run.task.stage, document=following, message=f"Checked {done} of {total} parts.")
    return _told(run, row, plan, following, finish)


def _passes(row: Repository, plan: Plan) -> int:
    if plan.level is not CheckLevel.CONTENT:
        return 1
    return max(1, min(PASSES_MAX, -(-row.stored_bytes // (PASS_BYTES * plan.shares))))


@dataclass(frozen=True, slots=True)
class _Found:
    problems: int
    harmed: frozenset[str]


def _pass(run: Run, row: Repository, plan: Plan) -> _Found:
    repository = run.app.open_repository(row)
    number, total = int(run.task.document.get("done", 0)), _passes(row, plan)
    sample = None
    if plan.level is CheckLevel.CONTENT and plan.shares * total > 1:
        sample = Sample(plan.share + plan.shares * number, plan.shares * total)
    control = Control(cancelled=run.halted)
    problems = list(check(repository, plan.level.value, points=_present(run, plan), sample=sample, control=control))
    record(repository, problems)
    harm = _by_point(problems)
    note(run, harm)
    _log(run, row, problems, already=int(run.task.document.get("problems", 0)))
    return _Found(len(problems), frozenset(str(id) for id in harm))


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
        run.log(f"{row.name}: {problem.message} {_hurt(problem, known)}", Level.ERROR, object=problem.object)


def _hurt(problem: Problem, known: Mapping[UUID, RestorePoint]) -> str:
    hurt = {each.point_id for each in problem.harm}
    if not hurt:
        return "No restore point needs it."
    first = problem.harm[0]
    point = known.get(first.point_id)
    name = points.describe(point) if point else f"The point {first.point_id}"
    where = f"disk {first.disk_id}, bytes {first.start} to {first.end}" if first.disk_id else "all of it"
    text = f"{name} cannot be restored whole: {where}."
    return text if len(hurt) == 1 else f"{text} {count(len(hurt) - 1, 'other point')} too."


def _told(run: Run, row: Repository, plan: Plan, document: Mapping[str, Any], finish: Finish) -> Done:
    now = run.app.clock.now()
    harmed = {UUID(id) for id in document["harmed"]}
    healed = 0
    if plan.whole:
        with run.app.store.transaction() as tx:
            hurt = {point.id for point in incomplete(tx, row.id)} - harmed
            healed = heal(tx, hurt if plan.points is None else hurt & set(plan.points))

    def change(tx: Tx) -> None:
        finish(tx, now)

    problems = int(document["problems"])
    text = f"{row.name}: {_verdict(plan, problems, len(harmed))}"
    if healed:
        text += f" {count(healed, 'point')} healthy again."
    result = {"problems": problems, "incompletePoints": len(harmed), "healedPoints": healed}
    state = State.ERROR if problems else State.SUCCESS
    line = Line(text, Level.ERROR if problems else Level.SUCCESS, result)
    return Done(state=state, message=text, document={"result": result}, lines=(line,), change=change)


def _verdict(plan: Plan, problems: int, harmed: int) -> str:
    if problems:
        return f"{count(problems, 'damaged or missing object')}; {count(harmed, 'restore point')} incomplete."
    looked = {
        CheckLevel.STRUCTURE: "every manifest and tree was read",
        CheckLevel.AVAILABLE: "every manifest and tree was read, every pack is there",
        CheckLevel.CONTENT: "every block was read" if plan.shares == 1 else f"one of {plan.shares} shares of the blocks was read",
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
