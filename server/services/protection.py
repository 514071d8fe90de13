"""Policy runs: who is protected, which legs are made where, and what their points count for.

A run is one session with a PROTECT task per covered resource (``protecting``) and a RETENTION task that waits for them. An SLA
policy's run covers the Regions whose promises are due; runs of other Regions go on beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from server.domain import keeping
from server.domain import legs as legs_of
from server.domain.access import Caller, Role
from server.domain.codec import to_json
from server.domain.errors import Conflict, InvalidInput
from server.domain.owed import Owed
from server.domain.periods import Frequency
from server.domain.policy import Policy, PolicyKind, rank
from server.domain.reasons import CLAIMED
from server.domain.restore import Leg
from server.domain.retention import Rules
from server.domain.schedule import NO_FLAGS, Flags, manual_flags
from server.domain.scope import verdict
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.domain.sla import SlaTerms
from server.domain.templates import StorageTemplate
from server.domain.workload import Resource
from server.ports import Order, Select, Tx, Where
from server.services import memberships, run_terms, runs, stand_ins
from server.services.context import Services
from server.services.policy_terms import storage_of, terms_of
from server.services.run_terms import RunTerms
from server.services.wording import count, size

PAGE: Final = 500  # resources read at a time
POLICIES_MAX: Final = 1000  # rivals looked at: more policies than an appliance has
RUNS_MAX: Final = 100  # open runs of one policy: at most one per Region

# ---- who --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Whom a run of a policy protects: ``covered`` with the reason, ``claimed`` with the policy that comes first. ``seen``: all
    resources that were looked at."""

    covered: tuple[tuple[Resource, str], ...]
    claimed: tuple[tuple[Resource, Policy], ...]
    seen: frozenset[UUID] = frozenset()


def coverage(tx: Tx, policy: Policy, regions: Collection[str] | None = None) -> Coverage:
    """Resolve the scope of ``policy`` now, in some of its Regions or all, minus what enabled policies that come first claim."""
    rivals = _rivals(tx, policy)
    covered, claimed, seen = [], [], set()
    for resource in _candidates(tx, policy, policy.scope.regions if regions is None else tuple(regions)):
        seen.add(resource.id)
        answer = verdict(policy.scope, resource)
        if not answer.covered:
            continue
        rival = next((each for each in rivals if verdict(each.scope, resource).covered), None)
        if rival is None:
            covered.append((resource, answer.reason))
        else:
            claimed.append((resource, rival))
    return Coverage(covered=tuple(covered), claimed=tuple(claimed), seen=frozenset(seen))


def _candidates(tx: Tx, policy: Policy, regions: tuple[str, ...]) -> Iterator[Resource]:
    where = (
        Where("account_id", "eq", policy.scope.account_id),
        Where("workload", "eq", policy.workload),
        Where("region", "in", regions),
        Where("present", "eq", True),
    )
    after: tuple[Any, ...] | None = None
    while True:
        rows = tx.resources.page(Select(where=where, order=(Order("name"),), after=after, limit=PAGE))
        yield from rows
        if len(rows) < PAGE:
            return
        after = (rows[-1].name, rows[-1].id)


def _rivals(tx: Tx, policy: Policy) -> list[Policy]:
    """Enabled policies that come before this one, first first."""
    where = (Where("workload", "eq", policy.workload), Where("enabled", "eq", True))
    rows = tx.policies.page(Select(where=where, limit=POLICIES_MAX))
    return sorted((each for each in rows if each.id != policy.id and rank(each) < rank(policy)), key=rank)


# ---- starting ---------------------------------------------------------------------------------------------------------


def start_policy(
    app: Services,
    caller: Caller,
    policy_id: UUID,
    *,
    backup: bool = True,
    archive: bool = False,
    reason: str = "",
    dry_run: bool = False,
    key: str | None = None,
) -> Session | None:
    """Run a policy now, disabled or not: snapshots, their replicas where it names targets, and what else is asked for.
    None when ``dry_run``.

    Errors: Forbidden, NotFound, InvalidInput when it has no archive repository, Conflict while its previous run is not over.
    """
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        policy = tx.policies.get(policy_id, lock=True)
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        refuse_while_running(tx, policy)
        storage = storage_of(tx, policy)
        if archive and not _archives(policy, storage):
            wrong = f"{policy.name} has no archive repository."
            raise InvalidInput(wrong, fields={"archive": wrong})
        if dry_run:
            return None
        legs = {Leg.SNAPSHOT, Leg.REPLICA} | ({Leg.BACKUP} if backup else set()) | ({Leg.ARCHIVE} if archive else set())
        flags = _flags_by_hand(policy, terms_of(tx, policy), frozenset(legs))
        order = RunOrder(requested_by=caller.name, reason=reason, flags=flags, retries=0, key=key)
        return start_run(tx, app, policy, order, next_run_at=policy.next_run_at)


