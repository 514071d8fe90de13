"""Scalars, enums of the domain as GraphQL shows them, and global ids."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, NewType
from uuid import UUID

import strawberry
from graphql import GraphQLError, ValueNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

from server.domain.access import Role
from server.domain.cost import PriceSource
from server.domain.errors import InvalidInput
from server.domain.health import CheckLevel
from server.domain.legs import LegState, TaskLeg
from server.domain.periods import Frequency, Ordinal, Unit, Weekday
from server.domain.policy import PolicyKind
from server.domain.replicas import KeyUsage
from server.domain.repository import Encryption, RepositoryState, RetrievalMode, StorageClass, StorageKind
from server.domain.restore import Health, Leg, PointState, RetrievalState
from server.domain.scope import SelectionMode
from server.domain.session import Level, SessionKind, State
from server.domain.workload import AccountState

Long = NewType("Long", int)
JSON = NewType("JSON", object)

LONG_MAX = 2**63 - 1


def _parse_long(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise GraphQLError(f"A Long is a whole number, not {value!r}.")
    try:
        number = int(value)
    except ValueError:
        raise GraphQLError(f"A Long is a whole number, not {value!r}.") from None
    if abs(number) > LONG_MAX:
        raise GraphQLError("A Long has at most 64 bits.")
    return number


def _show_time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_time(value: Any) -> datetime:
    if not isinstance(value, str):
        raise GraphQLError("A DateTime is text such as 2026-01-31T04:00:00Z.")
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise GraphQLError(f"{value!r} is no DateTime: write it as 2026-01-31T04:00:00Z.") from None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _literal(parse: Any) -> Any:
    def read(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
        return parse(value_from_ast_untyped(node, variables))

    return read


def _scalar(name: str, description: str, serialize: Any, parse: Any) -> ScalarDefinition:
    made: ScalarDefinition = strawberry.scalar(
        name=name, description=description, serialize=serialize, parse_value=parse, parse_literal=_literal(parse)
    )
    return made


SCALARS: dict[object, ScalarDefinition] = {
    Long: _scalar("Long", "Whole number of up to 64 bits; sizes are bytes.", int, _parse_long),
    datetime: _scalar("DateTime", "ISO 8601 time in UTC.", _show_time, _parse_time),
    JSON: _scalar("JSON", "Any JSON value.", lambda value: value, lambda value: value),
}

# The domain's enums are the schema's: registered here, imported from here.
strawberry.enum(Role, description="Each role may do what those before it may.")
for _kind in (
    *(State, SessionKind, Level, Leg, PointState),
    *(AccountState, StorageKind, RepositoryState, SelectionMode, Weekday, Ordinal),
    *(StorageClass, Encryption, CheckLevel, Health, RetrievalState, RetrievalMode),
    *(Frequency, PolicyKind, KeyUsage, PriceSource),
):
    strawberry.enum(_kind)
strawberry.enum(Unit, name="PeriodUnit")
strawberry.enum(TaskLeg, name="TaskLegName")
strawberry.enum(LegState)

__all__ = [
    "JSON",
    "SCALARS",
    "AccountState",
    "CheckLevel",
    "Encryption",
    "Frequency",
    "Health",
    "KeyUsage",
    "Leg",
    "Level",
    "Long",
    "Ordinal",
    "PointState",
    "PolicyKind",
    "PriceSource",
    "RepositoryState",
    "RetrievalMode",
    "RetrievalState",
    "Role",
    "SelectionMode",
    "SessionKind",
    "State",
    "StorageClass",
    "StorageKind",
    "Unit",
    "Weekday",
    "global_id",
    "local_id",
    "optional_id",
    "split_id",
]


def global_id(kind: str, id: UUID) -> strawberry.ID:
    """``kind:uuid`` as URL-safe base64 without padding."""
    return strawberry.ID(base64.urlsafe_b64encode(f"{kind}:{id}".encode()).decode().rstrip("="))


def optional_id(kind: str, id: UUID | None) -> strawberry.ID | None:
    return None if id is None else global_id(kind, id)


def split_id(value: str) -> tuple[str, UUID]:
    """Kind and UUID of a global id. InvalidInput when it is none."""
    try:
        kind, _, raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode().partition(":")
        return kind, UUID(raw)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"{value!r} is not an id of this appliance.", fields={"id": "Not an id."}) from None


def local_id(kind: str, value: str, path: str = "id") -> UUID:
    """The UUID in a global id of ``kind``; InvalidInput (at ``path``) for ids of anything else."""
    try:
        found, id = split_id(value)
    except InvalidInput as problem:
        raise InvalidInput(problem.message, fields={path: "Not an id."}) from None
    if found != kind:
        raise InvalidInput(f"{path} is the id of a {found}, not of a {kind}.", fields={path: f"Give the id of a {kind}."})
    return id
