"""Policies as code: exported with names instead of ids, compared with what there is, and applied as a whole or not at all."""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from server.domain.access import Caller, Role
from server.domain.errors import Conflict, InvalidInput
from server.domain.policy import Policy, PolicyKind
from server.domain.policy_document import POLICIES_MAX, Json, Names, document, entries, read, write
from server.domain.strict import Spot
from server.ports import Order, Select, Tx, Where
from server.services import policies
from server.services.context import Services

NAMED_MAX: Final = 1000  # accounts, repositories, templates
DOCUMENT_MAX: Final = 4 << 20  # characters
DEPTH_MAX: Final = 40
RESOURCES_AT_ONCE: Final = 10_000


class Action(enum.Enum):
    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Difference:
    """At ``path`` of a policy's entry: what is there (None: nothing) and what is wanted, as in the document."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """``edition``: of the policy as it is."""

    action: Action
    name: str
    differences: tuple[Difference, ...] = ()
    edition: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What applying a document would do, in its order; deletions last. ``digest`` names this plan on what there is now."""

    changes: tuple[Change, ...]
    digest: str

    @property
    def empty(self) -> bool:
        return all(change.action is Action.KEEP for change in self.changes)

    def count(self, action: Action) -> int:
        return sum(change.action is action for change in self.changes)


# ---- export -----------------------------------------------------------------------------------------------------------


