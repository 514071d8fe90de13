"""Rescan: what is in AWS now, written into the inventory, and the snapshots there compared with the restore points known.

One session per account, one task per Region.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import AwsError, InvalidInput
from server.domain.policy import Policy
from server.domain.scope import verdict
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.domain.workload import Account, Found, Resource, place, resource_id
from server.ports import Order, Select, Tx, Where, Workload
from server.services import answering, claims, memberships, rediscovery, runs
from server.services.context import Services
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count, size

BATCH: Final = 200  # resources written per statement
PAGE: Final = 500
REGIONS_MAX: Final = 64
FIRST_REGION: Final = "us-east-1"  # where an account is asked for its Regions when none of its own is known
OPEN_MAX: Final = 50  # running rescans looked at

T = TypeVar("T")


# ---- starting ---------------------------------------------------------------------------------------------------------


def start_rescan(
    app: Services, caller: Caller, account_id: UUID, *, regions: Sequence[str] | None = None, key: str | None = None
) -> Session:
    """Look for resources in ``regions`` (None: all Regions enabled for the account).

    A rescan of the same account that is running and covers the Regions is returned instead of a second one.
    Errors: Forbidden, NotFound, InvalidInput for unknown Regions, and those of AWS.
    """
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        account = tx.accounts.get(account_id)
    enabled = enabled_regions(app, account)
    chosen = sorted(set(regions)) if regions else enabled
    unknown = sorted(set(chosen) - set(enabled))
    if unknown:
        wrong = f"Not enabled for the account: {', '.join(unknown)}. Choose from {', '.join(enabled)}."
        raise InvalidInput(wrong, fields={"regions": wrong})
    with app.store.transaction() as tx:
        return begin_rescan(tx, app, account, chosen, requested_by=caller.name, key=key)


def enabled_regions(app: Services, account: Account) -> list[str]:
    """Names of the Regions the account may use, sorted. Errors: those of AWS."""
    answer = app.aws.call(place(account, FIRST_REGION), "ec2", "describe_regions")
    return sorted(region["RegionName"] for region in answer.get("Regions", ()))


def begin_rescan(
    tx: Tx, app: Services, account: Account, regions: Sequence[str], *, requested_by: str, key: str | None
) -> Session:
    """Add the session, unless one that covers it is open. ``regions`` is not empty and at most REGIONS_MAX."""
    if not 1 <= len(regions) <= REGIONS_MAX:
        wrong = f"Choose between 1 and {REGIONS_MAX} Regions."
        raise InvalidInput(wrong, fields={"regions": wrong})
    tx.accounts.get(account.id, lock=True)  # two requests at once: the second sees the first's session
    running = _running(tx, account, regions)
    if running is not None:
        return running
    draft = runs.SessionDraft(
        kind=SessionKind.RESCAN,
        name=f"Rescan {account.name}",
        requested_by=requested_by,
        key=key,
        document={"accountId": str(account.id), "regions": list(regions)},
        opening=((Level.INFO, f"Looking for resources in {count(len(regions), 'Region')}: {', '.join(regions)}."),),
    )
    tasks = [
        runs.TaskDraft(kind=TaskKind.RESCAN, name=region, document={"accountId": str(account.id), "region": region})
        for region in regions
    ]
    return runs.begin(tx, app, draft, tasks)


def _running(tx: Tx, account: Account, regions: Sequence[str]) -> Session | None:
    where = (Where("kind", "eq", SessionKind.RESCAN), Where("state", "in", (State.PENDING, State.RUNNING)))
    for session in tx.sessions.page(Select(where=where, limit=OPEN_MAX)):
        same = session.document.get("accountId") == str(account.id)
        if same and session.cancel_requested_at is None and set(regions) <= set(session.document.get("regions", ())):
            return session
    return None


# ---- the task ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Counts:
    seen: int = 0
    new: int = 0
    back: int = 0
    gone: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Points:
    """What there is to say of restore points; ``worse``: some were lost, or could not be looked for."""

    imported: int = 0
    lost: int = 0
    worse: bool = False
    lines: list[Line] = field(default_factory=list)


def _step(run: Run) -> Next | Done:
    """Repeated after a crash from the beginning: writing what is there already changes nothing."""
    document = run.task.document
    region, account_id = document["region"], UUID(document["accountId"])
    with run.app.store.transaction() as tx:
        account = tx.accounts.get(account_id)
    answering.require_same(run.app, account, region)  # or all that is known would be gone, and another's be taken for ours
    counts, points = _Counts(), _Points()
    looked_at: set[UUID] = set()
    for kind, workload in sorted(run.app.workloads.items()):
        with run.app.store.transaction() as tx:
            known = {resource.id: resource for resource in _known(tx, account_id, kind, region)}
        missing = {id for id, resource in known.items() if resource.present}
        looked_at |= known.keys()
        for batch in _batches(workload.discover(place(account, region)), BATCH):
            run.check()
            fresh = [_resource(account_id, kind, found, known, run.app.clock.now()) for found in batch]
            with run.app.store.transaction() as tx:
                tx.resources.put(fresh)
            _count(counts, fresh, known)
            written = {resource.id for resource in fresh}
            missing -= written
            looked_at |= written
        _mark_gone(run, [known[id] for id in sorted(missing)])
        counts.gone += len(missing)
        _compare_points(run, account, region, workload, points)
    _join_and_leave(run.app, account_id, region, looked_at)
    return _told(region, counts, points)


def _known(tx: Tx, account_id: UUID, kind: str, region: str) -> Iterator[Resource]:
    where = (Where("account_id", "eq", account_id), Where("workload", "eq", kind), Where("region", "eq", region))
    after: tuple[Any, ...] | None = None
    while True:
        rows = tx.resources.page(Select(where=where, order=(Order("name"),), after=after, limit=PAGE))
        yield from rows
        if len(rows) < PAGE:
            return
        after = (rows[-1].name, rows[-1].id)


def _resource(account_id: UUID, kind: str, found: Found, known: dict[UUID, Resource], now: datetime) -> Resource:
    id = resource_id(account_id, kind, found.region, found.aws_id)
    before = known.get(id)
    return Resource(
        id=id,
        account_id=account_id,
        workload=kind,
        region=found.region,
        aws_id=found.aws_id,
        name=found.name,
        tags=found.tags,
        state=found.state,
        size_bytes=found.size_bytes,
        document=found.document,
        present=True,
        first_seen_at=before.first_seen_at if before else now,
        last_seen_at=now,
    )


def _count(counts: _Counts, fresh: Iterable[Resource], known: dict[UUID, Resource]) -> None:
    for resource in fresh:
        before = known.get(resource.id)
        counts.seen += 1
        counts.bytes += resource.size_bytes
        counts.new += before is None
        counts.back += before is not None and not before.present


def _mark_gone(run: Run, gone: Sequence[Resource]) -> None:
    for batch in _batches(gone, BATCH):
        with run.app.store.transaction() as tx:
            tx.resources.put([replace(resource, present=False) for resource in batch])


def _join_and_leave(app: Services, account_id: UUID, region: str, looked_at: Collection[UUID]) -> None:
    """The resources ``looked_at``, those gone from AWS among them, join the enabled policy that covers them now, and leave
    the others. One transaction per policy, so that its row is held for a moment only."""
    where = (Where("account_id", "eq", account_id), Where("region", "eq", region))
    covered: defaultdict[UUID, set[UUID]] = defaultdict(set)
    with app.store.transaction() as tx:
        every = tx.policies.page(Select(limit=claims.POLICIES_MAX))
        rivals = [one for one in claims.enabled(tx) if one.scope.account_id == account_id]
        for resource in claims.present(tx, where) if rivals else ():
            holder = next((one for one in rivals if _covers(one, resource)), None)
            if holder is not None:
                covered[holder.id].add(resource.id)
    for policy in every:
        if policy.scope.account_id == account_id:
            with app.store.transaction() as tx:
                memberships.refresh(tx, policy, covered[policy.id], app.clock.now(), among=looked_at)


def _covers(policy: Policy, resource: Resource) -> bool:
    return policy.workload == resource.workload and verdict(policy.scope, resource).covered


def _compare_points(run: Run, account: Account, region: str, workload: Workload, points: _Points) -> None:
    """An account whose role may not list snapshots is still rescanned."""
    try:
        found = rediscovery.look(run, account, region, workload)
    except AwsError as refusal:
        points.worse = True
        points.lines.append(Line(f"{region}: restore points were not looked for: {refusal.sentence()}", Level.WARNING))
        return
    harm = found.lost + found.harmed
    points.imported += found.new + found.back
    points.lost += harm
    points.worse |= harm > 0
    if found.changes():
        points.lines.append(Line(f"{region}: {found.changes()}.", Level.WARNING if harm else Level.SUCCESS))
    if found.ignored():
        points.lines.append(Line(f"{region}: left alone: {found.ignored()}."))


def _told(region: str, counts: _Counts, points: _Points) -> Done:
    parts = [f"{count(counts.seen, 'resource')} ({size(counts.bytes)})"]
    changes = ((counts.new, "new"), (counts.back, "back"), (counts.gone, "gone"))
    parts += [f"{number} {what}" for number, what in changes if number]
    text = f"{region}: {', '.join(parts)}."
    result = {"resources": counts.seen, "new": counts.new + counts.back, "gone": counts.gone}
    if points.imported or points.lost:
        result |= {"points": points.imported, "lostPoints": points.lost}
    lines = (Line(text, Level.SUCCESS, result), *points.lines)
    state = State.WARNING if points.worse else State.SUCCESS
    return Done(state=state, message=text, document={"result": result}, lines=lines)


def _batches(items: Iterable[T], length: int) -> Iterator[list[T]]:
    source = iter(items)
    while batch := list(islice(source, length)):
        yield batch


HANDLER: Final = Handler(step=_step)
