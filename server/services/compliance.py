"""How much of their promises SLA policies kept: charts of many policies in a few statements, and what is behind one entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from itertools import islice
from typing import Final
from uuid import UUID

from server.domain import compliance
from server.domain.access import Caller, Role
from server.domain.compliance import Due, Entry, Era, SlaState, Span, Standing
from server.domain.errors import InvalidInput
from server.domain.periods import Frequency
from server.domain.policy import Policy, PolicyKind
from server.domain.promises import Asked, Kept
from server.domain.restore import Leg
from server.domain.session import State
from server.ports import Order, Select, Tx, Where
from server.services.context import Services

VERSIONS_MAX: Final = 10_000
RUNNING_MAX: Final = 1000  # sessions not over yet
SESSIONS_SHOWN: Final = 10  # newest, of one instance in one entry
FIRST_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Chart:
    """What is asked of each policy. ``as_it_was``: by the terms in force at each moment, else by today's."""

    leg: Leg
    frequency: Frequency
    as_it_was: bool = False

    @property
    def judged(self) -> Frequency:
        return compliance.chart_frequency(self.leg, self.frequency)


@dataclass(frozen=True, slots=True)
class _Question:
    """One entry of one policy's chart. ``due``: by the number under which the database answers for it."""

    policy_id: UUID
    span: Span
    due: dict[int, Due]
    target: int


@dataclass(frozen=True, slots=True)
class Judged:
    """One instance in one entry. ``sessions``: ids of the newest that tried; some may be gone from the log."""

    standing: Standing
    state: SlaState
    sessions: tuple[UUID, ...]


# ---- charts -----------------------------------------------------------------------------------------------------------


def charts(
    app: Services, caller: Caller, wanted: Sequence[Policy], chart: Chart, last: int | None = None
) -> dict[UUID, list[Entry]]:
    """Per policy the ``last`` entries (None: as many as a chart has), oldest first; none for policies of the other kind.

    A chart takes the same few statements for one policy or all of them. Errors: Forbidden, InvalidInput.
    """
    caller.require(Role.VIEWER)
    length = _length(chart, last)
    promising = [one for one in wanted if one.kind is PolicyKind.SLA]
    asked: list[Asked] = []
    with app.store.transaction() as tx:
        history, running = _history(tx, promising, chart), _running(tx, promising)
        questions = [
            question
            for policy in promising
            for question in _questions(policy, history[policy.id], chart, length, running[policy.id], app.clock.now(), asked)
        ]
        kept = _by_question(tx.promises.kept(chart.leg, asked) if asked else [])
    found: dict[UUID, list[Entry]] = {policy.id: [] for policy in wanted}
    for question in questions:
        standings = compliance.standings(question.due, _answers(kept, question))
        entry = compliance.entry(question.span, question.due.values(), standings, question.target)
        found[question.policy_id].insert(0, entry)  # newest are asked first
    return found


def _length(chart: Chart, last: int | None) -> int:
    if chart.judged not in compliance.ENTRIES:
        text = "Promises are judged by the day, the week or the month."
        raise InvalidInput(text, fields={"period": text})
    most = compliance.ENTRIES[chart.judged]
    if last is not None and not 1 <= last <= most:
        raise InvalidInput(f"last must be 1 to {most}, not {last}.", fields={"last": f"1 to {most}."})
    return last or most


def _history(tx: Tx, policies: Sequence[Policy], chart: Chart) -> dict[UUID, list[Era]]:
    if chart.as_it_was:
        ids = {use.template_id for policy in policies for use in policy.runs.templates}
        versions = tx.sla_versions.page(Select(where=(Where("template_id", "in", list(ids)),), limit=VERSIONS_MAX))
        return {policy.id: compliance.eras(policy.runs.templates, versions) for policy in policies}
    templates = tx.sla_templates.many(one.sla_template_id for one in policies if one.sla_template_id is not None)
    return {
        one.id: compliance.always(templates[one.sla_template_id].terms) for one in policies if one.sla_template_id is not None
    }


