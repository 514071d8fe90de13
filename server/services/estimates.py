"""What a policy will cost a month, and what its points really cost now: for policies that are there and for drafts."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from server.domain import keeping, steady
from server.domain.access import Caller, Role
from server.domain.errors import InvalidInput
from server.domain.estimate import Assumptions, Chain, Component, Plan, Row, Shelf, Subject, estimate, totals
from server.domain.policy import Policy
from server.domain.repository import Encryption, Repository, StorageKind
from server.domain.restore import Leg
from server.domain.sla import SlaTerms
from server.domain.templates import StorageTemplate
from server.domain.workload import Resource
from server.ports import Tx
from server.services import learning, policies, policy_checks, prices
from server.services.context import Services
from server.services.prices import Book
from server.services.protection import coverage
from server.services.wording import count

RESOURCES_MAX: Final = 10_000
STOPPING: Final = (
    "schedule",
    "scope.regions",
    "scope.accountId",
    "slaTemplateId",
    "kind",
    "workload",
)  # no runs, or no resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """``rows``: a resource each, the dearest first. ``totals``: USD a month by leg and component. ``notes``: what it rests on,
    in sentences. ``measured``: of how many resources the change rate is known."""

    rows: tuple[Row, ...]
    totals: Mapping[tuple[Leg, Component], float]
    books: tuple[Book, ...]
    assumed: Assumptions
    measured: int = 0
    notes: tuple[str, ...] = ()
    plans: Mapping[str, Plan] = field(default_factory=dict)

    @property
    def usd(self) -> float:
        return sum(self.totals.values())


def of_policy(app: Services, caller: Caller, id: UUID, assumed: Assumptions) -> Estimate:
    """Errors: Forbidden, NotFound, InvalidInput."""
    caller.require(Role.VIEWER)
    _check(assumed)
    with app.store.transaction() as tx:
        return _estimated(app, tx, tx.policies.get(id), assumed)


def of_draft(
    app: Services, caller: Caller, draft: policies.PolicyDraft, assumed: Assumptions, *, id: UUID | None = None
) -> Estimate:
    """``id``: of the policy the draft would replace. What is incomplete costs nothing; ``notes`` say so. Errors: Forbidden,
    NotFound, InvalidInput (assumptions only)."""
    caller.require(Role.VIEWER)
    _check(assumed)
    with app.store.transaction() as tx:
        policy = policies.proposed(app, tx, draft, None if id is None else tx.policies.get(id))
        wrong = policy_checks.problems(app, tx, policy)
        stopping = [text for path, text in wrong.items() if path.startswith(STOPPING)]
        if stopping:
            return Estimate(rows=(), totals={}, books=(), assumed=assumed, notes=tuple(stopping))
        return _estimated(app, tx, policy, assumed)


def _check(assumed: Assumptions) -> None:
    fields = {
        name: "Between 0 and 100 percent."
        for name, percent in (("change", assumed.change), ("used", assumed.used), ("stored", assumed.stored))
        if not 0 <= percent <= 100
    }
    if fields:
        raise InvalidInput("Shares are percent.", fields={f"assumptions.{name}": text for name, text in fields.items()})


def _estimated(app: Services, tx: Tx, policy: Policy, assumed: Assumptions) -> Estimate:
    covered = [resource for resource, _ in coverage(tx, policy).covered]
    terms, storage = policy_checks.templates(tx, policy)
    regions = sorted({resource.region for resource in covered})
    plans = plans_of(tx, policy, terms, storage, regions, app.clock.now())
    books = prices.books(tx, _priced(plans))
    figures = learning.measured(app, tx, [resource.id for resource in covered[:RESOURCES_MAX]])
    subjects = [
        replace(subject(app, policy, resource), measured=figures.get(resource.id, learning.NOTHING))
        for resource in covered[:RESOURCES_MAX]
    ]
    rows = estimate(subjects, plans, {region: book.prices for region, book in books.items()}, assumed)
    return Estimate(
        rows=tuple(sorted(rows, key=lambda row: (-row.usd, row.subject.name))),
        totals=totals(rows),
        books=tuple(books[region] for region in sorted(books)),
        assumed=assumed,
        measured=len(figures),
        notes=tuple(_notes(policy, len(covered), plans, len(figures))),
        plans=plans,
    )


def subject(app: Services, policy: Policy, resource: Resource) -> Subject:
    workload = app.workloads.get(resource.workload)
    disks = workload.sources(resource, policy.scope.excluded_volumes) if workload else ()
    return Subject(
        id=resource.id,
        name=resource.name,
        aws_id=resource.aws_id,
        region=resource.region,
        disks=len(disks),
        encrypted_disks=sum(disk.encrypted for disk in disks),
        size_bytes=sum(disk.size_bytes for disk in disks),
    )


def plans_of(
    tx: Tx, policy: Policy, terms: SlaTerms | None, storage: StorageTemplate | None, regions: Sequence[str], now: datetime
) -> dict[str, Plan]:
    """What the policy does with resources of each Region."""
    named = {region: _repositories(policy, storage, region) for region in regions}
    rows = tx.repositories.many({id for ids in named.values() for id in ids if id is not None})
    found = {}
    chains: dict[str, Mapping[Leg, Chain]] = {}
    for region in regions:
        zoned = region if policy.schedule is None else ""  # a schedule's times are the same for every Region
        if zoned not in chains:
            chains[zoned] = steady.chains(policy, terms, region, now)
        backup, archive = (rows.get(id) if id is not None else None for id in named[region])
        target = keeping.replica_target(policy, region)
        found[region] = Plan(
            region=region,
            chains=chains[zoned],
            tracks_changes=keeping.tracks_changes(policy, terms),
            verify=policy.verify,
            backup=_shelf(backup, region),
            archive=_shelf(archive, region),
            replica=target.region if target else None,
            encrypts=bool(target and target.encrypt),
        )
    return found


def _repositories(policy: Policy, storage: StorageTemplate | None, region: str) -> tuple[UUID | None, UUID | None]:
    return keeping.backup_repository(policy, storage, region), keeping.archive_repository(policy, storage, region)


def _shelf(row: Repository | None, region: str) -> Shelf | None:
    if row is None:
        return None
    return Shelf(
        region=row.region or region,
        storage_class=row.storage_class,
        kms=row.encryption is Encryption.KMS,
        local=row.kind is StorageKind.LOCAL,
    )


def _priced(plans: Mapping[str, Plan]) -> set[str]:
    found = set(plans)
    for plan in plans.values():
        found.update(shelf.region for shelf in (plan.backup, plan.archive) if shelf is not None)
        if plan.replica is not None:
            found.add(plan.replica)
    return found


def _notes(policy: Policy, covered: int, plans: Mapping[str, Plan], measured: int) -> Iterator[str]:
    if not covered:
        yield "The policy covers no resource, so there is nothing to pay for."
    elif covered > RESOURCES_MAX:
        yield f"Only the first {RESOURCES_MAX} of {covered} resources are counted."
    if plans and not any(plan.chains for plan in plans.values()):
        yield "Nothing runs by itself: what is started by hand is not counted."
    if policy.replicas and any(plan.replica is None and Leg.REPLICA in plan.chains for plan in plans.values()):
        yield "Some Regions have no replica target; their replicas are not counted."
    if covered and measured < covered:
        yield f"The change rate of {count(covered - measured, 'resource')} is assumed: no backup has measured it yet."
    if any(plan.backup is not None and plan.backup.local for plan in plans.values()):
        yield "Backups on the appliance's own disk are not counted: AWS charges nothing for them."


# ---- export -----------------------------------------------------------------------------------------------------------

COLUMNS: Final = (
    ("Snapshots", Leg.SNAPSHOT, Component.STORAGE),
    ("Change-tracking base", Leg.SNAPSHOT, Component.BASE),
    ("Replicas", Leg.REPLICA, Component.STORAGE),
    ("Backups", Leg.BACKUP, Component.STORAGE),
    ("Archives", Leg.ARCHIVE, Component.STORAGE),
    ("Early deletion", Leg.ARCHIVE, Component.EARLY_DELETION),
    ("Transfer", None, Component.TRANSFER),
    ("Requests", None, Component.REQUESTS),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a cell that begins so


def as_csv(found: Estimate) -> str:
    """A line per resource and one of totals, USD a month, as RFC 4180 says."""
    text = io.StringIO()
    out = csv.writer(text)
    names = [name for name, _, _ in COLUMNS]
    out.writerow(["Resource", "ID", "Region", "Disks", "GiB", "Change rate", *names, "USD a month"])
    for row in found.rows:
        one = row.subject
        known = "measured" if one.measured.change is not None else "assumed"
        facts = [_cell(one.name), _cell(one.aws_id), one.region, one.disks, f"{one.size_bytes / 2**30:.1f}", known]
        out.writerow([*facts, *_sums(totals([row])), f"{row.usd:.4f}"])
    out.writerow(["Total", "", "", "", "", "", *_sums(found.totals), f"{found.usd:.4f}"])
    return text.getvalue()


def _sums(amounts: Mapping[tuple[Leg, Component], float]) -> Iterator[str]:
    by_component: defaultdict[Component, float] = defaultdict(float)
    for (_, component), usd in amounts.items():
        by_component[component] += usd
    for _, leg, component in COLUMNS:
        usd = by_component[component] if leg is None else amounts.get((leg, component), 0.0)
        yield f"{usd:.4f}"


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def legs(amounts: Mapping[tuple[Leg, Component], float]) -> Iterable[tuple[Leg, dict[Component, float]]]:
    """The totals leg by leg, those that cost something."""
    for leg in Leg:
        found = {component: usd for (one, component), usd in amounts.items() if one is leg}
        if found:
            yield leg, found
