"""Reading lists: the same for every noun the doors show. Users and tokens are not among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal
from uuid import UUID

from server.domain.access import Caller, Role
from server.ports import Collection, Group, Select, Tx, Where
from server.services.context import Services

Noun = Literal[
    "accounts", "resources", "policies", "repositories", "sessions", "tasks", "points", "sla_templates", "storage_templates"
]


def collection(tx: Tx, noun: Noun) -> Collection[Any]:
    found: dict[Noun, Collection[Any]] = {
        "accounts": tx.accounts,
        "resources": tx.resources,
        "policies": tx.policies,
        "repositories": tx.repositories,
        "sessions": tx.sessions,
        "tasks": tx.tasks,
        "points": tx.points,
        "sla_templates": tx.sla_templates,
        "storage_templates": tx.storage_templates,
    }
    return found[noun]


def page(app: Services, caller: Caller, noun: Noun, select: Select) -> list[Any]:
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return collection(tx, noun).page(select)


def count(app: Services, caller: Caller, noun: Noun, select: Select) -> int:
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return collection(tx, noun).count(select)


def many(app: Services, caller: Caller, noun: Noun, ids: Iterable[UUID]) -> dict[UUID, Any]:
    """Those of ``ids`` that exist, by id."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return collection(tx, noun).many(ids)


def groups(
    app: Services,
    caller: Caller,
    noun: Noun,
    by: str,
    where: tuple[Where, ...],
    *,
    total: str | None = None,
    newest: str | None = None,
) -> dict[Any, Group]:
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return collection(tx, noun).groups(by, where, total=total, newest=newest)