def _running(tx: Tx, policies: Sequence[Policy]) -> dict[UUID, set[datetime]]:
    """For when the sessions were planned that are not over yet."""
    where = (
        Where("policy_id", "in", [one.id for one in policies]),
        Where("state", "in", (State.PENDING, State.RUNNING)),
    )
    found: defaultdict[UUID, set[datetime]] = defaultdict(set)
    for session in tx.sessions.page(Select(where=where, order=(Order("created_at"),), limit=RUNNING_MAX)):
        planned = session.document.get("slotAt")
        if session.policy_id is not None:
            found[session.policy_id].add(session.created_at if planned is None else datetime.fromisoformat(planned))
    return found


def _questions(
    policy: Policy,
    history: Sequence[Era],
    chart: Chart,
    length: int,
    running: set[datetime],
    now: datetime,
    asked: list[Asked],
) -> list[_Question]:
    """The newest ``length`` periods that are over, newest first. What they need to know is added to ``asked``."""
    regions, handled = policy.scope.regions, policy.runs.handled
    spans = compliance.candidates(chart.judged, regions, now, policy.created_at) if history else ()
    judged = ((span, compliance.promised(history, chart.leg, chart.judged, regions, span)) for span in spans)
    ended = ((span, due) for span, due in judged if compliance.over(span, due, regions, now, handled, running))
    return [_question(policy, span, due, compliance.target_of(history, due), asked) for span, due in islice(ended, length)]


def _question(policy: Policy, span: Span, due: Sequence[Due], target: int, asked: list[Asked]) -> _Question:
    numbered = {}
    for one in due:
        numbered[len(asked)] = one
        asked.append(Asked(policy.id, one.region, one.since, one.until, one.closes))
    return _Question(policy.id, span, numbered, target)


def _by_question(rows: Iterable[Kept]) -> dict[int, list[Kept]]:
    found: defaultdict[int, list[Kept]] = defaultdict(list)
    for row in rows:
        found[row.asked].append(row)
    return found


def _answers(kept: dict[int, list[Kept]], question: _Question) -> list[Kept]:
    return [row for number in question.due for row in kept.get(number, ())]


# ---- behind an entry --------------------------------------------------------------------------------------------------


def instances(
    app: Services, caller: Caller, policy_id: UUID, chart: Chart, start: date, *, first: int = FIRST_MAX, offset: int = 0
) -> list[Judged]:
    """The instances of the entry that begins on ``start``: missed ones first, then removed ones, then the others.

    Errors: Forbidden, NotFound, InvalidInput.
    """
    caller.require(Role.VIEWER)
    _length(chart, None)
    if not 1 <= first <= FIRST_MAX or offset < 0:
        raise InvalidInput(f"first must be 1 to {FIRST_MAX}, offset at least 0.", fields={"first": f"1 to {FIRST_MAX}."})
    span = compliance.span_of(chart.judged, start)
    if span.first != start:
        text = f"No {chart.judged.value} entry begins on {start}; that day is in the one of {span.first}."
        raise InvalidInput(text, fields={"start": text})
    asked: list[Asked] = []
    with app.store.transaction() as tx:
        policy = tx.policies.get(policy_id)
        history = _history(tx, [policy], chart).get(policy_id, []) if policy.kind is PolicyKind.SLA else []
        due = compliance.promised(history, chart.leg, chart.judged, policy.scope.regions, span)
        if not due:
            return []
        question = _question(policy, span, due, compliance.target_of(history, due), asked)
        found = compliance.standings(question.due, tx.promises.kept(chart.leg, asked))
        page = sorted(found, key=lambda one: _worst_first(one, question.target))[offset : offset + first]
        tried = tx.promises.tried_in(chart.leg, asked, [one.resource_id for one in page], SESSIONS_SHOWN)
    return [Judged(one, _state(one, question.target), tuple(tried.get(one.resource_id, ()))) for one in page]


def _state(standing: Standing, target: int) -> SlaState:
    return SlaState.NOT_AVAILABLE if standing.removed else compliance.state_of(standing.percent, target)


_ORDER: Final = (SlaState.MISSED, SlaState.NOT_AVAILABLE, SlaState.MET)


def _worst_first(standing: Standing, target: int) -> tuple[int, Fraction, UUID]:
    return _ORDER.index(_state(standing, target)), standing.percent, standing.resource_id
