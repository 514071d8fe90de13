"""AWS's list prices of the Regions in use: read once a week and on request, kept with their dates, bundled ones until then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from server.domain import price_list
from server.domain import regions as geography
from server.domain.access import Caller, Role
from server.domain.cost import Prices, bundled
from server.domain.errors import AwsError, DatabaseDown, HoldfastError, InvalidInput, QueueDown, Unavailable
from server.domain.preferences import PriceList
from server.domain.price_list import ENDPOINT_REGIONS, QUERIES, Query, Reading
from server.domain.session import Level, Session, SessionKind, State, TaskKind
from server.domain.workload import Place, place
from server.ports import Select, Tx, Where
from server.services import accounts, runs
from server.services.context import Services
from server.services.steps import Done, Handler, Line, Next, Run
from server.services.wording import count

PERMISSIONS: Final = ("pricing:GetProducts",)
FRESH: Final = timedelta(days=7)
REGIONS_MAX: Final = 64
POLICIES_MAX: Final = 1000
PAGE: Final = 100  # products; the most AWS gives
ITEMS_MAX: Final = 20_000  # of one Region; AWS lists some hundreds


# ---- what is known ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Book:
    """Prices of one Region; ``fetched_at`` None: the bundled ones."""

    prices: Prices
    fetched_at: datetime | None


def books(tx: Tx, regions: Iterable[str]) -> dict[str, Book]:
    """By Region; for each there is one."""
    wanted = set(regions)
    where = (Where("region", "in", sorted(wanted)),)
    found = {region: Book(bundled(region), None) for region in wanted}
    for row in tx.price_lists.page(Select(where=where, limit=REGIONS_MAX)) if wanted else ():
        found[row.region] = Book(price_list.prices(row.region, Reading.from_json(row.document)), row.fetched_at)
    return found


def of(tx: Tx, regions: Iterable[str]) -> dict[str, Prices]:
    """By Region; for each there is one."""
    return {region: book.prices for region, book in books(tx, regions).items()}


def loaded(app: Services, caller: Caller, regions: Iterable[str]) -> dict[str, Prices]:
    """By Region; for each there is one. Errors: Forbidden."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        return of(tx, regions)


def of_region(app: Services, region: str | None) -> Prices:
    """One Region's; None: somewhere that is not AWS, estimated as the dearest known."""
    if region is None:
        return bundled(None)
    with app.store.transaction() as tx:
        return of(tx, [region])[region]


def known(app: Services, caller: Caller) -> list[Book]:
    """Of every Region in use or listed, by name."""
    caller.require(Role.VIEWER)
    with app.store.transaction() as tx:
        listed = {row.region for row in tx.price_lists.page(Select(limit=REGIONS_MAX))}
        found = books(tx, sorted(listed | set(in_use(tx)))[:REGIONS_MAX])
    return [found[region] for region in sorted(found)]


def in_use(tx: Tx) -> list[str]:
    """Regions policies, repositories and present resources name; at most REGIONS_MAX."""
    found = {str(region) for region in tx.resources.groups("region", (Where("present", "eq", True),))}
    for policy in tx.policies.page(Select(limit=POLICIES_MAX)):
        found.update(policy.scope.regions, (target.region for target in policy.replicas))
    found.update(row.region for row in tx.repositories.page(Select(limit=POLICIES_MAX)) if row.region is not None)
    return sorted(found)[:REGIONS_MAX]


# ---- reading AWS's list -----------------------------------------------------------------------------------------------


def refresh(
    app: Services, caller: Caller, regions: Sequence[str] | None = None, *, dry_run: bool = False, key: str | None = None
) -> Session | None:
    """Read AWS's list now, of these Regions or of all in use. None when ``dry_run``. Errors: Forbidden, InvalidInput."""
    caller.require(Role.OPERATOR)
    if regions is not None:
        _check(regions)
    with app.store.transaction() as tx:
        if key is not None and (earlier := tx.sessions.find(key=key)) is not None:
            return earlier
        chosen = in_use(tx) if regions is None else sorted(set(regions))
        if not chosen:
            wrong = "No Region is in use yet."
            raise InvalidInput(wrong, remedy="Name the Regions, or rescan an account first.", fields={"regions": wrong})
        return None if dry_run else _begin(tx, app, chosen, requested_by=caller.name, key=key)


