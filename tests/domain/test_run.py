"""Every transition between states, the meaning of each final status, and unique, sorted run ids."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.run import (
    HOLDING,
    KEY_FREEING_OUTCOMES,
    LIVE,
    NEXT,
    NON_RUN_OUTCOMES,
    Ending,
    IllegalTransition,
    Outcome,
    State,
    StopReason,
    check_transition,
    new_run_id,
    settled_outcome,
)
from tests.clock import ManualClock
from tests.domain.test_key_decision import LIMITS, a_run

EDGES = {
    ("proposed", "claimed"),
    ("proposed", "ended"),
    ("claimed", "sending"),
    ("claimed", "ended"),
    ("sending", "claimed"),
    ("sending", "running"),
    ("sending", "unconfirmed"),
    ("sending", "ended"),
    ("running", "stopping"),
    ("running", "ended"),
    ("stopping", "ended"),
    ("unconfirmed", "running"),
    ("unconfirmed", "ended"),
}


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
def test_only_the_listed_transitions_are_allowed(before: State, after: State) -> None:
    if (before.value, after.value) in EDGES:
        check_transition(before, after)
        return
    with pytest.raises(IllegalTransition, match=f"^a run cannot go from {before} to {after}$"):
        check_transition(before, after)


def test_every_state_can_reach_ended_and_ended_is_final() -> None:
    assert set(NEXT) == set(State)
    reaching = {State.ENDED}
    while more := {state for state in State if NEXT[state] & reaching} - reaching:
        reaching |= more
    assert reaching == set(State)
    assert NEXT[State.ENDED] == frozenset()


def test_no_transition_leads_back_before_the_launch() -> None:
    assert NEXT[State.STOPPING] == {State.ENDED}
    for state in (State.RUNNING, State.STOPPING, State.UNCONFIRMED):
        assert not NEXT[state] & {State.CLAIMED, State.SENDING, State.PROPOSED}


def test_which_states_hold_units_and_take_a_slot() -> None:
    assert LIVE | {State.UNCONFIRMED} == HOLDING
    assert set(State) - HOLDING == {State.PROPOSED, State.ENDED}


def test_which_outcomes_free_the_key() -> None:
    assert {str(outcome) for outcome in KEY_FREEING_OUTCOMES} == {"not_sent", "rejected", "declined", "expired"}
    assert not KEY_FREEING_OUTCOMES & NON_RUN_OUTCOMES


@pytest.mark.parametrize("reason", [None, *StopReason])
def test_an_ending_of_the_run_itself_is_kept_after_a_stop_request(reason: StopReason | None) -> None:
    assert settled_outcome(Ending.OK, reason) is Outcome.OK
    assert settled_outcome(Ending.FAILED, reason) is Outcome.FAILED
    assert settled_outcome(Ending.SERVER_LIMIT, reason) is Outcome.BUDGET
    assert settled_outcome(Ending.INCOMPLETE, reason) is Outcome.INCOMPLETE


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (None, Outcome.CANCELLED),
        (StopReason.OPERATOR, Outcome.CANCELLED),
        (StopReason.KILL_SWITCH, Outcome.CANCELLED),
        (StopReason.TIMEOUT, Outcome.TIMEOUT),
        (StopReason.BUDGET, Outcome.BUDGET),
    ],
)
def test_the_outcome_of_cancelled_follows_the_stop_reason(reason: StopReason | None, outcome: Outcome) -> None:
    assert settled_outcome(Ending.CANCELLED, reason) is outcome


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_run_id_is_a_lower_case_ulid(wall_ms: int, randomness: bytes) -> None:
    run_id = new_run_id(wall_ms, randomness)
    assert len(run_id) == 26
    assert set(run_id) <= set("0123456789abcdefghjkmnpqrstvwxyz")
    assert run_id[0] in "01234567"
    number = 0
    for digit in run_id:
        number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(digit)
    assert number == wall_ms << 80 | int.from_bytes(randomness, "big")


@given(st.lists(st.tuples(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10)), unique=True))
def test_run_ids_sort_by_time_and_are_unique(sources: list[tuple[int, bytes]]) -> None:
    ids = [new_run_id(*source) for source in sources]
    assert len(set(ids)) == len(sources)
    assert sorted(ids) == [new_run_id(*source) for source in sorted(sources)]


@pytest.mark.parametrize("length", [0, 9, 11])
def test_a_run_id_takes_ten_random_bytes(length: int) -> None:
    with pytest.raises(ValueError, match=f"10 random bytes, got {length}"):
        new_run_id(0, bytes(length))


def test_a_time_limit_counts_from_the_launch_and_has_passed_from_its_last_millisecond_on() -> None:
    clock = ManualClock()
    limits = replace(LIMITS, max_ms=15_000)
    claimed, sent = replace(a_run(), limits=limits), replace(a_run(), limits=limits, sent=clock.now())
    clock.advance(14.999)
    assert (sent.left_ms(clock.now()), sent.is_overdue(clock.now())) == (1, False)
    now = clock.advance(0.001)
    assert (sent.left_ms(now), sent.is_overdue(now), sent.is_overdue(now, grace_ms=1)) == (0, True, False)
    now = clock.advance(2.0)
    assert (sent.left_ms(now), sent.is_overdue(now, grace_ms=2_000)) == (-2_000, True)
    assert (claimed.left_ms(now), claimed.is_overdue(now)) == (None, False)
