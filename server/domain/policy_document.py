"""Policies as text: a document of names instead of ids, made from policies and read back into what people decide about them.

``{"holdfast": 1, "policies": [{"name": …, "account": …, "regions": […], …}]}``. What a document leaves out has its default,
so it describes a policy whole. Accounts, repositories and templates go by their names, resources by their ids in AWS. Periods
are ``30 days``, days of a month ``first monday``, ``day 15`` or ``last day``; ``keep`` is a number of points or a period.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from server.domain.guest import Guest
from server.domain.periods import DayRule, Ordinal, Period, Unit, Weekday
from server.domain.policy import HealthCheck, Notifications, Policy, PolicyKind, Retention, Retries, Tag
from server.domain.replicas import KeyUsage, ReplicaTarget
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly, Yearly
from server.domain.scope import Scope, SelectionMode, TagMatch, VolumeExclusions
from server.domain.strict import Spot, StrictReader, camel, default_of, plain, spoken

VERSION: Final = 1
POLICIES_MAX: Final = 1000
Part = Daily | Weekly | Monthly | Yearly
SLOTS: Final[Mapping[type[Any], str]] = MappingProxyType({Daily: "hours", Weekly: "days", Monthly: "months", Yearly: "months"})
PARTS: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {"daily": Daily, "weekly": Weekly, "monthly": Monthly, "yearly": Yearly}
)
LEGS: Final = tuple(leg.value for leg in Leg)
_PERIOD = re.compile(r"(\d{1,6})\s+(day|month|year)s?")
_DAY = re.compile(r"day (\d{1,2})")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """Ids by name, of each kind of thing a policy refers to; names are compared without regard to case."""

    accounts: Mapping[str, UUID] = field(default_factory=dict)
    repositories: Mapping[str, UUID] = field(default_factory=dict)
    sla_templates: Mapping[str, UUID] = field(default_factory=dict)
    storage_templates: Mapping[str, UUID] = field(default_factory=dict)
    resources: Mapping[str, UUID] = field(default_factory=dict)  # by id in AWS

    def id(self, kind: str, spot: Spot) -> UUID | None:
        name = spot.text()
        if name is None:
            return None
        known: Mapping[str, UUID] = getattr(self, kind)
        found = known.get(name) or next((id for each, id in known.items() if each.lower() == name.lower()), None)
        if found is None:
            spot.wrong(f"There is no {_SINGULAR[kind]} {name!r}.")
        return found

    def name(self, kind: str, id: UUID | None) -> str | None:
        """The id itself when nothing of the name is known any more."""
        if id is None:
            return None
        known: Mapping[str, UUID] = getattr(self, kind)
        return next((name for name, each in known.items() if each == id), str(id))


_SINGULAR: Final = MappingProxyType(
    {
        "accounts": "account",
        "repositories": "repository",
        "sla_templates": "SLA template",
        "storage_templates": "storage template",
        "resources": "resource",
    }
)
_REFERENCES: Final = MappingProxyType(
    {
        "sla_template_id": ("slaTemplate", "sla_templates"),
        "storage_template_id": ("storageTemplate", "storage_templates"),
        "repository_id": ("repository", "repositories"),
        "archive_repository_id": ("archiveRepository", "repositories"),
    }
)
# Fields of a policy whose notation follows from their dataclass.
_DIRECT: Final = ("guest", "retention", "notifications")
_SCALARS: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        "name": str,
        "description": str,
        "workload": str,
        "kind": PolicyKind,
        "enabled": bool,
        "priority": int,
        "copy_tags": bool,
        "verify": bool,
    }
)
_SELECT: Final = ("mode", "resources", "tags", "exclude")
_KEYS: Final = (
    *(camel(name) for name in _SCALARS),
    "account",
    "regions",
    "select",
    "schedule",
    *(key for key, _ in _REFERENCES.values()),
    "replicas",
    "tags",
    "retries",
    "healthCheck",
    *_DIRECT,
)


# ---- notations of their own -------------------------------------------------------------------------------------------


def read_period(spot: Spot) -> Period | None:
    match = _PERIOD.fullmatch(spot.value.strip().lower()) if isinstance(spot.value, str) else None
    if match is None:
        spot.wrong("A period is written 30 days, 12 months or 7 years.")
        return None
    return Period(int(match[1]), Unit(f"{match[2]}s"))


def read_day(spot: Spot) -> DayRule | None:
    text = " ".join(spot.value.lower().split()) if isinstance(spot.value, str) else ""
    if text == "last day":
        return DayRule(day=31)
    if (numbered := _DAY.fullmatch(text)) and 1 <= int(numbered[1]) <= 31:
        return DayRule(day=int(numbered[1]))
    words = text.split()
    ordinals, weekdays = {spoken(one): one for one in Ordinal}, {spoken(one): one for one in Weekday}
    if len(words) == 2 and words[0] in ordinals and words[1] in weekdays:
        return DayRule(ordinal=ordinals[words[0]], weekday=weekdays[words[1]])
    spot.wrong("A day of the month is written first monday, last friday, day 15 or last day.")
    return None


def _read_health_check(spot: Spot) -> HealthCheck | None:
    day = read_day(spot)
    if day is None:
        return None
    if day.weekday is None:
        spot.wrong("A health check is on a weekday, such as last sunday.")
        return None
    return HealthCheck(ordinal=day.ordinal, weekday=day.weekday)


def _write_health_check(check: HealthCheck) -> str:
    return f"{spoken(check.ordinal)} {spoken(check.weekday)}"


def _read_tag_match(spot: Spot) -> TagMatch | None:
    """``env=prod``, or ``env`` for any value; ``{key: …, value: …}`` for a key with an equals sign."""
    if isinstance(spot.value, dict):
        given = spot.keys(("key", "value"))
        _need(spot, given, ("key",))
        key = given["key"].text() if "key" in given else None
        return TagMatch(key=key or "", value=given["value"].text() if "value" in given else None)
    text = spot.text()
    if text is None:
        return None
    key, separator, value = text.partition("=")
    return TagMatch(key=key, value=value if separator else None)


def _write_tag_match(tag: TagMatch) -> str | Json:
    if "=" in tag.key:
        return {"key": tag.key} if tag.value is None else {"key": tag.key, "value": tag.value}
    return tag.key if tag.value is None else f"{tag.key}={tag.value}"


READER: Final = StrictReader(
    MappingProxyType({Period: read_period, DayRule: read_day, HealthCheck: _read_health_check, TagMatch: _read_tag_match})
)
_WRITERS: Final[Mapping[Any, Callable[[Any], Any]]] = MappingProxyType(
    {Period: str, DayRule: lambda day: str(day).lower(), HealthCheck: _write_health_check, TagMatch: _write_tag_match}
)


# ---- writing ----------------------------------------------------------------------------------------------------------


def write(policy: Policy, names: Names) -> Json:
    """One entry of ``policies``."""
    defaults = {one.name: default_of(one) for one in fields(Policy)}
    found: Json = {"name": policy.name}
    for name in _SCALARS:
        value = getattr(policy, name)
        if name != "name" and (value != defaults[name] or name == "priority"):
            found[camel(name)] = plain(value, _WRITERS)
    found["account"] = names.name("accounts", policy.scope.account_id)
    found["regions"] = list(policy.scope.regions)
    found["select"] = _write_selection(policy.scope, names)
    if policy.schedule is not None:
        found["schedule"] = _write_schedule(policy.schedule)
    for attribute, (key, kind) in _REFERENCES.items():
        found[key] = names.name(kind, getattr(policy, attribute))
    found["replicas"] = [_write_replica(target, names) for target in policy.replicas]
    found["tags"] = {tag.key: tag.value for tag in policy.tags}
    if policy.retries != Retries():
        found["retries"] = policy.retries.attempts
    found["healthCheck"] = policy.health_check and _write_health_check(policy.health_check)
    for name in _DIRECT:
        value = getattr(policy, name)
        if value != defaults[name]:
            found[name] = plain(value, _WRITERS)
    return {key: value for key, value in found.items() if value not in (None, [], {})}


def _write_selection(scope: Scope, names: Names) -> Json:
    excluded: Json = {
        "resources": [names.name("resources", id) for id in scope.excluded_resource_ids],
        "tags": [_write_tag_match(tag) for tag in scope.excluded_tags],
        "volumes": plain(scope.excluded_volumes, _WRITERS),
    }
    found: Json = {
        "mode": spoken(scope.mode) if scope.mode is not SelectionMode.ALL else None,
        "resources": [names.name("resources", id) for id in scope.resource_ids],
        "tags": [_write_tag_match(tag) for tag in scope.tags],
        "exclude": {key: value for key, value in excluded.items() if value},
    }
    return {key: value for key, value in found.items() if value}


def _write_replica(target: ReplicaTarget, names: Names) -> Json:
    found: Json = plain(target, _WRITERS)
    del found["accountId"]
    return {"account": names.name("accounts", target.account_id), **found}


def _write_schedule(schedule: Schedule) -> Json:
    found: Json = {"timezone": schedule.timezone}
    for name in PARTS:
        part = getattr(schedule, name)
        if part is not None:
            found[name] = dict(_write_part(part))
    return found


def _write_part(part: Part) -> Iterator[tuple[str, Any]]:
    for one in fields(part):
        value = getattr(part, one.name)
        if isinstance(value, Rule):
            slots: list[Any] = list(value.slots)
            if isinstance(part, Weekly):
                slots = [spoken(Weekday(slot)) for slot in value.slots]
            keep = value.count if value.period is None else str(value.period)
            yield one.name, {SLOTS[type(part)]: slots, "keep": keep}
        elif value is not None and value != default_of(one):
            yield camel(one.name), plain(value, _WRITERS)


# ---- reading ----------------------------------------------------------------------------------------------------------


def read(spot: Spot, names: Names) -> Json:
    """What people decide about one policy, by field name; mistakes are noted at ``spot``. ``name`` and ``scope`` are always
    there unless there is a mistake."""
    given = spot.keys(_KEYS)
    _need(spot, given, ("name", "account", "regions"))
    found: Json = {name: READER.value(kind, given[camel(name)]) for name, kind in _SCALARS.items() if camel(name) in given}
    found |= {attribute: names.id(kind, given[key]) for attribute, (key, kind) in _REFERENCES.items() if key in given}
    found["scope"] = _read_scope(given, names)
    readers: dict[str, tuple[str, Callable[[Spot], Any]]] = {
        "schedule": ("schedule", _read_schedule),
        "replicas": ("replicas", lambda inner: tuple(_read_replica(item, names) for item in inner.items())),
        "tags": ("tags", lambda inner: tuple(_read_tags(inner))),
        "retries": ("retries", lambda inner: Retries(attempts=inner.whole() or 0)),
        "healthCheck": ("health_check", _read_health_check),
        "guest": ("guest", lambda inner: READER.read(Guest, inner)),
        "retention": ("retention", lambda inner: READER.read(Retention, inner)),
        "notifications": ("notifications", lambda inner: READER.read(Notifications, inner)),
    }
    found |= {name: reader(given[key]) for key, (name, reader) in readers.items() if key in given}
    return {name: value for name, value in found.items() if value is not None}


def _need(spot: Spot, given: Mapping[str, Spot], keys: Sequence[str]) -> None:
    """Note those that are not given."""
    for key in keys:
        if key not in given and isinstance(spot.value, dict):
            spot.beside(key, "This is needed.")


def _read_scope(given: Mapping[str, Spot], names: Names) -> Scope | None:
    account = names.id("accounts", given["account"]) if "account" in given else None
    regions = READER.value(tuple[str, ...], given["regions"]) if "regions" in given else ()
    select = given["select"].keys(_SELECT) if "select" in given else {}
    exclude = select["exclude"].keys(("resources", "tags", "volumes")) if "exclude" in select else {}
    mode = select["mode"].choice(SelectionMode) if "mode" in select else SelectionMode.ALL
    if "mode" not in select and ("resources" in select or "tags" in select):
        mode = SelectionMode.LISTED
    volumes = READER.read(VolumeExclusions, exclude["volumes"]) if "volumes" in exclude else None
    if account is None:
        return None
    return Scope(
        account_id=account,
        regions=regions,
        mode=mode or SelectionMode.ALL,
        resource_ids=_read_resources(select, names),
        tags=READER.value(tuple[TagMatch, ...], select["tags"]) if "tags" in select else (),
        excluded_resource_ids=_read_resources(exclude, names),
        excluded_tags=READER.value(tuple[TagMatch, ...], exclude["tags"]) if "tags" in exclude else (),
        excluded_volumes=volumes or VolumeExclusions(),
    )


def _read_resources(given: Mapping[str, Spot], names: Names) -> tuple[UUID, ...]:
    found = [names.id("resources", item) for item in given["resources"].items()] if "resources" in given else []
    return tuple(id for id in found if id is not None)


def _read_replica(spot: Spot, names: Names) -> ReplicaTarget:
    own = [one.name for one in fields(ReplicaTarget) if one.name != "account_id"]
    given = spot.keys(("account", *(camel(name) for name in own)))
    account = names.id("accounts", given["account"]) if "account" in given else None
    _need(spot, given, ("account", "region"))
    hints: Json = {"regions": tuple[str, ...], "region": str, "encrypt": bool, "kms_key": str, "key_usage": KeyUsage}
    values = {name: READER.value(kind, given[camel(name)]) for name, kind in hints.items() if camel(name) in given}
    values = {name: value for name, value in values.items() if value is not None}
    return ReplicaTarget(**{"region": "", **values, "account_id": account or UUID(int=0)})


def _read_tags(spot: Spot) -> Iterator[Tag]:
    if not isinstance(spot.value, dict):
        spot.wrong("Tags are written key: value.")
        return
    for key in spot.value:
        value = spot.at(key).text()
        yield Tag(key=str(key), value=value or "")


def _read_schedule(spot: Spot) -> Schedule | None:
    given = spot.keys(("timezone", *PARTS))
    values: Json = {name: _read_part(PARTS[name], inner) for name, inner in given.items() if name in PARTS}
    if "timezone" in given:
        values["timezone"] = given["timezone"].text()
    return Schedule(**{name: value for name, value in values.items() if value is not None})


def _read_part(kind: type[Any], spot: Spot) -> Part | None:
    own = [one for one in fields(kind) if one.name not in LEGS]
    given = spot.keys([*(camel(one.name) for one in own), *(one.name for one in fields(kind) if one.name in LEGS)])
    types: Json = {"enabled": bool, "days": tuple[Weekday, ...], "per_hour": int, "hour": int, "day": DayRule}
    values: Json = {one.name: READER.value(types[one.name], given[camel(one.name)]) for one in own if camel(one.name) in given}
    values |= {leg: _read_rule(kind, given[leg]) for leg in LEGS if leg in given}
    values = {name: value for name, value in values.items() if value is not None}
    needed = [one.name for one in fields(kind) if default_of(one) is MISSING]
    _need(spot, given, [camel(name) for name in needed])
    return kind(**values) if values.keys() >= set(needed) else None


def _read_rule(kind: type[Any], spot: Spot) -> Rule | None:
    word = SLOTS[kind]
    given = spot.keys((word, "keep"))
    _need(spot, given, (word, "keep"))
    slots: tuple[Any, ...] = ()
    if word in given:
        listed: Any = tuple[Weekday, ...] if kind is Weekly else tuple[int, ...]
        slots = tuple(slot.value if isinstance(slot, Weekday) else slot for slot in READER.value(listed, given[word]))
    if "keep" not in given:
        return None
    keep = given["keep"]
    if isinstance(keep.value, int) and not isinstance(keep.value, bool):
        return Rule(slots=slots, count=keep.value)
    period = read_period(keep)
    return None if period is None else Rule(slots=slots, period=period)


# ---- documents --------------------------------------------------------------------------------------------------------


def document(policies: list[Json]) -> Json:
    return {"holdfast": VERSION, "policies": policies}


def entries(spot: Spot) -> list[Spot]:
    """Those of ``policies``; mistakes of the document itself are noted."""
    given = spot.keys(("holdfast", "policies"))
    if isinstance(spot.value, dict):
        if spot.value.get("holdfast") != VERSION:
            spot.beside("holdfast", f"A document begins with holdfast: {VERSION}; another version cannot be read.")
        if "policies" not in given:
            spot.beside("policies", "This is needed.")
    found = given["policies"].items() if "policies" in given else []
    if len(found) > POLICIES_MAX:
        given["policies"].wrong(f"At most {POLICIES_MAX} policies.")
        return []
    return found
