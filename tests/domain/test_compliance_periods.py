"""When an entry of a chart appears, and by which terms the past is judged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import uuid4

from server.domain import compliance
from server.domain.compliance import SlaState, Span, always
from server.domain.periods import Frequency
from server.domain.policy import TemplateUse
from server.domain.restore import Leg
from server.domain.sla import (
    SlaTerms,
)
from tests.domain.promises_kept import HOUR, SUNDAY, Instance, at, daily, hourly, hours, judged, version

# ---- when entries appear ----------------------------------------------------------------------------------------------

REGIONS = ("ap-southeast-1", "us-west-2")


def over(now: str, handled: str | None = None, running: Sequence[str] = ()) -> bool:
    terms = always(SlaTerms(snapshot=daily(9, 21, 6 * HOUR)))
    span = Span(SUNDAY, SUNDAY)
    due = compliance.promised(terms, Leg.SNAPSHOT, Frequency.DAILY, REGIONS, span)
    noted = dict.fromkeys(REGIONS, at(handled or now))
    return compliance.over(span, due, REGIONS, at(now), noted, [at(one) for one in running])


def test_an_entry_appears_once_the_furthest_west_region_has_finished_its_last_session() -> None:
    """Oregon's last session of the day is at 23:00 UTC; its window closes at 05:00."""
    assert not over("2026-11-22 22:59"), "Singapore has finished long ago"
    assert not over("2026-11-22 23:01", running=["2026-11-22 23:00"])
    assert not over("2026-11-22 23:01", handled="2026-11-22 22:59"), "not started yet"
    assert over("2026-11-22 23:01")
    assert over("2026-11-22 23:01", running=["2026-11-23 21:00"]), "a session of the next day"
    assert over("2026-11-23 05:00", handled="2026-11-20 00:00"), "its window has closed: nothing will come of it"


def test_a_period_without_promises_is_over_when_its_last_day_has_ended_everywhere() -> None:
    def ended(now: str) -> bool:
        return compliance.over(Span(SUNDAY, SUNDAY), [], REGIONS, at(now), {}, [])

    assert not ended("2026-11-23 07:59")
    assert ended("2026-11-23 08:00")


def test_candidates_go_back_to_the_period_the_policy_was_made_in() -> None:
    found = list(compliance.candidates(Frequency.WEEKLY, ["unknown"], at("2026-11-22 12:00"), at("2026-11-04 12:00")))
    assert found == [
        Span(date(2026, 11, 16), date(2026, 11, 22)),
        Span(date(2026, 11, 9), date(2026, 11, 15)),
        Span(date(2026, 11, 2), date(2026, 11, 8)),
    ]
    months = list(compliance.candidates(Frequency.MONTHLY, ["unknown"], at("2027-03-01"), at("2026-12-31 23:00")))
    assert [(one.first.isoformat(), one.last.isoformat()) for one in months] == [
        ("2027-03-01", "2027-03-31"),
        ("2027-02-01", "2027-02-28"),
        ("2027-01-01", "2027-01-31"),
        ("2026-12-01", "2026-12-31"),
    ]


# ---- as it was --------------------------------------------------------------------------------------------------------


def test_the_terms_of_the_past_follow_templates_and_their_versions() -> None:
    gold, silver = uuid4(), uuid4()
    one, two, three = (SlaTerms(snapshot=daily(10, 18, HOUR), target=target) for target in (91, 92, 93))
    uses = [
        TemplateUse(template_id=gold, since=at("2026-05-01")),
        TemplateUse(template_id=silver, since=at("2026-07-01")),
        TemplateUse(template_id=gold, since=at("2026-09-01")),
    ]
    versions = [
        version(silver, 1, "2026-01-01", three),
        version(gold, 2, "2026-08-01", two),
        version(gold, 1, "2026-04-01", one),
    ]
    found = compliance.eras(uses, versions)
    assert [(era.since.month, era.terms.target) for era in found] == [(5, 91), (7, 93), (9, 92)]
    assert [era.until for era in found] == [at("2026-07-01"), at("2026-09-01"), compliance.END]


def test_a_day_on_which_the_terms_changed_is_judged_by_both() -> None:
    """Hourly until 14:00, then two-hourly: 10, 11, 12, 13 and 14, 16 were promised."""
    template = uuid4()
    versions = [
        version(template, 1, "2026-11-01", hourly()),
        version(template, 2, "2026-11-22 14:00", SlaTerms(snapshot=daily(10, 18, 2 * HOUR))),
    ]
    history = compliance.eras([TemplateUse(template_id=template, since=at("2026-11-01"))], versions)
    _, (standing,) = judged(history, [Instance(hours(10, 11, 14, 16))])
    assert (standing.made, standing.expected) == (4, 6)


def test_before_a_policy_followed_a_template_nothing_was_promised() -> None:
    template = uuid4()
    history = compliance.eras(
        [TemplateUse(template_id=template, since=at("2026-11-23"))], [version(template, 1, "2026-11-01", hourly())]
    )
    assert judged(history, [Instance([])])[0].state is SlaState.NOT_CONFIGURED
