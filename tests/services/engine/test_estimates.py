"""Estimates of real policies: from assumptions first, then from what backups measured; and beside what there really is."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import timedelta

import pytest

from server.domain.access import Caller, Role
from server.domain.errors import InvalidInput
from server.domain.estimate import Assumptions, Component
from server.domain.periods import Period
from server.domain.policy import Policy
from server.domain.repository import Repository
from server.domain.restore import Leg
from server.domain.schedule import Daily, Rule, Schedule
from server.domain.session import State
from server.services import actual_costs, estimates, policies, protection
from tests.services.engine.cloud import GIB
from tests.services.engine.harness import Appliance
from tests.services.engine.test_prices import LISTED, refreshed

CALLER = Caller(user_id=None, name="ann", role=Role.ADMINISTRATOR)
USUAL = Assumptions()
BLOCK = 512 * 1024
DAILY = Schedule(daily=Daily(snapshot=Rule(slots=(7,), count=2), backup=Rule(slots=(7,), period=Period(30))))


def content(*blocks: int, fill: int = 1) -> dict[int, bytes]:
    """Blocks that do not compress away into nothing, and differ by ``fill``."""
    return {index: bytes([fill]) + index.to_bytes(4, "big") + bytes(BLOCK - 5) for index in blocks}


@pytest.fixture
def vault(appliance: Appliance) -> Repository:
    account = appliance.account()
    appliance.machine(account, "web-1", {"vol-a": content(*range(40)), "vol-b": content(*range(10))})
    return appliance.repository(account)


@pytest.fixture
def policy(appliance: Appliance, vault: Repository) -> Policy:
    with appliance.app.store.transaction() as tx:
        account = tx.accounts.get(vault.account_id) if vault.account_id else None
    assert account is not None
    return appliance.policy(account, repository=vault, schedule=DAILY)


def run(appliance: Appliance, policy: Policy) -> None:
    session = protection.start_policy(appliance.app, CALLER, policy.id)
    assert session is not None
    appliance.work()
    assert appliance.session(session.id).state is State.SUCCESS, appliance.lines(session.id)


def test_before_any_backup_the_assumptions_count(appliance: Appliance, policy: Policy) -> None:
    found = estimates.of_policy(appliance.app, CALLER, policy.id, USUAL)
    [row] = found.rows
    assert (row.subject.disks, row.subject.size_bytes) == (2, 2 * GIB)
    # two snapshots of 2 GiB that change by 5 % a day, at 0.05 USD
    assert found.totals[Leg.SNAPSHOT, Component.STORAGE] == pytest.approx((2 + 0.1) * 0.05)
    assert found.totals[Leg.BACKUP, Component.STORAGE] == pytest.approx((2 + 29 * 0.1) / 2 * 0.023)
    assert found.measured == 0
    assert any("assumed" in note for note in found.notes)
    assert [book.prices.region for book in found.books] == ["us-east-1"]


def test_after_two_backups_their_change_rate_counts(appliance: Appliance, policy: Policy) -> None:
    run(appliance, policy)
    one = estimates.of_policy(appliance.app, CALLER, policy.id, USUAL).rows[0].subject.measured
    assert (one.used_bytes, one.change) == (50 * BLOCK, None), "one backup says how much there is, not how fast it changes"
    appliance.clock.set(appliance.clock.now() + timedelta(days=2))
    appliance.cloud.machines["i-web-1"].volumes["vol-a"].update(content(*range(5), fill=2))
    run(appliance, policy)
    found = estimates.of_policy(appliance.app, CALLER, policy.id, USUAL)
    measured = found.rows[0].subject.measured
    assert measured.used_bytes == 50 * BLOCK
    assert measured.change == pytest.approx(1 - (1 - 5 / 50) ** 0.5, rel=0.01)
    assert measured.stored is not None
    assert 0 < measured.stored < 1
    assert found.measured == 1
    assert found.usd < 0.01


def test_fetched_prices_are_used_and_named(appliance: Appliance, policy: Policy) -> None:
    appliance.cloud.price_lists = LISTED
    refreshed(appliance, "us-east-1")
    found = estimates.of_policy(appliance.app, CALLER, policy.id, USUAL)
    assert found.totals[Leg.SNAPSHOT, Component.STORAGE] == pytest.approx(2.1 * 0.051)
    assert found.books[0].fetched_at is not None


def test_a_draft_is_estimated_before_it_is_saved(appliance: Appliance, policy: Policy) -> None:
    draft = policies.draft_of(policy)
    stored = estimates.of_policy(appliance.app, CALLER, policy.id, USUAL)
    assert estimates.of_draft(appliance.app, CALLER, draft, USUAL, id=policy.id).totals == pytest.approx(stored.totals)
    none = replace(draft, name="other", schedule=None)
    by_hand = estimates.of_draft(appliance.app, CALLER, none, USUAL, id=policy.id)
    assert by_hand.usd == 0
    assert "Nothing runs by itself: what is started by hand is not counted." in by_hand.notes
    nowhere = replace(draft, scope=replace(draft.scope, regions=()))
    assert estimates.of_draft(appliance.app, CALLER, nowhere, USUAL).rows == ()
    another = replace(draft, name="second", priority=None)
    assert estimates.of_draft(appliance.app, CALLER, another, USUAL).rows == (), "the first one claims the machine"


def test_excluded_volumes_cost_nothing(appliance: Appliance, policy: Policy) -> None:
    draft = policies.draft_of(policy)
    volumes = replace(draft.scope.excluded_volumes, volume_ids=("vol-b",))
    half = estimates.of_draft(
        appliance.app, CALLER, replace(draft, scope=replace(draft.scope, excluded_volumes=volumes)), USUAL, id=policy.id
    )
    assert half.rows[0].subject.size_bytes == GIB


@pytest.mark.parametrize("wrong", [Assumptions(change=-1), Assumptions(used=101), Assumptions(stored=float("nan"))])
def test_shares_that_are_no_percent_are_refused(appliance: Appliance, policy: Policy, wrong: Assumptions) -> None:
    with pytest.raises(InvalidInput):
        estimates.of_policy(appliance.app, CALLER, policy.id, wrong)


def test_the_export_adds_up_and_cannot_run_in_a_spreadsheet(appliance: Appliance, policy: Policy) -> None:
    account = policy.scope.account_id
    with appliance.app.store.transaction() as tx:
        home = tx.accounts.get(account)
    appliance.machine(home, "=HYPERLINK(1)", {"vol-c": {}})
    found = estimates.of_policy(appliance.app, CALLER, policy.id, USUAL)
    head, *rows, total = list(csv.reader(io.StringIO(estimates.as_csv(found))))
    assert {row[0] for row in rows} == {"web-1", "'=HYPERLINK(1)"}
    assert float(total[-1]) == pytest.approx(found.usd, abs=0.001)
    for column in range(6, len(head)):
        assert float(total[column]) == pytest.approx(sum(float(row[column]) for row in rows), abs=0.001)


def test_what_there_is_beside_what_was_estimated(appliance: Appliance, policy: Policy) -> None:
    assert actual_costs.of_policy(appliance.app, CALLER, policy.id, USUAL) == []
    run(appliance, policy)
    appliance.clock.set(appliance.clock.now() + timedelta(days=1))
    run(appliance, policy)
    snapshots, backups = actual_costs.of_policy(appliance.app, CALLER, policy.id, USUAL)
    assert (snapshots.leg, snapshots.points, snapshots.exact) == (Leg.SNAPSHOT, 2, False)
    assert snapshots.gib == pytest.approx(50 * BLOCK / GIB), "nothing has changed, so the second takes nothing"
    assert snapshots.estimated_gib == pytest.approx(2 * 1.05, rel=0.01)
    assert (backups.leg, backups.points, backups.exact) == (Leg.BACKUP, 2, True)
    assert 0 < backups.gib < 50 * BLOCK / GIB
    assert backups.read_gib == pytest.approx(50 * BLOCK / GIB)
    assert backups.usd == pytest.approx(backups.gib * 0.023)
    assert backups.estimated_usd > backups.usd
