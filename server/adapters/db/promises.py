"""``ports.Promises``: what became of promised points, counted by the database; a year of them is too many to be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from server.adapters.db.failures import translated
from server.adapters.db.mapping import PROMISES
from server.adapters.db.rows import Rows
from server.adapters.db.sealing import Sealer
from server.domain.promises import Asked, Kept, Promise
from server.domain.restore import Leg

ASKED = """WITH asked AS (
    SELECT * FROM unnest(
        CAST(:policies AS UUID[]), CAST(:regions AS TEXT[]),
        CAST(:sinces AS TIMESTAMPTZ[]), CAST(:untils AS TIMESTAMPTZ[]), CAST(:closes AS TIMESTAMPTZ[])
    ) WITH ORDINALITY AS asked (policy_id, region, since, until, closes, number)
)"""
KEPT = text(f"""{ASKED}
SELECT asked.number, member.resource_id, member.joined_at, member.left_at, (
    SELECT count(*) FROM promises
    WHERE promises.policy_id = asked.policy_id AND promises.resource_id = member.resource_id AND promises.leg = :leg
        AND promises.slot_at >= greatest(asked.since, member.joined_at) AND promises.slot_at < asked.until
        AND promises.made
) AS made
FROM asked
JOIN memberships AS member ON member.policy_id = asked.policy_id AND member.joined_at < asked.closes
    AND (member.left_at IS NULL OR member.left_at > asked.since)
JOIN resources ON resources.id = member.resource_id AND resources.region = asked.region
""")  # noqa: S608  constants only
TRIED = text(f"""{ASKED},
tried AS (
    SELECT promises.resource_id, promises.session_id, max(promises.slot_at) AS slot_at
    FROM asked
    JOIN promises ON promises.policy_id = asked.policy_id AND promises.resource_id = ANY(CAST(:resources AS UUID[]))
        AND promises.leg = :leg AND promises.slot_at >= asked.since AND promises.slot_at < asked.until
    WHERE promises.session_id IS NOT NULL
    GROUP BY promises.resource_id, promises.session_id
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY resource_id ORDER BY slot_at DESC, session_id) AS place FROM tried
)
SELECT resource_id, session_id FROM ranked WHERE place <= :limit ORDER BY resource_id, place
""")  # noqa: S608  constants only


class PromiseRows(Rows[Promise]):
    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        super().__init__(PROMISES, connection, sealer)

    def kept(self, leg: Leg, asked: Sequence[Asked]) -> list[Kept]:
        with translated():
            rows = self.connection.execute(KEPT, {"leg": leg.value, **_columns(asked)}).all()
        return [Kept(number - 1, resource, joined, left, made) for number, resource, joined, left, made in rows]

    def tried_in(self, leg: Leg, asked: Sequence[Asked], resource_ids: Sequence[UUID], limit: int) -> dict[UUID, list[UUID]]:
        given = {"leg": leg.value, "resources": list(resource_ids), "limit": limit, **_columns(asked)}
        found: defaultdict[UUID, list[UUID]] = defaultdict(list)
        with translated():
            for resource, session in self.connection.execute(TRIED, given):
                found[resource].append(session)
        return dict(found)


def _columns(asked: Sequence[Asked]) -> dict[str, list[Any]]:
    return {
        "policies": [one.policy_id for one in asked],
        "regions": [one.region for one in asked],
        "sinces": [one.since for one in asked],
        "untils": [one.until for one in asked],
        "closes": [one.closes for one in asked],
    }
