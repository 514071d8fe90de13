"""What all REST operations share: revisions, parameters without regard to case, paging, times, ids, links."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from starlette.requests import Request

from server.api.rest.problems import INVALID, VERSION_AMBIGUOUS, VERSION_INVALID, VERSION_UNSUPPORTED, Problem

REVISIONS = (
    *("1.0-rev0", "1.1-rev0", "1.1-rev1", "1.2-rev0", "1.3-rev0", "1.4-rev0", "1.5-rev0", "1.5-rev1"),
    *("1.6-rev0", "1.7-rev0", "1.7-rev1", "1.8-rev0"),
)
DEFAULT_REVISION = "1.8-rev0"
REVISION = re.compile(r"(\d+)\.(\d+)-rev(\d+)")
PAGE = 100  # rows per operation: the schema's limit
ROWS_MAX = 10_000  # what "no limit" means

Revision = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Call:
    """One REST request, read. ``base`` is the absolute address of the API, for links."""

    request: Request
    revision: Revision
    base: str
    path: Mapping[str, str]
    query: Mapping[str, list[str]]  # names in lower case, values split at commas, empty ones left out
    form: Mapping[str, str]  # names in lower case

    def at_least(self, minor: int) -> bool:
        return self.revision >= (1, minor)


def revision_of(request: Request) -> Revision:
    """The revision the request asks for. Problem for a header that is malformed, unknown or contradictory."""
    asked = {part.strip().lower() for value in request.headers.getlist("x-api-version") for part in value.split(",")} - {""}
    if not asked:
        asked = {DEFAULT_REVISION}
    if len(asked) > 1:
        raise Problem(VERSION_AMBIGUOUS, f"Name one of {', '.join(sorted(asked))}.")
    name = asked.pop()
    match = REVISION.fullmatch(name)
    if match is None:
        raise Problem(VERSION_INVALID, f"{name!r} is no revision: write it as {DEFAULT_REVISION}.")
    if name not in REVISIONS:
        raise Problem(VERSION_UNSUPPORTED, f"{name} is not served. Served are {', '.join(REVISIONS)}.")
    return int(match[1]), int(match[2])


def query_of(request: Request) -> dict[str, list[str]]:
    """Query parameters: any case, repeated or separated by commas, empty ones absent."""
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        parts = [part.strip() for part in value.split(",")] if name.lower() != "searchpattern" else [value]
        found.setdefault(name.lower(), []).extend(part for part in parts if part)
    return {name: values for name, values in found.items() if values}


# ---- parameters -------------------------------------------------------------------------------------------------------


def one(call: Call, name: str) -> str | None:
    values = call.query.get(name.lower())
    return values[0] if values else None


def whole(call: Call, name: str, default: int, least: int) -> int:
    raw = one(call, name)
    if raw is None:
        return default
    if not re.fullmatch(r"-?\d{1,18}", raw) or int(raw) < least:
        raise Problem(INVALID, f"{name} must be a whole number of at least {least}, not {raw!r}.", {name: f"At least {least}."})
    return int(raw)


def flag(call: Call, name: str) -> bool | None:
    raw = one(call, name)
    if raw is None:
        return None
    if raw.lower() not in ("true", "false"):
        raise Problem(INVALID, f"{name} must be true or false, not {raw!r}.", {name: "true or false."})
    return raw.lower() == "true"


def choices(call: Call, name: str, allowed: Sequence[str]) -> list[str] | None:
    """The values of an enum parameter as ``allowed`` spells them; None when absent."""
    raw = call.query.get(name.lower())
    if raw is None:
        return None
    known = {value.lower(): value for value in allowed}
    wrong = [value for value in raw if value.lower() not in known]
    if wrong:
        raise Problem(INVALID, f"{name} cannot be {wrong[0]!r}: choose from {', '.join(allowed)}.", {name: "Unknown value."})
    return [known[value.lower()] for value in raw]


def moment(call: Call, name: str) -> str | None:
    """A time parameter as the schema takes it: a zone-less one is UTC, a bare date its midnight."""
    raw = one(call, name)
    if raw is None:
        return None
    try:
        parsed = datetime.fromisoformat(raw.replace(" ", "+"))  # a "+" of a zone, unescaped, arrives as a space
    except ValueError:
        raise Problem(INVALID, f"{name} is no time: {raw!r}.", {name: "Such as 2026-01-31T04:00:00Z."}) from None
    return (parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)).isoformat()


def id_parameter(call: Call, name: str, kind: str) -> str | None:
    """A UUID parameter as a global id; the empty UUID, which old clients send, counts as absent."""
    raw = one(call, name)
    if raw is None:
        return None
    id = read_uuid(raw, name)
    return global_id(kind, id) if id.int else None


def read_uuid(raw: str, name: str) -> UUID:
    try:
        return UUID(raw)
    except ValueError:
        raise Problem(INVALID, f"{name} is no UUID: {raw!r}.", {name: "Not a UUID."}) from None


# ---- ids and times ----------------------------------------------------------------------------------------------------


def global_id(kind: str, id: UUID) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{id}".encode()).decode().rstrip("=")


def plain_id(value: str) -> str:
    """The UUID inside a global id."""
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return value


def derived_id(kind: str, name: str) -> str:
    """A stable UUID for things that have only a name here, such as Regions."""
    return str(uuid5(NAMESPACE_URL, f"holdfast:{kind}:{name}"))


def time(call: Call, value: str | None) -> str | None:
    """A time of the schema as the revision writes it: without a zone before 1.2."""
    if value is None:
        return None
    return value if call.at_least(2) else value.removesuffix("Z")


def without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def link(call: Call, rel: str, path: str, method: str = "GET") -> dict[str, str]:
    return {"method": method, "rel": rel, "href": f"{call.base}{path}"}


# ---- sorting ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sorting:
    """``order`` for the schema; ``local`` when the schema cannot sort so: keys to sort the rows by here."""

    order: list[dict[str, str]]
    local: tuple[tuple[str, bool], ...] = ()


def sorting(call: Call, fields: Mapping[str, str], local: Sequence[str] = ()) -> Sorting:
    """``Sort`` values: a field and Asc, Desc or (an old spelling) Desk. ``fields`` maps them to order fields."""
    known = {name.lower(): name for name in (*fields, *local)}
    keys: list[tuple[str, bool]] = []
    for raw in call.query.get("sort", []):
        match = re.fullmatch(r"(\w+?)(asc|desc|desk)", raw.lower())
        if match is None or match[1] not in known:
            values = ", ".join(f"{name}{end}" for name in (*fields, *local) for end in ("Asc", "Desc"))
            raise Problem(INVALID, f"Sort cannot be {raw!r}: choose from {values}.", {"Sort": "Unknown value."})
        keys.append((known[match[1]], match[2] != "asc"))
    if any(name in local for name, _ in keys):
        return Sorting([], tuple(keys))
    return Sorting([{"field": fields[name], "direction": "DESC" if down else "ASC"} for name, down in keys])


# ---- paging -----------------------------------------------------------------------------------------------------------

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Window:
    offset: int
    limit: int  # -1: all

    @classmethod
    def of(cls, call: Call) -> Window:
        return cls(whole(call, "Offset", 0, 0), whole(call, "Limit", -1, -1))

    @property
    def rows(self) -> int:
        return ROWS_MAX if self.limit < 0 else min(self.limit, ROWS_MAX)


async def collect(fetch: Callable[[dict[str, Any]], Any], window: Window) -> tuple[Rows, int]:
    """Rows of a window and the total, by as many operations as the window is long. ``fetch`` takes paging variables."""
    rows: Rows = []
    total, after = 0, None
    while True:
        left = window.rows - len(rows)
        first = min(max(left, 1), PAGE)
        page = await fetch(
            {"first": first, "after": after, "offset": window.offset if after is None else 0, "count": after is None}
        )
        total = page.get("totalCount", total)
        rows += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"] or after is None or len(rows) >= window.rows:
            return rows[: window.rows], total


def locally_sorted(rows: Rows, keys: Sequence[tuple[str, bool]]) -> Rows:
    """Rows by several keys of the answer, in order of precedence; missing values last."""
    for name, down in reversed(keys):
        present = [row for row in rows if row.get(name) is not None]
        absent = [row for row in rows if row.get(name) is None]
        rows = sorted(present, key=lambda row, name=name: row[name], reverse=down) + absent  # type: ignore[misc]  # bound default
    return rows
