"""States of sessions and tasks: they only go forward, and a session ends as its worst task."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.session import State, may_follow, outcome

FINAL = {State.SUCCESS, State.WARNING, State.ERROR, State.CANCELLED}
OPEN = {State.PENDING, State.RUNNING}


def test_the_final_states() -> None:
    assert {state for state in State if state.final} == FINAL


@pytest.mark.parametrize("state", [state for state in State if state in FINAL])
def test_a_final_state_is_never_left(state: State) -> None:
    assert not any(may_follow(state, following) for following in State)


def test_what_may_follow_an_open_state() -> None:
    assert {s for s in State if may_follow(State.PENDING, s)} == {State.RUNNING, State.ERROR, State.CANCELLED}
    assert {s for s in State if may_follow(State.RUNNING, s)} == FINAL


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], State.SUCCESS),
        ([State.SUCCESS, State.SUCCESS], State.SUCCESS),
        ([State.SUCCESS, State.WARNING], State.WARNING),
        ([State.WARNING, State.ERROR, State.SUCCESS], State.ERROR),
        ([State.ERROR, State.CANCELLED], State.CANCELLED),
        ([State.ERROR, State.RUNNING], None),
        ([State.PENDING], None),
    ],
)
def test_the_outcome_of_a_session(states: list[State], expected: State | None) -> None:
    assert outcome(states) is expected


@given(states=st.lists(st.sampled_from(State)))
def test_an_outcome_is_one_of_the_states_seen_and_order_does_not_matter(states: list[State]) -> None:
    found = outcome(states)
    assert found is outcome(reversed(states))
    if OPEN & set(states):
        assert found is None
    else:
        assert found in (states or [State.SUCCESS])


@given(states=st.lists(st.sampled_from([state for state in State if state in FINAL])))
def test_one_more_success_changes_no_outcome(states: list[State]) -> None:
    assert outcome([*states, State.SUCCESS]) is outcome(states)
