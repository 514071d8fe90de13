"""The clock ran ahead for a while and was set right: policies do not wait until the future they were planned in has come."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from server.domain.policy import Policy
from server.domain.session import SessionKind
from server.domain.sla import SlaTerms, Window
from tests.services.engine.harness import BEGIN, Appliance, daily
from tests.services.engine.test_protection import DISK
from tests.services.engine.test_scheduling import pass_time, sessions
from tests.services.engine.test_sla_runs import every, stored

AHEAD = BEGIN + timedelta(days=400)


def planned_at(appliance: Appliance, policy: Policy, at: datetime, handled: dict[str, datetime]) -> None:
    """What the clock left behind."""
    now = stored(appliance, policy)
    with appliance.app.store.transaction() as tx:
        state = replace(now.runs, handled=handled)
        tx.policies.save(replace(now, next_run_at=at, runs=state, revision=now.revision + 1))


def told(appliance: Appliance) -> list[str]:
    with appliance.app.store.transaction() as tx:
        return [each.message for each in tx.activity.after(None, 100) if "planned anew" in each.message]


@pytest.mark.parametrize("kind", ["schedule", "sla"])
def test_what_was_planned_while_the_clock_was_ahead_is_planned_anew(appliance: Appliance, kind: str) -> None:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": DISK})
    if kind == "schedule":
        policy = appliance.policy(account, schedule=daily((7, 8)))
        planned_at(appliance, policy, AHEAD, {})
    else:
        policy = appliance.sla_policy(account, SlaTerms(snapshot=every(60, Window())))
        planned_at(appliance, policy, AHEAD, {"us-east-1": AHEAD})
    pass_time(appliance, BEGIN.replace(hour=8, minute=20))
    assert [f"{one.created_at:%H:%M}" for one in sessions(appliance, SessionKind.POLICY_RUN)] == ["07:00", "08:00"]
    assert told(appliance) == [
        f"{policy.name} was planned anew: the clock was set back, and its next run lay too far in the future."
    ]


def test_a_policy_planned_as_its_schedule_says_is_left_alone(appliance: Appliance) -> None:
    account = appliance.account()
    policy = appliance.policy(account, schedule=daily((9,)))
    sla = appliance.sla_policy(account, SlaTerms(snapshot=every(60, Window(start=9 * 60, end=10 * 60))), name="night")
    appliance.tick()
    before = [stored(appliance, each).revision for each in (policy, sla)]
    pass_time(appliance, BEGIN + timedelta(minutes=10))
    assert [stored(appliance, each).revision for each in (policy, sla)] == before
    assert told(appliance) == []
