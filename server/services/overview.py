"""The appliance at a glance, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from server.domain.access import Caller, Role
from server.domain.restore import PointState
from server.domain.session import Session, State
from server.ports import Order, Select, Where
from server.services import claims
from server.services.context import Services

DAY = timedelta(days=1)
SHOWN = 10  # sessions in each list


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """``source_bytes``: of the protected resources; ``stored_bytes``: in all repositories."""

    resources: int
    protected: int
    policies: int
    repositories: int
    points: int
    stored_bytes: int
    source_bytes: int
    last_day: Mapping[State, int]
    running: tuple[Session, ...]
    latest: tuple[Session, ...]


def overview(app: Services, caller: Caller) -> Overview:
    caller.require(Role.VIEWER)
    now = app.clock.now()
    open_states = Where("state", "in", [State.PENDING, State.RUNNING])
    newest = (Order("created_at", descending=True),)
    with app.store.transaction() as tx:
        rivals = claims.enabled(tx)
        found = list(claims.present(tx))
        covered = [one for one in found if claims.protects(rivals, one)]
        day = tx.sessions.groups("state", (Where("created_at", "ge", now - DAY),))
        stores = tx.repositories.groups("state", total="stored_bytes")
        return Overview(
            resources=len(found),
            protected=len(covered),
            policies=tx.policies.count(Select()),
            repositories=sum(group.count for group in stores.values()),
            points=tx.points.count(Select(where=(Where("state", "eq", PointState.AVAILABLE),))),
            stored_bytes=sum(group.total for group in stores.values()),
            source_bytes=sum(one.size_bytes for one in covered),
            last_day={state: day[state].count for state in State if state in day},
            running=tuple(tx.sessions.page(Select(where=(open_states,), order=newest, limit=SHOWN))),
            latest=tuple(tx.sessions.page(Select(order=newest, limit=SHOWN))),
        )
