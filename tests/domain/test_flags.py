"""Harmonised schedules: the worked example with its own days, and a brute-force model."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from server.domain.flags import Flagged, harmonise, letters
from server.domain.periods import WORK_DAYS, Frequency, Period, Weekday
from server.domain.restore import Leg
from server.domain.schedule import Daily, Rule, Schedule, Weekly, slots

D, W = Frequency.DAILY, Frequency.WEEKLY
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FIRST_MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def name(at: datetime) -> str:
    week = (at - FIRST_MONDAY).days // 7 + 1
    return f"{WEEKDAYS[at.weekday()]}{week}-{at:%H}"


class Simulation:
    """Runs a schedule slot by slot, prunes the chain after each run."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.rules = {f: rule for f in Frequency if (rule := schedule.rule(f, Leg.SNAPSHOT))}
        self.chain: list[Flagged] = []
        self.removed: list[str] = []
        self.now = FIRST_MONDAY - timedelta(minutes=1)

    def until(self, moment: datetime) -> dict[str, str]:
        for slot in slots(self.schedule, self.now, moment):
            self.chain.append(Flagged(UUID(int=len(self.chain) + len(self.removed) + 1), slot.at, slot.flags[Leg.SNAPSHOT]))
            kept = harmonise(self.chain, self.rules, slot.at)
            self.removed += [name(point.at) for point in self.chain if not kept[point.id].flags]
            self.chain = [Flagged(p.id, p.at, kept[p.id].flags) for p in self.chain if kept[p.id].flags]
        self.now = moment
        return {name(point.at): letters(point.flags) for point in self.chain}


def test_example_daily_at_07_09_11_keep_3_weekly_monday_07_keep_2() -> None:
    """Daily Mon–Fri 07/09/11 keep 3; weekly Mon 07 keep 2."""
    monday = (Weekday.MONDAY.value,)
    run = Simulation(
        Schedule(
            daily=Daily(days=WORK_DAYS, snapshot=Rule(slots=(7, 9, 11), count=3)),
            weekly=Weekly(hour=7, snapshot=Rule(slots=monday, count=2)),
        )
    )

    def at(day: int, hour: int) -> dict[str, str]:
        return run.until(FIRST_MONDAY + timedelta(days=day, hours=hour))

    assert at(0, 7) == {"Mon1-07": "DW"}
    assert at(0, 11) == {"Mon1-07": "DW", "Mon1-09": "D", "Mon1-11": "D"}
    assert at(1, 7) == {"Mon1-07": "W", "Mon1-09": "D", "Mon1-11": "D", "Tue1-07": "D"}
    assert run.removed == []
    assert at(1, 9) == {"Mon1-07": "W", "Mon1-11": "D", "Tue1-07": "D", "Tue1-09": "D"}
    assert run.removed == ["Mon1-09"]
    assert at(6, 23) == {"Mon1-07": "W", "Fri1-07": "D", "Fri1-09": "D", "Fri1-11": "D"}
    assert at(7, 7) == {"Mon1-07": "W", "Fri1-09": "D", "Fri1-11": "D", "Mon2-07": "DW"}
    assert run.removed[-1] == "Fri1-07"
    assert at(13, 23) == {"Mon1-07": "W", "Mon2-07": "W", "Fri2-07": "D", "Fri2-09": "D", "Fri2-11": "D"}
    assert at(14, 7) == {"Mon2-07": "W", "Fri2-09": "D", "Fri2-11": "D", "Mon3-07": "DW"}
    assert sorted(run.removed[-2:]) == ["Fri2-07", "Mon1-07"]


flags = st.frozensets(st.sampled_from(list(Frequency)), max_size=4)
chains = st.lists(st.tuples(st.integers(0, 400), flags), max_size=20)
rules = st.dictionaries(
    st.sampled_from(list(Frequency)),
    st.one_of(st.builds(Rule, count=st.integers(0, 5)), st.builds(Rule, period=st.builds(Period, st.integers(1, 300)))),
)


@given(chains, rules)
def test_a_flag_stays_exactly_when_its_rule_keeps_it(
    drawn: list[tuple[int, frozenset[Frequency]]], kept_by: dict[Frequency, Rule]
) -> None:
    now = FIRST_MONDAY
    chain = [Flagged(UUID(int=i + 1), now - timedelta(days=age), flags) for i, (age, flags) in enumerate(drawn)]
    result = harmonise(chain, kept_by, now)
    counted = next((frequency for frequency in Frequency if frequency in kept_by), None)
    if counted is not None:  # a flag without a rule counts as that of the most frequent schedule with one
        chain = [replace(p, flags=frozenset(f if f in kept_by else counted for f in p.flags)) for p in chain]
    for point in chain:
        for frequency in Frequency:
            rule = kept_by.get(frequency)
            newer = sum(1 for p in chain if frequency in p.flags and (p.at, p.id) > (point.at, point.id))
            if frequency not in point.flags or rule is None:
                expected = False
            elif rule.period is not None:
                expected = point.at + timedelta(days=rule.period.amount) > now
            else:
                expected = newer < (rule.count or 0)
            assert (frequency in result[point.id].flags) is expected