def _check(regions: Sequence[str]) -> None:
    unknown = [region for region in regions if region not in geography.TITLES]
    if unknown:
        guess = geography.nearest(unknown[0])
        wrong = f"{unknown[0]!r} is not an AWS Region." + (f" Did you mean {guess}?" if guess else "")
        raise InvalidInput(wrong, fields={"regions": wrong})
    if not 1 <= len(regions) <= REGIONS_MAX:
        wrong = f"Choose between 1 and {REGIONS_MAX} Regions."
        raise InvalidInput(wrong, fields={"regions": wrong})


def begin_due(tx: Tx, app: Services, *, requested_by: str, key: str) -> Session | None:
    """Read the lists of Regions in use that are missing or a week old; None when there are none."""
    now = app.clock.now()
    used = in_use(tx)
    fresh = {region for region, book in books(tx, used).items() if book.fetched_at and now - book.fetched_at < FRESH}
    due = [region for region in used if region not in fresh]
    return _begin(tx, app, due, requested_by=requested_by, key=key) if due else None


def _begin(tx: Tx, app: Services, regions: Sequence[str], *, requested_by: str, key: str | None) -> Session:
    draft = runs.SessionDraft(
        kind=SessionKind.PRICES,
        name=f"Prices of {count(len(regions), 'Region')}",
        requested_by=requested_by,
        key=key,
        opening=((Level.INFO, f"Reading AWS's price list for {', '.join(regions)}."),),
    )
    tasks = [runs.TaskDraft(kind=TaskKind.READ_PRICES, name=region, document={"region": region}) for region in regions]
    return runs.begin(tx, app, draft, tasks)


def _step(run: Run) -> Next | Done:
    """Ask the first of the list's endpoints that answers. Repeating it reads the list again."""
    region = run.task.document["region"]
    home = accounts.ensure_home(run.app)
    problem: HoldfastError | None = None
    for endpoint in ENDPOINT_REGIONS:
        run.check()
        try:
            reading = price_list.read(_items(run, place(home, endpoint), region))
        except (DatabaseDown, QueueDown):
            raise
        except (AwsError, Unavailable) as error:
            problem = error
        else:
            return _unread(region, None) if reading is None else _read(run, region, reading)
    return _unread(region, problem)


def _read(run: Run, region: str, reading: Reading) -> Done:
    now = run.app.clock.now()
    lacking = price_list.prices(region, reading).missing
    text = f"{region}: prices of {reading.published:%Y-%m-%d} read" + (
        f"; the list does not have {', '.join(lacking)}, for which the bundled prices are used." if lacking else "."
    )
    return Done(
        message=text,
        document={"result": {"region": region, "published": reading.published.isoformat(), "missing": list(lacking)}},
        lines=(Line(text, Level.SUCCESS),),
        change=lambda tx: _store(tx, run.app, region, reading, now),
    )


def _unread(region: str, error: HoldfastError | None) -> Done:
    """A warning: estimates go on with the prices there are, so nobody has to be woken for it."""
    why = error.sentence() if error else "AWS lists none of the products there."
    text = f"{region}: the price list could not be read; estimates use the prices known before. {why}"
    line = Line(text, Level.WARNING, {"code": error.code} if error else {})
    return Done(state=State.WARNING, message=text, document={"result": {"region": region}}, lines=(line,))


def _store(tx: Tx, app: Services, region: str, reading: Reading, now: datetime) -> None:
    earlier = tx.price_lists.find(region=region)
    row = PriceList(
        id=earlier.id if earlier else app.new_id(),
        region=region,
        published_at=datetime.combine(reading.published, time(), tzinfo=UTC),
        fetched_at=now,
        document=reading.to_json(),
    )
    if earlier is None:
        tx.price_lists.add(row)
    else:
        tx.price_lists.save(row)


def _items(run: Run, where: Place, region: str) -> Iterator[str]:
    number = 0
    for query in QUERIES:
        for page in run.app.aws.pages(where, "pricing", "get_products", **request(query, region)):
            run.check()
            for item in page.get("PriceList", ()):
                number += 1
                if number > ITEMS_MAX:
                    return
                yield item


def request(query: Query, region: str) -> dict[str, Any]:
    """Parameters of GetProducts."""
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in query.attributes(region).items()]
    return {"ServiceCode": query.service, "Filters": filters, "FormatVersion": "aws_v1", "MaxResults": PAGE}


HANDLER: Final = Handler(step=_step)
