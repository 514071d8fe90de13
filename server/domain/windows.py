"""When the windows of an SLA policy have closed everywhere: then its retention runs. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from server.domain.region_zones import zone_name
from server.domain.sla import SlaTerms, opening
from server.domain.wall_clock import local_date, zone

DAY = timedelta(days=1)


def closed_since(terms: SlaTerms, regions: Collection[str], now: datetime) -> datetime | None:
    """The instant from which on no window of any Region has been open; None while one is. A window of 24 hours never closes."""
    windows = {terms.snapshot.window} | ({terms.backup.window} if terms.backup else set())
    latest: datetime | None = None
    for region in regions:
        today = local_date(now, zone(zone_name(region)))
        for window in windows:
            for day in (today - 2 * DAY, today - DAY, today):  # one that crosses midnight closes the day after it opens
                opens, closes = opening(window, day, region)
                if opens <= now < closes:
                    return None
                if closes <= now and (latest is None or closes > latest):
                    latest = closes
    return latest


def closings(terms: SlaTerms, regions: Collection[str], after: datetime, until: datetime) -> list[datetime]:
    """The instants in (after, until] at which the windows have just closed everywhere, ascending."""
    windows = {terms.snapshot.window} | ({terms.backup.window} if terms.backup else set())
    candidates: set[datetime] = set()
    for region in regions:
        day = local_date(after, zone(zone_name(region))) - 2 * DAY
        while day <= until.date() + DAY:
            candidates.update(opening(window, day, region)[1] for window in windows)
            day += DAY
    return [at for at in sorted(candidates) if after < at <= until and closed_since(terms, regions, at) == at]
