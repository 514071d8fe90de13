"""What is wrong with a policy by itself, before anything is looked up. Pure."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator

from server.domain.periods import Frequency
from server.domain.policy import DESCRIPTION_MAX, NAME_MAX, Policy, PolicyKind
from server.domain.restore import Leg
from server.domain.schedule import Daily, Monthly, Rule, Schedule, Weekly, Yearly
from server.domain.scope import REGIONS_MAX, SELECTION_MAX, TAGS_MAX, Scope, SelectionMode
from server.domain.sla import SlaTerms
from server.domain.templates import StorageTemplate

TAGS_CUSTOM_MAX = 5
COUNT_MAX = 1000
PERIOD_DAYS_MAX = 36135
Found = Iterator[tuple[str, str]]


def problems(policy: Policy, terms: SlaTerms | None = None, storage: StorageTemplate | None = None) -> dict[str, str]:
    """Input path → sentence; empty when it may be stored. ``terms``, ``storage``: of an SLA policy's templates."""
    return dict(_problems(policy))


def runs_by_itself(policy: Policy) -> bool:
    """Whether anything but people starts it, while it is enabled."""
    return policy.kind is PolicyKind.SLA or (policy.schedule is not None and any(policy.schedule.enabled()))


def _problems(policy: Policy) -> Found:
    if not policy.name.strip():
        yield "name", "Give the policy a name."
    elif len(policy.name) > NAME_MAX:
        yield "name", f"A name has at most {NAME_MAX} characters; this one has {len(policy.name)}."
    if len(policy.description) > DESCRIPTION_MAX:
        yield "description", f"A description has at most {DESCRIPTION_MAX} characters."
    yield from _scope(policy.scope)
    if policy.kind is PolicyKind.SCHEDULE:
        if policy.schedule is not None:
            yield from _schedule(policy, policy.schedule)
        if policy.repository_id is None and policy.health_check is not None:
            yield "healthCheck", "A health check looks at backups: choose a repository, or leave it out."
        if policy.repository_id is None and policy.verify:
            yield "verify", "Only backups are verified: choose a repository, or switch it off."
    if not 0 <= policy.retention.snapshots <= COUNT_MAX:
        yield "retention.snapshots", f"Keep between 0 and {COUNT_MAX} snapshots."
    if not 1 <= policy.retention.backups.amount <= PERIOD_DAYS_MAX:
        yield "retention.backups", f"Keep backups between 1 and {PERIOD_DAYS_MAX} days."
    if not 0 <= policy.retries.attempts <= 9:
        yield "retries.attempts", "Retry between 0 and 9 times."


def _scope(scope: Scope) -> Found:
    if not scope.regions:
        yield "scope.regions", "Choose at least one Region."
    elif len(scope.regions) > REGIONS_MAX:
        yield "scope.regions", f"At most {REGIONS_MAX} Regions."
    if scope.mode is SelectionMode.LISTED and not scope.resource_ids and not scope.tags:
        yield "scope.resourceIds", "Name at least one resource or tag, or select all."
    for path, ids in (("scope.resourceIds", scope.resource_ids), ("scope.excludedResourceIds", scope.excluded_resource_ids)):
        if len(ids) > SELECTION_MAX:
            yield path, f"At most {SELECTION_MAX} resources; use a tag instead."
    for path, tags in (("scope.tags", scope.tags), ("scope.excludedTags", scope.excluded_tags)):
        if len(tags) > TAGS_MAX:
            yield path, f"At most {TAGS_MAX} tags."
        if any(not 1 <= len(t.key) <= 128 or len(t.value or "") > 256 for t in tags):
            yield path, "A tag key has 1 to 128 characters, a value at most 256."


def _schedule(policy: Policy, schedule: Schedule) -> Found:
    if schedule.timezone not in zoneinfo.available_timezones():
        yield "schedule.timezone", f"Unknown time zone {schedule.timezone!r}: use an IANA name such as Europe/Berlin."
    if schedule.daily is not None:
        yield from _daily(schedule.daily)
    for frequency in Frequency:
        part = schedule.part(frequency)
        if part is not None:
            yield from _targets(policy, frequency, part)


def _daily(daily: Daily) -> Found:
    if not daily.snapshot.slots:
        yield "schedule.daily.snapshot.slots", "Choose at least one hour, or remove the daily schedule."
    others = [rule for rule in (daily.replica, daily.backup) if rule is not None]
    if any(not 0 <= hour <= 23 for rule in (daily.snapshot, *others) for hour in rule.slots):
        yield "schedule.daily.snapshot.slots", "Hours are 0 to 23."
    for name, rule in (("replica", daily.replica), ("backup", daily.backup)):
        if rule is not None and not set(rule.slots) <= set(daily.snapshot.slots):
            text = f"A {name} needs a snapshot at the same hour: select the hour for snapshots too."
            yield f"schedule.daily.{name}.slots", text
    if not daily.days:
        yield "schedule.daily.days", "Choose at least one day."


def _targets(policy: Policy, frequency: Frequency, part: Daily | Weekly | Monthly | Yearly) -> Found:
    rule: Rule | None
    for leg, there, path, sentence in (
        (Leg.BACKUP, policy.repository_id, "repositoryId", "Backups need a repository: choose one, or clear their times."),
        (Leg.ARCHIVE, policy.archive_repository_id, "archiveRepositoryId", "Archives need an archive repository: choose one."),
    ):
        rule = getattr(part, leg.value, None)
        if rule is not None and rule.slots and there is None:
            yield path, sentence
    rule = getattr(part, Leg.REPLICA.value, None)
    if rule is not None and rule.slots and not policy.replicas:
        yield "replicas", f"The {frequency.value} schedule makes replicas: say where they go."
