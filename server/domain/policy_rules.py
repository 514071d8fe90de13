"""What is wrong with a policy by itself and with its templates, before anything else is looked up. Pure.

Paths are those of the policy's input; list items by their index. Every sentence says what to do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from server.domain import guest, keeping, schedule_rules, sla_rules
from server.domain.policy import DESCRIPTION_MAX, NAME_MAX, Notifications, Policy, PolicyKind, Tag
from server.domain.policy_hints import chosen
from server.domain.replicas import ReplicaTarget
from server.domain.restore import Leg
from server.domain.schedule_rules import COUNT_MAX, period_problem
from server.domain.scope import REGIONS_MAX, SELECTION_MAX, TAGS_MAX, Scope, SelectionMode, TagMatch
from server.domain.sla import SlaTerms
from server.domain.templates import StorageTemplate

TAGS_CUSTOM_MAX: Final = 5
KEY_MAX: Final = 128  # characters of a tag's key; AWS's limits
VALUE_MAX: Final = 256
RESERVED: Final = ("aws:", "holdfast:")
RETRIES_MAX: Final = 9
RECIPIENTS_MAX: Final = 20
ADDRESS_MAX: Final = 254  # characters of a mail address
DAY_MINUTES: Final = 1440
VOLUME_ID: Final = re.compile(r"vol-([0-9a-f]{8}|[0-9a-f]{17})")
ADDRESS: Final = re.compile(r"[^\s@;,<>\"]+@[^\s@;,<>\".]+(\.[^\s@;,<>\".]+)*")
KEY_ARN: Final = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:(key|alias)/[\w/-]{1,250}")
KEY_NAME: Final = re.compile(r"alias/[\w/-]{1,250}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}")

Found = Iterator[tuple[str, str]]


def problems(policy: Policy, terms: SlaTerms | None = None, storage: StorageTemplate | None = None) -> dict[str, str]:
    """Input path → sentence, the first of each path; empty when it may be stored. ``terms``, ``storage``: of its templates."""
    found: dict[str, str] = {}
    for path, sentence in _problems(policy, terms, storage):
        found.setdefault(path, sentence)
    return found


def runs_by_itself(policy: Policy) -> bool:
    """Whether anything but people starts it, while it is enabled."""
    return policy.kind is PolicyKind.SLA or (policy.schedule is not None and any(policy.schedule.enabled()))


def makes(policy: Policy, terms: SlaTerms | None) -> frozenset[Leg]:
    """The legs its runs make by themselves."""
    found = {Leg.SNAPSHOT}
    if policy.kind is PolicyKind.SLA:
        return frozenset(found | {leg for leg in Leg if getattr(terms, leg.value, None) is not None})
    for _, part in policy.schedule.enabled() if policy.schedule is not None else ():
        found |= {leg for leg in Leg if chosen(part, leg)}
    return frozenset(found)


def _problems(policy: Policy, terms: SlaTerms | None, storage: StorageTemplate | None) -> Found:
    if not policy.name.strip():
        yield "name", "Give the policy a name."
    elif len(policy.name) > NAME_MAX:
        yield "name", f"A name has at most {NAME_MAX} characters; this one has {len(policy.name)}."
    if len(policy.description) > DESCRIPTION_MAX:
        yield "description", f"A description has at most {DESCRIPTION_MAX} characters; this one has {len(policy.description)}."
    yield from _scope(policy.scope)
    if policy.kind is PolicyKind.SLA:
        yield from _templates(policy, terms, storage)
    else:
        yield from _scheduled(policy)
    yield from _replicas(policy, terms)
    yield from guest.problems(policy.guest)
    yield from tag_problems(policy.tags)
    yield from _retention(policy)
    if policy.notifications is not None:
        yield from _notifications(policy.kind, policy.notifications)


# ---- whom -------------------------------------------------------------------------------------------------------------


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
    yield from _matches("scope.tags", scope.tags)
    yield from _matches("scope.excludedTags", scope.excluded_tags)
    volumes = scope.excluded_volumes
    yield from _matches("scope.excludedVolumes.tags", volumes.tags)
    if len(volumes.volume_ids) > SELECTION_MAX:
        yield "scope.excludedVolumes.volumeIds", f"At most {SELECTION_MAX} volumes; use a tag instead."
    wrong = next((id for id in volumes.volume_ids if not VOLUME_ID.fullmatch(id)), None)
    if wrong is not None:
        yield "scope.excludedVolumes.volumeIds", f"{wrong!r} is no volume id: one looks like vol-0123456789abcdef0."


def _matches(path: str, tags: tuple[TagMatch, ...]) -> Found:
    if len(tags) > TAGS_MAX:
        yield path, f"At most {TAGS_MAX} tags."
    elif any(not 1 <= len(one.key) <= KEY_MAX or len(one.value or "") > VALUE_MAX for one in tags):
        yield path, f"A tag key has 1 to {KEY_MAX} characters, a value at most {VALUE_MAX}."


# ---- when and where to ------------------------------------------------------------------------------------------------


def _scheduled(policy: Policy) -> Found:
    if policy.sla_template_id is not None:
        yield "slaTemplateId", "A scheduled policy follows no SLA template: leave it out, or make an SLA policy."
    if policy.storage_template_id is not None:
        yield "storageTemplateId", "A scheduled policy names its repositories itself: leave the storage template out."
    if policy.schedule is not None:
        yield from schedule_rules.problems(policy.schedule)
    made = makes(policy, None)
    if Leg.BACKUP in made and policy.repository_id is None:
        yield "repositoryId", "Backups need a repository: choose one, or clear their times."
    if Leg.ARCHIVE in made and policy.archive_repository_id is None:
        yield "archiveRepositoryId", "Archives need an archive repository: choose one, or clear their times."
    if policy.archive_repository_id is not None and policy.repository_id is None:
        yield "repositoryId", "Archives are made of backups: choose a repository for backups, too."
    if policy.repository_id is None and policy.health_check is not None:
        yield "healthCheck", "A health check looks at backups: choose a repository, or leave it out."
    if policy.repository_id is None and policy.verify:
        yield "verify", "Only backups are verified: choose a repository, or switch it off."


def _templates(policy: Policy, terms: SlaTerms | None, storage: StorageTemplate | None) -> Found:
    if policy.sla_template_id is None:
        yield "slaTemplateId", "Choose an SLA template."
    if policy.schedule is not None:
        yield "schedule", "An SLA policy runs as its SLA template says: leave the schedule out."
    for path, id in (("repositoryId", policy.repository_id), ("archiveRepositoryId", policy.archive_repository_id)):
        if id is not None:
            yield path, "An SLA policy stores as its storage template says: leave the repository out."
    if policy.health_check is not None:
        yield "healthCheck", "An SLA policy checks its backups when its SLA template says: leave the health check out."
    if terms is None:
        return
    if storage is not None or policy.storage_template_id is None:
        yield from sla_rules.gaps(terms, storage, policy.replicas).items()
    if terms.backup is None and policy.verify:
        yield "verify", "Only backups are verified, and the SLA template promises none: switch it off."


def _replicas(policy: Policy, terms: SlaTerms | None) -> Found:
    if len(policy.replicas) > REGIONS_MAX:
        yield "replicas", f"At most {REGIONS_MAX} targets."
        return
    yield from _twice(policy.replicas)
    for at, target in enumerate(policy.replicas):
        yield from _target(f"replicas.{at}", policy, target)
    for region in policy.scope.regions:
        where = keeping.replica_target(policy, region)
        if where is None and Leg.REPLICA in makes(policy, terms):
            yield "replicas", f"Snapshots are to be copied, but nothing says where those of {region} go: add a target for it."
        if where is not None and (where.account_id, where.region) == (policy.scope.account_id, region):
            yield f"replicas.{policy.replicas.index(where)}.region", _copied_home(region)


def _copied_home(region: str) -> str:
    return f"Snapshots of {region} would be copied to where they are: choose another Region or account for them."


def _twice(targets: Iterable[ReplicaTarget]) -> Found:
    named: Counter[str] = Counter()
    for at, target in enumerate(targets):
        names = target.regions or ("",)
        named.update(names)
        region = next((name for name in names if named[name] > 1), None)
        if region is not None:
            what = f"{region} has a target" if region else "All other Regions have a target"
            yield f"replicas.{at}.regions", f"{what} already: give each Region one."


def _target(path: str, policy: Policy, target: ReplicaTarget) -> Found:
    foreign = next((name for name in target.regions if name not in policy.scope.regions), None)
    if foreign is not None:
        yield f"{path}.regions", f"{foreign} is no Region of the policy: add it to the policy, or leave it out here."
    if not target.region:
        yield f"{path}.region", "Choose the Region copies go to."
    key = target.kms_key
    if key is None:
        return
    if not target.encrypt:
        yield f"{path}.kmsKey", "A key encrypts the copies: switch encryption on, or leave the key out."
    arn = KEY_ARN.fullmatch(key)
    if arn is None and not KEY_NAME.fullmatch(key):
        yield f"{path}.kmsKey", "Give the key's id, its alias such as alias/copies, or its ARN."
    elif arn is not None and arn[1] != target.region:
        yield f"{path}.kmsKey", f"This key is in {arn[1]}: choose one in {target.region}, where the copies go."


# ---- the rest ---------------------------------------------------------------------------------------------------------


def tag_problems(tags: tuple[Tag, ...]) -> Found:
    """Of tags people want on snapshots."""
    if len(tags) > TAGS_CUSTOM_MAX:
        yield "tags", f"At most {TAGS_CUSTOM_MAX} tags of your own."
    keys = Counter(one.key for one in tags)
    for at, tag in enumerate(tags):
        if not 1 <= len(tag.key) <= KEY_MAX:
            yield f"tags.{at}.key", f"A tag key has 1 to {KEY_MAX} characters."
        elif tag.key.lower().startswith(RESERVED):
            yield f"tags.{at}.key", f"Keys that begin with {' or '.join(RESERVED)} are reserved: choose another one."
        elif keys[tag.key] > 1:
            yield f"tags.{at}.key", f"The key {tag.key} is there twice: keep one."
        if len(tag.value) > VALUE_MAX:
            yield f"tags.{at}.value", f"A tag value has at most {VALUE_MAX} characters."
        if not (tag.key + tag.value).isprintable():
            yield f"tags.{at}", "A tag has printable characters only."


def _retention(policy: Policy) -> Found:
    kept = policy.retention
    if not 0 <= kept.snapshots <= COUNT_MAX:
        yield "retention.snapshots", f"Keep between 0 and {COUNT_MAX} snapshots."
    if not 1 <= kept.replicas <= COUNT_MAX:
        yield "retention.replicas", f"Keep between 1 and {COUNT_MAX} replicas."
    for path, what, period in (("backups", "backups", kept.backups), ("archives", "archives", kept.archives)):
        wrong = period_problem(what, period)
        if wrong is not None:
            yield f"retention.{path}", wrong
    if not 0 <= policy.retries.attempts <= RETRIES_MAX:
        yield "retryAttempts", f"Try again between 0 and {RETRIES_MAX} times."


def _notifications(kind: PolicyKind, mail: Notifications) -> Found:
    if not mail.recipients:
        yield "notifications.recipients", "Name at least one recipient, or leave notifications out."
    elif len(mail.recipients) > RECIPIENTS_MAX:
        yield "notifications.recipients", f"At most {RECIPIENTS_MAX} recipients: use a list's address instead."
    known: set[str] = set()
    for at, address in enumerate(mail.recipients):
        if len(address) > ADDRESS_MAX or not ADDRESS.fullmatch(address):
            yield f"notifications.recipients.{at}", f"{address!r} is no mail address: one looks like ops@example.com."
        elif address.lower() in known:
            yield f"notifications.recipients.{at}", f"{address} is there twice: keep one."
        known.add(address.lower())
    if kind is PolicyKind.SCHEDULE:
        if mail.only_missed or mail.at_minute is not None:
            yield "notifications", "Promises and a time of day are for SLA policies: leave onlyMissed and atMinute out."
        if not (mail.on_success or mail.on_warning or mail.on_failure):
            yield "notifications", "Choose at least one outcome to be told about, or leave notifications out."
    elif mail.at_minute is not None and not 0 <= mail.at_minute < DAY_MINUTES:
        yield "notifications.atMinute", f"A minute of the day is 0 to {DAY_MINUTES - 1}."
