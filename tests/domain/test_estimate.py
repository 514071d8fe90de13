"""Estimates: worked examples by hand, and what must hold for any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.cost import GIB, bundled
from server.domain.estimate import Assumptions, Chain, Component, Line, Measured, Plan, Row, Shelf, Subject, estimate, totals
from server.domain.repository import StorageClass
from server.domain.restore import Leg

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
VIRGINIA, FRANKFURT, IRELAND = "us-east-1", "eu-central-1", "eu-west-1"
PRICES = {region: bundled(region) for region in (VIRGINIA, FRANKFURT, IRELAND)}


def daily(kept: int, *, lifetime: int | None = None) -> Chain:
    """One point a day for a year, the newest ``kept`` of them there."""
    moments = tuple(NOW - timedelta(days=days) for days in range(364, -1, -1))
    return Chain(kept=moments[len(moments) - kept :], runs=moments, lifetime=timedelta(days=lifetime) if lifetime else None)


def monthly(kept: int, lifetime: int) -> Chain:
    moments = tuple(NOW - timedelta(days=30 * months) for months in range(11, -1, -1))
    return Chain(kept=moments[len(moments) - kept :], runs=moments, lifetime=timedelta(days=lifetime))


def subject(region: str = VIRGINIA, *, gib: int = 100, encrypted: int = 0, measured: Measured | None = None) -> Subject:
    return Subject(
        id=UUID(int=1),
        name="db-1",
        aws_id="i-1",
        region=region,
        disks=2,
        encrypted_disks=encrypted,
        size_bytes=gib * GIB,
        measured=measured or Measured(),
    )


def row(plan: Plan, one: Subject | None = None, assumed: Assumptions | None = None) -> Row:
    [found] = estimate([one or subject(plan.region)], {plan.region: plan}, PRICES, assumed or Assumptions())
    return found


def line(found: Row, leg: Leg, component: Component, what: str = "") -> Line:
    [chosen] = [one for one in found.lines if (one.leg, one.component) == (leg, component) and what in one.what]
    return chosen


def test_a_week_of_snapshots_is_one_full_and_six_days_of_changes() -> None:
    """100 GiB, 5 % a day: 100 + 6 x 5 = 130 GiB at 0.05 USD."""
    found = row(Plan(region=VIRGINIA, chains={Leg.SNAPSHOT: daily(7)}))
    snapshots = line(found, Leg.SNAPSHOT, Component.STORAGE)
    assert snapshots.quantity == pytest.approx(130)
    assert found.usd == snapshots.usd == pytest.approx(6.5)


def test_the_change_tracking_base_is_a_line_of_its_own_where_retention_would_not_keep_it() -> None:
    """No snapshot kept; the one behind the last backup is held whole: 100 GiB at 0.05 USD."""
    plan = Plan(region=VIRGINIA, chains={Leg.SNAPSHOT: daily(0), Leg.BACKUP: daily(30)}, backup=Shelf(region=VIRGINIA))
    assert line(row(plan), Leg.SNAPSHOT, Component.BASE).usd == pytest.approx(5.0)
    kept = Plan(region=VIRGINIA, chains={Leg.SNAPSHOT: daily(1), Leg.BACKUP: daily(30)}, backup=Shelf(region=VIRGINIA))
    assert not [one for one in row(kept).lines if one.component is Component.BASE]
    untracked = Plan(
        region=VIRGINIA,
        chains={Leg.SNAPSHOT: daily(0), Leg.BACKUP: daily(30)},
        backup=Shelf(region=VIRGINIA),
        tracks_changes=False,
    )
    assert not [one for one in row(untracked).lines if one.component is Component.BASE]


def test_replicas_are_stored_at_the_targets_price_and_sent_once() -> None:
    """Frankfurt to Ireland: 130 GiB at 0.05; 30 daily copies of 5 GiB = 150 GiB at 0.02."""
    chains = {Leg.SNAPSHOT: daily(7), Leg.REPLICA: daily(7)}
    found = row(Plan(region=FRANKFURT, chains=chains, replica=IRELAND), subject(FRANKFURT, encrypted=1))
    assert line(found, Leg.REPLICA, Component.STORAGE).usd == pytest.approx(6.5)
    sent = line(found, Leg.REPLICA, Component.TRANSFER)
    assert [sent.quantity, sent.usd] == pytest.approx([150, 3.0])
    assert line(found, Leg.REPLICA, Component.REQUESTS, "KMS").quantity == pytest.approx(60)
    same = row(Plan(region=FRANKFURT, chains=chains, replica=FRANKFURT, encrypts=True), subject(FRANKFURT))
    assert not [one for one in same.lines if one.component is Component.TRANSFER]
    assert line(same, Leg.REPLICA, Component.REQUESTS, "KMS").quantity == pytest.approx(120), "both disks are encrypted there"


def test_backups_store_less_than_they_read() -> None:
    """30 daily backups: 100 + 29 x 5 = 245 GiB, half stored, at 0.023; 150 GiB read = 307,200 blocks at 0.003 a thousand."""
    plan = Plan(region=VIRGINIA, chains={Leg.SNAPSHOT: daily(1), Leg.BACKUP: daily(30)}, backup=Shelf(region=VIRGINIA))
    found = row(plan)
    assert line(found, Leg.BACKUP, Component.STORAGE).usd == pytest.approx(122.5 * 0.023)
    read = line(found, Leg.BACKUP, Component.REQUESTS, "blocks read")
    assert [read.quantity, read.usd] == pytest.approx([307_200, 0.9216])
    lists = line(found, Leg.BACKUP, Component.REQUESTS, "Lists")
    assert lists.quantity == pytest.approx(60), "one page for each of two disks a day"
    uploads = line(found, Leg.BACKUP, Component.REQUESTS, "Uploads")
    assert uploads.quantity == pytest.approx(75 * 64 + 30 * 7)


def test_a_repository_on_a_disk_costs_only_what_is_read_from_aws() -> None:
    chains = {Leg.SNAPSHOT: daily(1), Leg.BACKUP: daily(30)}
    found = row(Plan(region=VIRGINIA, chains=chains, backup=Shelf(region=VIRGINIA, local=True)))
    assert [one.what for one in found.lines if one.leg is Leg.BACKUP] == ["Snapshot blocks read", "Lists of snapshot blocks"]


def test_without_change_tracking_everything_is_read_but_only_changes_are_stored() -> None:
    chains = {Leg.SNAPSHOT: daily(1), Leg.BACKUP: daily(30)}
    tracked = row(Plan(region=VIRGINIA, chains=chains, backup=Shelf(region=VIRGINIA)))
    whole = row(Plan(region=VIRGINIA, chains=chains, backup=Shelf(region=VIRGINIA), tracks_changes=False))
    assert line(whole, Leg.BACKUP, Component.REQUESTS, "blocks read").quantity == pytest.approx(30 * 204_800)
    storage = (Leg.BACKUP, Component.STORAGE)
    assert line(whole, *storage) == line(tracked, *storage)


def test_archives_count_overhead_transfer_and_what_is_deleted_too_early() -> None:
    """2 monthly archives: 100 + 78.54 GiB, half stored. Kept 60 of 90 days in Flexible Retrieval: a month more is charged."""
    chains = {Leg.SNAPSHOT: daily(1), Leg.BACKUP: daily(30), Leg.ARCHIVE: monthly(2, lifetime=60)}
    shelf = Shelf(region=IRELAND, storage_class=StorageClass.GLACIER)
    found = row(Plan(region=VIRGINIA, chains=chains, backup=Shelf(region=VIRGINIA), archive=shelf))
    changed = 100 * (1 - 0.95**30)
    archives = line(found, Leg.ARCHIVE, Component.STORAGE)
    assert archives.quantity == pytest.approx((100 + changed) / 2)
    assert archives.usd > archives.quantity * 0.0036, "overhead"
    written = line(found, Leg.ARCHIVE, Component.TRANSFER)
    assert written.usd == pytest.approx(written.quantity * 0.02)
    early = line(found, Leg.ARCHIVE, Component.EARLY_DELETION)
    assert early.usd == pytest.approx(written.quantity * 0.0036)
    enough = {**chains, Leg.ARCHIVE: monthly(4, lifetime=90)}
    later = row(Plan(region=VIRGINIA, chains=enough, backup=Shelf(region=VIRGINIA), archive=shelf))
    assert not [one for one in later.lines if one.component is Component.EARLY_DELETION]


def test_what_was_measured_replaces_what_is_assumed() -> None:
    measured = Measured(used_bytes=40 * GIB, change=0.01, stored=0.25)
    plan = Plan(region=VIRGINIA, chains={Leg.SNAPSHOT: daily(2), Leg.BACKUP: daily(30)}, backup=Shelf(region=VIRGINIA))
    found = row(plan, subject(measured=measured))
    assert line(found, Leg.SNAPSHOT, Component.STORAGE).quantity == pytest.approx(40.4)
    assert line(found, Leg.BACKUP, Component.STORAGE).quantity == pytest.approx((40 + 29 * 0.4) / 4)


def test_legs_without_a_place_cost_nothing() -> None:
    chains = {leg: daily(3, lifetime=3) for leg in Leg}
    assert {one.leg for one in row(Plan(region=VIRGINIA, chains=chains)).lines} == {Leg.SNAPSHOT}


def test_totals_are_the_sum_of_all_rows() -> None:
    plan = Plan(region=VIRGINIA, chains={Leg.SNAPSHOT: daily(7), Leg.BACKUP: daily(7)}, backup=Shelf(region=FRANKFURT))
    rows = estimate([subject(), subject(gib=7)], {VIRGINIA: plan}, PRICES, Assumptions())
    found = totals(rows)
    assert sum(found.values()) == pytest.approx(sum(one.usd for one in rows))
    assert list(found) == sorted(found, key=lambda key: (list(Leg).index(key[0]), list(Component).index(key[1])))
    assert found[Leg.BACKUP, Component.TRANSFER] > 0


@given(
    gib=st.integers(0, 65_536),
    kept=st.integers(0, 365),
    change=st.floats(0, 100),
    used=st.floats(0, 100),
    stored=st.floats(0, 100),
)
def test_more_points_and_more_change_never_cost_less(gib: int, kept: int, change: float, used: float, stored: float) -> None:
    def usd(points: int, assumed: Assumptions) -> float:
        chains = {leg: daily(points, lifetime=30) for leg in Leg}
        plan = Plan(
            region=VIRGINIA,
            chains=chains,
            backup=Shelf(region=VIRGINIA),
            archive=Shelf(region=VIRGINIA, storage_class=StorageClass.DEEP_ARCHIVE),
            replica=IRELAND,
        )
        return row(plan, subject(gib=gib), assumed).usd

    less = Assumptions(change=change / 2, used=used, stored=stored)
    more = Assumptions(change=change, used=used, stored=stored)
    assert 0 <= usd(kept, less) <= usd(kept, more) * (1 + 1e-9)
    assert usd(kept, more) <= usd(min(365, kept + 30), more) * (1 + 1e-9) + 1e-9


@given(st.integers(1, 1000), st.integers(1, 365))
def test_a_chain_never_takes_more_than_every_point_whole(gib: int, kept: int) -> None:
    found = row(Plan(region=VIRGINIA, chains={Leg.SNAPSHOT: daily(kept)}), subject(gib=gib), Assumptions(change=100))
    assert line(found, Leg.SNAPSHOT, Component.STORAGE).quantity == pytest.approx(gib * kept)