def export(app: Services, caller: Caller, ids: Sequence[UUID] | None = None, *, named: Sequence[str] | None = None) -> Json:
    """A document of all policies, or of these, by priority. Errors: Forbidden, NotFound, InvalidInput (unknown name)."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        found = _chosen(tx, ids, named)
        names = _names(tx, resources=_mentioned(found))
        return document([write(policy, names) for policy in found])


def _chosen(tx: Tx, ids: Sequence[UUID] | None, named: Sequence[str] | None) -> list[Policy]:
    if ids is not None:
        return [tx.policies.get(id) for id in dict.fromkeys(ids)]
    everything = _all(tx)
    if not named:
        return everything
    by_name = {policy.name.lower(): policy for policy in everything}
    unknown = [name for name in named if name.lower() not in by_name]
    if unknown:
        raise InvalidInput(f"There is no policy named {unknown[0]!r}.", fields={"names": f"Unknown: {', '.join(unknown)}."})
    return [by_name[name.lower()] for name in dict.fromkeys(named)]


def _all(tx: Tx) -> list[Policy]:
    return tx.policies.page(Select(order=(Order("priority"), Order("created_at")), limit=POLICIES_MAX))


# ---- plan and apply ---------------------------------------------------------------------------------------------------


def plan(app: Services, caller: Caller, wanted: Any, *, prune: bool = False) -> Plan:
    """Compare a document with what there is. ``prune``: policies it does not name are to be deleted.

    Errors: Forbidden, InvalidInput (``fields``: path in the document → sentence).
    """
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        return _planned(app, tx, caller, wanted, prune=prune)


def apply(
    app: Services, caller: Caller, wanted: Any, *, prune: bool = False, dry_run: bool = False, digest: str | None = None
) -> Plan:
    """Do exactly what the plan says, in one transaction. ``digest``: of the plan somebody has seen and agreed to.

    Errors: Forbidden, InvalidInput, Conflict (another plan than agreed to; a policy to be deleted is running).
    """
    caller.require(Role.OPERATOR)
    with app.store.transaction() as tx:
        found = _planned(app, tx, caller, wanted, prune=prune)
        if digest is not None and digest != found.digest:
            raise Conflict("Policies were changed since the plan was made.", remedy="Look at the plan again, then apply it.")
        if not dry_run:
            _write(app, tx, caller, wanted, found)
        _delete(app, tx, caller, found, dry_run=dry_run)
    return found


def _planned(app: Services, tx: Tx, caller: Caller, wanted: Any, *, prune: bool) -> Plan:
    known = {policy.name.lower(): policy for policy in _all(tx)}
    drafts = _drafts(tx, wanted, known)
    names = _names(tx, resources=_mentioned(known.values()) | _mentioned(drafts))
    changes = []
    problems: dict[str, str] = {}
    unplaced: Counter[tuple[str, PolicyKind]] = Counter()  # new policies without a priority: each goes after the one before
    for at, draft in enumerate(drafts):
        current = known.get(draft.name.strip().lower())
        try:
            made = _rehearsed(app, tx, caller, draft, current)
        except InvalidInput as problem:
            problems |= _placed(problem, at)
            continue
        if current is None and draft.priority is None:
            made = replace(made, priority=made.priority + unplaced[made.workload, made.kind])
            unplaced[made.workload, made.kind] += 1
        changes.append(_change(made, current, names))
    if problems:
        raise InvalidInput(f"The document cannot be applied: {next(iter(problems.values()))}", fields=problems)
    if prune:
        named = {draft.name.strip().lower() for draft in drafts}
        gone = [policy for policy in known.values() if policy.name.lower() not in named]
        changes += [Change(action=Action.DELETE, name=policy.name, edition=policy.edition) for policy in gone]
    return Plan(changes=tuple(changes), digest=_digest(changes))


def _rehearsed(app: Services, tx: Tx, caller: Caller, draft: policies.PolicyDraft, current: Policy | None) -> Policy:
    """The policy as applying would leave it. Errors: InvalidInput."""
    if current is None:
        return policies.insert(app, tx, caller, draft, dry_run=True)
    return policies.amend(app, tx, caller, current, draft, dry_run=True)


def _change(made: Policy, current: Policy | None, names: Names) -> Change:
    after = write(made, names)
    before = write(current, names) if current is not None else {}
    found = tuple(differences(before, after))
    if current is None:
        return Change(action=Action.CREATE, name=made.name, differences=found)
    action = Action.CHANGE if found else Action.KEEP
    return Change(action=action, name=current.name, differences=found, edition=current.edition)


def _write(app: Services, tx: Tx, caller: Caller, wanted: Any, found: Plan) -> None:
    known = {policy.name.lower(): policy for policy in _all(tx)}
    drafts = {draft.name.strip().lower(): draft for draft in _drafts(tx, wanted, known)}
    actions = {change.name.lower(): change.action for change in found.changes}
    for name, draft in drafts.items():
        if name not in known:
            policies.insert(app, tx, caller, draft)
        elif actions[name] is Action.CHANGE:
            policies.amend(app, tx, caller, tx.policies.get(known[name].id, lock=True), draft)


def _delete(app: Services, tx: Tx, caller: Caller, found: Plan, *, dry_run: bool) -> None:
    gone = {change.name for change in found.changes if change.action is Action.DELETE}
    for policy in _all(tx) if gone else ():
        if policy.name in gone:
            policies.drop(app, tx, caller, tx.policies.get(policy.id, lock=True), dry_run=dry_run)


def _drafts(tx: Tx, wanted: Any, known: Mapping[str, Policy]) -> list[policies.PolicyDraft]:
    """One per entry. InvalidInput with every mistake at its path."""
    problems: dict[str, str] = {}
    spots = entries(Spot(wanted, "", problems))
    names = _names(tx, aws_ids=set(_aws_ids(wanted)))
    found = [read(spot, names) for spot in spots]
    seen: set[str] = set()
    for spot, values in zip(spots, found, strict=True):
        name = str(values.get("name", "")).strip().lower()
        if name and name in seen:
            spot.beside("name", f"{values['name']} is there twice.")
        seen.add(name)
    if problems:
        raise InvalidInput(f"The document cannot be read: {next(iter(problems.values()))}", fields=problems)
    return [_draft(values, known.get(values["name"].strip().lower())) for values in found]


def _draft(values: Json, current: Policy | None) -> policies.PolicyDraft:
    """What is left out has its default, but for the priority: that stays."""
    return policies.PolicyDraft(**{"priority": current.priority if current else None, **values})


def _placed(problem: InvalidInput, at: int) -> dict[str, str]:
    """A policy's problems at the entry they belong to, as near as the document's words allow."""
    fields = problem.fields or {"": problem.message}
    return {f"policies.{at}{_in_document(path)}": text for path, text in fields.items()}


# Where an input of the API is found in a document.
_WORDS: Final = tuple(
    (re.compile(ours), theirs)
    for ours, theirs in (
        (r"scope\.accountId", "account"),
        (r"scope\.regions", "regions"),
        (r"scope\.resourceIds", "select.resources"),
        (r"scope\.tags", "select.tags"),
        (r"scope\.excludedResourceIds", "select.exclude.resources"),
        (r"scope\.excludedTags", "select.exclude.tags"),
        (r"scope\.excludedVolumes", "select.exclude.volumes"),
        (r"(repository|archiveRepository|slaTemplate|storageTemplate)Id", r"\1"),
        (r"(replicas\.\d+\.account)Id", r"\1"),
        (r"retryAttempts", "retries"),
        (r"(schedule\.daily\.\w+)\.slots", r"\1.hours"),
        (r"(schedule\.weekly\.\w+)\.slots", r"\1.days"),
        (r"(schedule\.(?:monthly|yearly)\.\w+)\.slots", r"\1.months"),
        (r"(schedule\.\w+\.\w+)\.(?:count|period).*", r"\1.keep"),
        (r"tags\.\d+.*", "tags"),
    )
)


def _in_document(path: str) -> str:
    for ours, theirs in _WORDS:
        match = ours.match(path)
        if match and path[match.end() : match.end() + 1] in ("", "."):
            return f".{match.expand(theirs)}{path[match.end() :]}"
    return f".{path}" if path else ""


def _digest(changes: Sequence[Change]) -> str:
    facts = [
        [change.action.value, change.name, change.edition, [[one.path, one.before, one.after] for one in change.differences]]
        for change in changes
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Leaf by leaf, in the order of the document; a list counts as a whole unless it holds objects on both sides."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*after, *(key for key in before if key not in after)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from differences(before.get(key), after.get(key), inner)
    elif isinstance(after, dict) and before is None:
        for key, value in after.items():
            yield from differences(None, value, f"{path}.{key}")
    elif _objects(before) and _objects(after) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{path}.{index}")
    elif before != after:
        yield Difference(path, before, after)


def _objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


# ---- import -----------------------------------------------------------------------------------------------------------


def load(
    app: Services,
    caller: Caller,
    text: str,
    *,
    names: Mapping[str, str],
    dry_run: bool = False,
) -> list[Policy]:
    """Create the policies of a JSON document, each under a name that is free: ``names`` says which, by the name in the
    document. Errors: Forbidden, InvalidInput, Conflict (a name is taken)."""
    caller.require(Role.OPERATOR)
    wanted = parse(text)
    with app.store.transaction() as tx:
        drafts = [replace(draft, name=names.get(draft.name, draft.name), priority=None) for draft in _drafts(tx, wanted, {})]
        taken = {policy.name.lower() for policy in _all(tx)}
        twins = [draft.name for draft in drafts if draft.name.strip().lower() in taken]
        if twins:
            wrong = f"There is a policy named {twins[0]} already: import it under another name."
            raise Conflict(wrong, fields={"names": wrong})
        made = []
        for at, draft in enumerate(drafts):
            try:
                made.append(policies.insert(app, tx, caller, draft, dry_run=dry_run))
            except InvalidInput as problem:
                raise InvalidInput(problem.message, fields=_placed(problem, at)) from problem
    return made


def parse(text: str) -> Any:
    """JSON, within limits. InvalidInput says where it ends to be JSON."""
    if len(text) > DOCUMENT_MAX:
        raise InvalidInput(f"The document has more than {DOCUMENT_MAX >> 20} MiB.", fields={"document": "Too large."})
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        wrong = f"Line {error.lineno}, column {error.colno}: this is not JSON: {error.msg}."
        raise InvalidInput(wrong, fields={"document": wrong}) from error
    except RecursionError as error:
        raise InvalidInput("The document nests too deep.", fields={"document": "It nests too deep."}) from error


# ---- names ------------------------------------------------------------------------------------------------------------


def _names(tx: Tx, *, resources: set[UUID] | None = None, aws_ids: set[str] | None = None) -> Names:
    """Of everything policies refer to; resources only as far as they are mentioned."""
    some = Select(order=(Order("name"),), limit=NAMED_MAX)
    found = list(tx.resources.many(resources).values()) if resources else []
    if aws_ids:
        where = (Where("aws_id", "in", sorted(aws_ids)),)
        found += tx.resources.page(Select(where=where, limit=RESOURCES_AT_ONCE))
    return Names(
        accounts={row.name: row.id for row in tx.accounts.page(some)},
        repositories={row.name: row.id for row in tx.repositories.page(some)},
        sla_templates={row.name: row.id for row in tx.sla_templates.page(some)},
        storage_templates={row.name: row.id for row in tx.storage_templates.page(some)},
        resources={row.aws_id: row.id for row in found},
    )


def _mentioned(found: Iterable[Policy | policies.PolicyDraft]) -> set[UUID]:
    return {id for policy in found for id in (*policy.scope.resource_ids, *policy.scope.excluded_resource_ids)}


def _aws_ids(wanted: Any) -> Iterator[str]:
    """Texts in lists called ``resources``, wherever they are."""
    stack: list[tuple[Any, int]] = [(wanted, 0)]
    while stack:
        value, depth = stack.pop()
        if depth > DEPTH_MAX:
            raise InvalidInput("The document nests too deep.", fields={"": "It nests too deep."})
        if isinstance(value, dict):
            listed = value.get("resources")
            yield from (item for item in listed if isinstance(item, str)) if isinstance(listed, list) else ()
            stack += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            stack += [(inner, depth + 1) for inner in value]
