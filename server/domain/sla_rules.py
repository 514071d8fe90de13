"""What is wrong with a template by itself, and with an SLA policy whose templates do not fit each other. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from server.domain import regions
from server.domain.periods import DayRule, Frequency, Period, Unit
from server.domain.policy import DESCRIPTION_MAX, NAME_MAX
from server.domain.replicas import ReplicaTarget
from server.domain.scope import REGIONS_MAX
from server.domain.sla import LegPlan, MonthlyPlan, SlaTerms, Window
from server.domain.templates import StorageTemplate

DAY_MINUTES = 24 * 60
HOUR_PARTS = (15, 20, 30)  # minutes; longer steps are whole hours
KEEP_MAX = {Unit.DAYS: 36135, Unit.MONTHS: 1188, Unit.YEARS: 99}  # each about 99 years
TARGET_MAX = 100
FORBIDDEN = "/\\\"':|<>+=;,?!*%#^@&$."
REGION = re.compile(r"([a-z]{2,3}(-[a-z]+)+)-\d{1,2}")
AREAS = {name.rpartition("-")[0] for name in regions.TITLES}
Found = Iterator[tuple[str, str]]


def words(name: str, description: str) -> Found:
    """Of either template."""
    if not name.strip():
        yield "name", "Give the template a name."
    elif len(name) > NAME_MAX:
        yield "name", f"A name has at most {NAME_MAX} characters; this one has {len(name)}."
    if len(description) > DESCRIPTION_MAX:
        yield "description", f"A description has at most {DESCRIPTION_MAX} characters; this one has {len(description)}."


# ---- what is promised -------------------------------------------------------------------------------------------------


def term_problems(terms: SlaTerms) -> dict[str, str]:
    """Input path beneath ``terms`` → sentence; empty when it may be stored."""
    return {f"terms.{path}": sentence for path, sentence in _terms(terms)}


def _terms(terms: SlaTerms) -> Found:
    yield from _leg("snapshot", terms.snapshot, HOUR_PARTS)
    if terms.backup is not None:
        yield from _leg("backup", terms.backup, ())
        if not promises(terms.backup):
            yield "backup", "Choose daily, weekly or monthly backups, or leave backups out."
    elif not promises(terms.snapshot):
        yield "snapshot", "The template promises nothing yet: choose daily, weekly or monthly snapshots, or backups."
    yield from _replica(terms)
    yield from _archive(terms)
    if terms.health_check is not None and terms.backup is None:
        yield "healthCheck", "A health check looks at backups: promise backups, or leave it out."
    if not 1 <= terms.target <= TARGET_MAX:
        yield "target", f"The target is 1 to {TARGET_MAX} percent."


def promises(plan: LegPlan) -> bool:
    return any((plan.daily, plan.weekly, plan.monthly))


def _leg(path: str, plan: LegPlan, hour_parts: Sequence[int]) -> Found:
    yield from _window(f"{path}.window", plan.window)
    if plan.daily is not None:
        yield from _step(f"{path}.daily.everyMinutes", plan.daily.every_minutes, hour_parts)
        yield from _keep(f"{path}.daily.keep", plan.daily.keep)
    if plan.weekly is not None:
        if not plan.weekly.days:
            yield f"{path}.weekly.days", "Choose at least one day of the week."
        yield from _keep(f"{path}.weekly.keep", plan.weekly.keep)
    if plan.monthly is not None:
        yield from _monthly(f"{path}.monthly", plan.monthly)


def _window(path: str, window: Window) -> Found:
    for name, minutes in (("start", window.start), ("end", window.end)):
        if not 0 <= minutes < DAY_MINUTES:
            yield f"{path}.{name}", f"A time of day is 0 to {DAY_MINUTES - 1} minutes after midnight."


def _step(path: str, minutes: int, hour_parts: Sequence[int]) -> Found:
    if minutes in hour_parts or (minutes % 60 == 0 and 60 <= minutes <= DAY_MINUTES):
        return
    parts = f"{', '.join(map(str, hour_parts))} minutes, or every " if hour_parts else ""
    yield path, f"Every {parts}1 to 24 whole hours."


def _monthly(path: str, plan: MonthlyPlan) -> Found:
    yield from _months(f"{path}.months", plan.months)
    yield from _day(f"{path}.day", plan.day)
    yield from _keep(f"{path}.keep", plan.keep)


def _months(path: str, months: Sequence[int]) -> Found:
    if not months:
        yield path, "Choose at least one month."
    elif any(not 1 <= month <= 12 for month in months):
        yield path, "Months are 1 to 12."


def _day(path: str, day: DayRule) -> Found:
    if (day.weekday is None) == (day.day is None):
        yield path, "Give a weekday and which of them, or a day's number: one of the two."
    elif day.day is not None and not 1 <= day.day <= 31:
        yield f"{path}.day", "Days are 1 to 31; 31 is always the last day."


def _keep(path: str, keep: Period, units: Sequence[Unit] = tuple(Unit)) -> Found:
    if keep.unit not in units:
        yield path, f"Kept for {' or '.join(unit.value for unit in units)}, not for {keep.unit.value}."
    elif not 1 <= keep.amount <= KEEP_MAX[keep.unit]:
        yield path, f"Between 1 and {KEEP_MAX[keep.unit]} {keep.unit.value}."


def _replica(terms: SlaTerms) -> Found:
    if terms.replica is None:
        return
    if not promises(terms.snapshot):
        yield "replica", "Replicas are copies of promised snapshots: choose snapshots too."
    if terms.replica.first_of is Frequency.YEARLY:
        yield "replica.firstOf", "The first snapshot of each day, week or month."
    yield from _keep("replica.keep", terms.replica.keep, (Unit.DAYS, Unit.MONTHS))


def _archive(terms: SlaTerms) -> Found:
    if terms.archive is None:
        return
    if terms.backup is None:
        yield "archive", "Archives are made of backups: promise backups too."
    yield from _months("archive.months", terms.archive.months)
    yield from _keep("archive.keep", terms.archive.keep)


# ---- where it is stored -----------------------------------------------------------------------------------------------


def storage_problems(template: StorageTemplate) -> dict[str, str]:
    """Input path → sentence; empty when it may be stored, as far as its repositories are not looked at."""
    return dict(_storage(template))


def _storage(template: StorageTemplate) -> Found:
    yield from words(template.name, template.description)
    found = sorted(set(template.name) & set(FORBIDDEN), key=FORBIDDEN.index)
    if found:
        yield "name", f"A storage template's name has none of {' '.join(FORBIDDEN)}; this one has {' '.join(found)}."
    for path, location in (("backup", template.backup), ("archive", template.archive)):
        if location is not None:
            yield from _regions(f"{path}.regions", list(location.by_region))


def _regions(path: str, names: Sequence[str]) -> Found:
    if len(names) > REGIONS_MAX:
        yield path, f"At most {REGIONS_MAX} Regions."
    for name in names:
        shape = REGION.fullmatch(name)
        meant = regions.nearest(name)
        if shape is None:
            yield path, f"{name!r} is no Region's name."
        elif shape[1] not in AREAS and meant is not None:  # AWS may have Regions in areas this program does not know yet
            yield path, f"There is no Region {name}: did you mean {meant}?"


# ---- what fits what ---------------------------------------------------------------------------------------------------


def gaps(terms: SlaTerms, storage: StorageTemplate | None, replicas: Sequence[ReplicaTarget]) -> dict[str, str]:
    """What an SLA template promises and a policy that follows it gives no place for: the policy's input path → sentence."""
    found = {}
    if terms.backup is not None and storage is None:
        found["storageTemplateId"] = "The SLA template promises backups: choose a storage template."
    if terms.archive is not None and storage is not None and storage.archive is None:
        found["storageTemplateId"] = f"The SLA template promises archives, and {storage.name} names no place for them."
    if terms.replica is not None and not replicas:
        found["replicas"] = "The SLA template promises replicas: say where they go."
    return found
