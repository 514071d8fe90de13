"""Whom a policy covers, and why: a pure question about one resource."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from uuid import UUID

from server.domain.workload import Resource

REGIONS_MAX = 64
SELECTION_MAX = 1000
TAGS_MAX = 50


class SelectionMode(enum.Enum):
    ALL = "all"
    LISTED = "listed"  # resources and tags named


@dataclass(frozen=True, slots=True, kw_only=True)
class TagMatch:
    """A tag condition; ``value`` None matches any value of the key."""

    key: str
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeExclusions:
    """Volumes of covered instances that are left out. ``system``: the root device's."""

    system: bool = False
    volume_ids: tuple[str, ...] = ()
    tags: tuple[TagMatch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whom a policy covers: in the account and Regions, all or the listed, minus exclusions, which always win."""

    account_id: UUID
    regions: tuple[str, ...]
    mode: SelectionMode = SelectionMode.ALL
    resource_ids: tuple[UUID, ...] = ()
    tags: tuple[TagMatch, ...] = ()
    excluded_resource_ids: tuple[UUID, ...] = ()
    excluded_tags: tuple[TagMatch, ...] = ()
    excluded_volumes: VolumeExclusions = VolumeExclusions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Is the resource covered, and why: one sentence."""

    covered: bool
    reason: str


def matches(tag: TagMatch, tags: dict[str, str]) -> bool:
    return tag.key in tags and (tag.value is None or tags[tag.key] == tag.value)


def tag_text(tag: TagMatch) -> str:
    return tag.key if tag.value is None else f"{tag.key}={tag.value}"


def verdict(scope: Scope, resource: Resource) -> Verdict:
    """Whether ``scope`` covers ``resource``; exclusion beats inclusion."""
    no = _outside(scope, resource)
    if no is not None:
        return Verdict(covered=False, reason=no)
    if scope.mode is SelectionMode.ALL:
        return Verdict(covered=True, reason=f"All instances in {resource.region} are selected.")
    if resource.id in scope.resource_ids:
        return Verdict(covered=True, reason="Selected by name.")
    for tag in scope.tags:
        if matches(tag, resource.tags):
            return Verdict(covered=True, reason=f"Selected by tag {tag_text(tag)}.")
    return Verdict(covered=False, reason="Neither named nor matched by a tag of the policy.")


def _outside(scope: Scope, resource: Resource) -> str | None:
    if not resource.present:
        return "No longer in AWS."
    if resource.account_id != scope.account_id:
        return "In another account."
    if resource.region not in scope.regions:
        return f"Region {resource.region} is not selected."
    if resource.id in scope.excluded_resource_ids:
        return "Excluded by name."
    for tag in scope.excluded_tags:
        if matches(tag, resource.tags):
            return f"Excluded by tag {tag_text(tag)}."
    return None
