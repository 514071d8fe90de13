"""The legs of a task: what depends on what, and what is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.domain import legs
from server.domain.legs import Legs, LegState, TaskLeg
from server.domain.restore import Leg
from server.domain.session import State

ALL = legs.planned(list(Leg), guest=True, verify=True)
CLOSED = [state for state in LegState if not state.open]


def some_legs() -> st.SearchStrategy[Legs]:
    records = st.builds(legs.LegRecord, st.sampled_from(LegState), st.text(max_size=5))
    return st.fixed_dictionaries(dict.fromkeys(TaskLeg, records))


def test_a_task_has_the_legs_it_makes_in_order() -> None:
    assert list(ALL) == list(TaskLeg)
    assert list(legs.planned([Leg.REPLICA, Leg.SNAPSHOT], guest=False, verify=True)) == [TaskLeg.SNAPSHOT, TaskLeg.REPLICA]


@given(some_legs())
def test_they_are_stored_and_read_again(given_legs: Legs) -> None:
    assert legs.from_json(legs.to_json(given_legs)) == given_legs


@given(some_legs(), st.sampled_from(TaskLeg))
def test_what_made_nothing_leaves_only_those_out_that_need_it(given_legs: Legs, leg: TaskLeg) -> None:
    after = legs.unmade(given_legs, leg)
    for each in TaskLeg:
        waiting = given_legs[each].state is LegState.PENDING
        expected = LegState.SKIPPED if waiting and leg in legs.NEEDS.get(each, ()) else given_legs[each].state
        assert after[each].state is expected


@given(some_legs(), st.sets(st.sampled_from(TaskLeg), min_size=1))
def test_another_attempt_redoes_the_failed_legs_and_what_was_left_out_for_them_alone(
    given_legs: Legs, failed: set[TaskLeg]
) -> None:
    after = legs.again(given_legs, failed)
    for leg in TaskLeg:
        left_out = given_legs[leg].state is LegState.SKIPPED and failed & set(legs.NEEDS.get(leg, ()))
        with_snapshot = leg is TaskLeg.GUEST and TaskLeg.SNAPSHOT in failed
        redone = leg in failed or left_out or with_snapshot
        assert after[leg].state is (LegState.PENDING if redone else given_legs[leg].state)


@given(some_legs())
def test_the_worst_leg_is_the_tasks_outcome(given_legs: Legs) -> None:
    states = {record.state for record in given_legs.values()}
    expected = State.ERROR if LegState.ERROR in states else State.WARNING if LegState.WARNING in states else State.SUCCESS
    assert legs.outcome(given_legs) is expected


def test_the_guest_waits_while_the_snapshot_is_at_work() -> None:
    at_work = legs.marked(legs.marked(ALL, TaskLeg.GUEST, LegState.RUNNING), TaskLeg.SNAPSHOT, LegState.RUNNING)
    assert legs.running(at_work) is TaskLeg.SNAPSHOT
    assert legs.following(at_work) is TaskLeg.REPLICA
    assert legs.running(ALL) is None