def _archives(policy: Policy, storage: StorageTemplate | None) -> bool:
    return any(keeping.archive_repository(policy, storage, region) is not None for region in policy.scope.regions)


def _flags_by_hand(policy: Policy, terms: SlaTerms | None, legs: frozenset[Leg]) -> Flags:
    """What a run started by hand counts for. An SLA policy makes the legs its template keeps, counted as the most frequent of
    what is kept: daily ones, where it has any."""
    if policy.kind is PolicyKind.SCHEDULE:
        return manual_flags(policy.schedule, legs)
    rules = keeping.rules(policy, terms)
    found: dict[Leg, frozenset[Frequency]] = {Leg.SNAPSHOT: NO_FLAGS}
    for leg in Leg:
        kept = [frequency for frequency in Frequency if frequency in rules.get(leg, {})]
        if leg in legs and kept:
            found[leg] = frozenset(kept[:1])
    return MappingProxyType(found)


def refuse_while_running(tx: Tx, policy: Policy, regions: Collection[str] | None = None) -> None:
    """Conflict while a run of the policy in any of its Regions (of ``regions``) is not over."""
    for session in open_runs(tx, policy.id):
        if regions is None or not _regions(session, policy).isdisjoint(regions):
            raise Conflict(
                f"The policy {policy.name} is still running, since {session.created_at:%Y-%m-%d %H:%M} UTC.",
                remedy="Wait for the session to end, or cancel it.",
            )


def open_runs(tx: Tx, policy_id: UUID) -> list[Session]:
    """Runs of the policy that are not over, oldest first."""
    where = (
        Where("policy_id", "eq", policy_id),
        Where("kind", "eq", SessionKind.POLICY_RUN),
        Where("state", "in", (State.PENDING, State.RUNNING)),
    )
    return tx.sessions.page(Select(where=where, order=(Order("created_at"),), limit=RUNS_MAX))


def busy_regions(tx: Tx, policy: Policy) -> set[str]:
    return {region for session in open_runs(tx, policy.id) for region in _regions(session, policy)}


def _regions(session: Session, policy: Policy) -> set[str]:
    return set(session.document.get("regions", policy.scope.regions))


# ---- a run ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """How a run was asked for. ``flags``: the legs it makes and what their points count for. ``slot_at``: when it was planned,
    None by hand; ``slots``: of each leg, where they differ. ``retries``: further attempts at legs that fail (scheduled runs
    only). ``regions`` None: all of the policy's."""

    requested_by: str
    reason: str = ""
    flags: Flags
    slot_at: datetime | None = None
    slots: Mapping[Leg, datetime] | None = None
    retries: int
    regions: tuple[str, ...] | None = None
    key: str | None = None
    remarks: tuple[tuple[Level, str], ...] = ()


def start_run(tx: Tx, app: Services, policy: Policy, order: RunOrder, *, next_run_at: datetime | None) -> Session:
    """Add the run's session and tasks and note it in the policy (whose row the transaction holds)."""
    now = app.clock.now()
    terms = terms_of(tx, policy)
    regions = policy.scope.regions if order.regions is None else order.regions
    found = coverage(tx, policy, regions)
    among = None if set(regions) == set(policy.scope.regions) else found.seen
    memberships.refresh(tx, policy, [each.id for each, _ in found.covered], order.slot_at or now, among=among)
    taken = RunTerms.taken(policy, track=keeping.tracks_changes(policy, terms))
    owed = _owed(tx, policy, terms, order, found)
    whose = {resource.id: (resource.region, owed.get(resource.id, ())) for resource, _ in found.covered}
    kinds: set[_Kind] = {*((region, ()) for region in regions), *whose.values()}
    places = _places(policy, storage_of(tx, policy), keeping.rules(policy, terms), order, kinds, now)
    drafts = [_protect_draft(policy, taken, places[whose[resource.id]], resource) for resource, _ in found.covered]
    drafts.append(_retention_draft(policy, taken, places.values(), waits=bool(drafts)))
    made = {leg for each in places.values() for leg in each.flags}
    draft = runs.SessionDraft(
        kind=SessionKind.POLICY_RUN,
        name=policy.name,
        requested_by=order.requested_by,
        reason=order.reason,
        policy_id=policy.id,
        key=order.key,
        document={
            **{leg.value: leg in made for leg in Leg},
            "regions": list(regions),
            "slotAt": order.slot_at.isoformat() if order.slot_at else None,
            run_terms.KEY: to_json(taken),
        },
        opening=(*order.remarks, *_opening(policy, found, made)),
    )
    session = runs.begin(tx, app, draft, drafts)
    noted = replace(policy, last_session_id=session.id, next_run_at=next_run_at, revision=policy.revision + 1)
    tx.policies.save(noted)
    return session


