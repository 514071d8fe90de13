"""Entities to rows and back. What an entity's field becomes is decided once, from its type annotation.

UUID, text, number, bool, time ↔ a column; enum ↔ its value; ``dict`` ↔ a JSONB column; a nested dataclass or a tuple ↔ the
JSONB column of its name, or else a key of the JSONB column ``document``; a field listed in ``sealed`` ↔ bytes only the
appliance's key opens.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import Column, RowMapping, Table
from sqlmodel import SQLModel

from server.adapters.db import tables
from server.adapters.db.sealing import Sealer
from server.domain.access import Token, User
from server.domain.codec import reader, to_json
from server.domain.policy import Policy
from server.domain.preferences import Preferences, PriceList
from server.domain.promises import Membership, Promise
from server.domain.repository import Repository
from server.domain.restore import RestorePoint
from server.domain.session import Event, Session, Task
from server.domain.templates import SlaTemplate, SlaTemplateVersion, StorageTemplate
from server.domain.workload import Account, Resource

E = TypeVar("E")
Convert = Callable[[Any], Any]


def table_of(model: type[SQLModel]) -> Table:
    return cast("Table", model.__table__)  # type: ignore[attr-defined]  # set by SQLModel's metaclass


@dataclass(frozen=True)
class Entity(Generic[E]):
    """How one kind of entity is stored.

    ``folded`` text fields compare and sort without regard to case; ``sticky`` ones keep a value once they have it, against
    writers that read the row before it was set; ``counters`` are only moved by their own statements.
    """

    kind: type[E]
    model: type[SQLModel]
    noun: str
    sealed: frozenset[str] = frozenset()
    folded: frozenset[str] = frozenset()
    sticky: frozenset[str] = frozenset()
    counters: frozenset[str] = frozenset()
    table: Table = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", table_of(self.model))

    @property
    def name(self) -> str:
        return self.table.name

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return tuple(item.name for item in dataclasses.fields(cast("Any", self.kind)))

    @cached_property
    def revised(self) -> bool:
        return "revision" in self.fields

    @cached_property
    def nested(self) -> frozenset[str]:
        return frozenset(name for name, hint in self._hints.items() if _is_nested(_plain(hint)))

    def _has_column(self, name: str) -> bool:
        return name in self.table.c

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self.kind)

    @cached_property
    def _loaders(self) -> tuple[tuple[str, Convert | None], ...]:
        """Per flat field: its name and how a stored value is read; None means as it is."""
        flat = (name for name in self.fields if name not in self.nested and name not in self.sealed)
        return tuple((name, _enum_of(self._hints[name])) for name in flat)

    def column(self, name: str) -> Column[Any]:
        return self.table.c[name]

    def to_row(self, entity: E, sealer: Sealer) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name in self.fields:
            value = getattr(entity, name)
            if name in self.nested and self._has_column(name):
                row[name] = to_json(value)
            elif name in self.nested:
                row.setdefault("document", {})[name] = to_json(value)
            elif name in self.sealed:
                row[name] = None if value is None else sealer.seal(value.encode(), place=self.place(name, row["id"]))
            else:
                row[name] = value.value if isinstance(value, enum.Enum) else value
        return row

    def from_row(self, row: RowMapping, sealer: Sealer) -> E:
        values: dict[str, Any] = {}
        for name, convert in self._loaders:
            value = row[name]
            values[name] = value if convert is None or value is None else convert(value)
        for name in self.nested:
            stored = row if self._has_column(name) else row["document"]
            if name in stored:
                values[name] = reader(self._hints[name])(stored[name])
        for name in self.sealed:
            value = row[name]
            values[name] = None if value is None else sealer.open(value, place=self.place(name, row["id"])).decode()
        return self.kind(**values)

    def value(self, field_name: str, stored: Any) -> Any:
        """One flat field's stored value as the entity would hold it."""
        convert = _enum_of(self._hints.get(field_name))
        return stored if convert is None or stored is None else convert(stored)

    def place(self, field_name: str, row_id: UUID) -> str:
        return f"{self.name}/{field_name}/{row_id}"


def _plain(hint: Any) -> Any:
    """``X`` for ``X | None``, else the hint itself."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not types.NoneType]
        return members[0] if len(members) == 1 else hint
    return hint


def _is_nested(plain: Any) -> bool:
    return dataclasses.is_dataclass(plain) or typing.get_origin(plain) is tuple


def _enum_of(hint: Any) -> Convert | None:
    plain = _plain(hint)
    return plain if isinstance(plain, type) and issubclass(plain, enum.Enum) else None


NAME = frozenset({"name"})

ACCOUNTS = Entity(Account, tables.AccountRow, "account", sealed=frozenset({"external_id"}), folded=NAME)
RESOURCES = Entity(Resource, tables.ResourceRow, "resource", folded=NAME)
REPOSITORIES = Entity(Repository, tables.RepositoryRow, "repository", sealed=frozenset({"password"}), folded=NAME)
POLICIES = Entity(Policy, tables.PolicyRow, "policy", folded=NAME)
SESSIONS = Entity(
    Session,
    tables.SessionRow,
    "session",
    folded=NAME,
    sticky=frozenset({"cancel_requested_at"}),
    counters=frozenset({"last_event"}),
)
TASKS = Entity(Task, tables.TaskRow, "task", folded=NAME, counters=frozenset({"fence"}))
POINTS = Entity(RestorePoint, tables.PointRow, "restore point", folded=frozenset({"resource_name"}))
USERS = Entity(User, tables.UserRow, "user", folded=NAME)
SLA_TEMPLATES = Entity(SlaTemplate, tables.SlaTemplateRow, "SLA template", folded=NAME)
SLA_VERSIONS = Entity(SlaTemplateVersion, tables.SlaVersionRow, "version of an SLA template")
STORAGE_TEMPLATES = Entity(StorageTemplate, tables.StorageTemplateRow, "storage template", folded=NAME)
MEMBERSHIPS = Entity(Membership, tables.MembershipRow, "membership")
PROMISES = Entity(Promise, tables.PromiseRow, "promised point")
PRICE_LISTS = Entity(PriceList, tables.PriceListRow, "price list")
PREFERENCES = Entity(Preferences, tables.PreferencesRow, "set of preferences")
TOKENS = Entity(Token, tables.TokenRow, "token")
EVENTS = Entity(Event, tables.EventRow, "event")