_Kind = tuple[str, tuple[Owed, ...]]  # a Region, and what is owed there besides the order


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What a run does in one Region, for resources that are owed the same. ``document``: what their tasks are given."""

    flags: Flags
    document: Mapping[str, Any]


def _owed(tx: Tx, policy: Policy, terms: SlaTerms | None, order: RunOrder, found: Coverage) -> dict[UUID, tuple[Owed, ...]]:
    """What the run makes up for besides, by resource: promises of an SLA template of which nothing came earlier."""
    if terms is None or order.slots is None:
        return {}
    return stand_ins.found(tx, policy, terms, order.flags, order.slots, (resource for resource, _ in found.covered))


def _places(
    policy: Policy, storage: StorageTemplate | None, rules: Rules, order: RunOrder, kinds: Iterable[_Kind], now: datetime
) -> dict[_Kind, _Place]:
    at = order.slot_at or now
    return {
        (region, owed): _place(policy, storage, rules, _with(order, owed) if owed else order, region, at)
        for region, owed in kinds
    }


def _with(order: RunOrder, owed: Iterable[Owed]) -> RunOrder:
    flags, slots = dict(order.flags), dict(order.slots or {})
    for one in owed:
        flags[one.leg] = flags.get(one.leg, NO_FLAGS) | one.flags
        slots[one.leg] = one.slot
    return replace(order, flags=flags, slots=slots)


def _place(policy: Policy, storage: StorageTemplate | None, rules: Rules, order: RunOrder, region: str, at: datetime) -> _Place:
    repository = keeping.backup_repository(policy, storage, region)
    archive = keeping.archive_repository(policy, storage, region)
    target = keeping.replica_target(policy, region)
    possible = {Leg.SNAPSHOT: True, Leg.REPLICA: target, Leg.BACKUP: repository, Leg.ARCHIVE: repository and archive}
    wanted = {leg: order.flags.get(leg, NO_FLAGS) for leg in Leg if leg in order.flags or leg is Leg.SNAPSHOT}
    flags = {leg: marks for leg, marks in wanted.items() if possible[leg]}
    if Leg.ARCHIVE in flags:
        flags.setdefault(Leg.BACKUP, NO_FLAGS)  # a temporary one, to be archived
    flags = {leg: flags[leg] for leg in Leg if leg in flags}
    document = {
        "region": region,
        "flags": {leg.value: [flag.value for flag in Frequency if flag in marks] for leg, marks in flags.items()},
        "slots": {leg.value: slot.isoformat() for leg in flags if (slot := _slot(order, leg)) is not None},
        "repository": str(repository) if Leg.BACKUP in flags else None,
        "kept": run_terms.kept(rules, Leg.BACKUP, flags, at),
        "archive": str(archive) if Leg.ARCHIVE in flags else None,
        "archiveKept": run_terms.kept(rules, Leg.ARCHIVE, flags, at),
        "replica": to_json(target) if Leg.REPLICA in flags else None,
        "retries": order.retries,
        "attempt": 0,
    }
    return _Place(flags=MappingProxyType(flags), document=MappingProxyType(document))


def _slot(order: RunOrder, leg: Leg) -> datetime | None:
    return order.slot_at if order.slots is None else order.slots.get(leg)


def _protect_draft(policy: Policy, taken: RunTerms, where: _Place, resource: Resource) -> runs.TaskDraft:
    legs = legs_of.planned(where.flags, guest=taken.scripts, verify=policy.verify)
    return runs.TaskDraft(
        kind=TaskKind.PROTECT,
        name=resource.name or resource.aws_id,
        resource_id=resource.id,
        progress_total=resource.size_bytes if Leg.BACKUP in where.flags else 0,
        document={**where.document, "legs": legs_of.to_json(legs)},
    )


def _retention_draft(policy: Policy, taken: RunTerms, places: Iterable[_Place], *, waits: bool) -> runs.TaskDraft:
    """A temporary snapshot that nobody will compare with goes as soon as the run is over, whatever windows are open."""
    temporary = not taken.track and any(not each.flags[Leg.SNAPSHOT] for each in places)
    document = {"policyId": str(policy.id)} if temporary else {}
    return runs.TaskDraft(kind=TaskKind.RETENTION, name="Retention", waits=waits, document=document)


def _opening(policy: Policy, found: Coverage, made: Collection[Leg]) -> Iterator[tuple[Level, str]]:
    names = [f"{leg.value}s" for leg in Leg if leg in made or leg is Leg.SNAPSHOT]
    what = ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
    if found.covered:
        total = sum(resource.size_bytes for resource, _ in found.covered)
        yield Level.INFO, f"{policy.name}: making {what} of {count(len(found.covered), 'resource')} ({size(total)} of disks)."
    else:
        yield Level.WARNING, f"{policy.name}: no resource is covered now. Rescan the account, or widen the policy's scope."
    for resource, rival in found.claimed:
        yield Level.INFO, f"{resource.name or resource.aws_id}: {CLAIMED}: {rival.name}"
