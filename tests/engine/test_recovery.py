"""The recovery table, row by row: no state of a dead owner's run is left without an answer."""

from __future__ import annotations

import pytest

from console.domain.run import State
from console.engine.recovery import Act, judge

ROWS = [
    (State.PROPOSED, False, True, Act.LEAVE),
    (State.CLAIMED, False, True, Act.CONTINUE),
    (State.CLAIMED, False, False, Act.EXPIRE),
    (State.SENDING, True, True, Act.ADOPT),
    (State.SENDING, True, False, Act.ADOPT),
    (State.SENDING, False, True, Act.BLOCK),
    (State.SENDING, False, False, Act.BLOCK),
    (State.RUNNING, False, False, Act.GUARD),
    (State.STOPPING, False, False, Act.GUARD),
    (State.UNCONFIRMED, False, False, Act.GUARD),
    (State.ENDED, True, True, Act.LEAVE),
]


@pytest.mark.parametrize(("state", "id_in_journal", "window_open", "act"), ROWS)
def test_the_table(state: State, id_in_journal: bool, window_open: bool, act: Act) -> None:
    assert judge(state, id_in_journal=id_in_journal, window_open=window_open) is act


def test_no_state_is_missing() -> None:
    assert {row[0] for row in ROWS} == set(State)


@pytest.mark.parametrize("window_open", [True, False])
def test_a_launch_that_may_have_left_is_never_sent_again(window_open: bool) -> None:
    assert judge(State.SENDING, id_in_journal=False, window_open=window_open) is not Act.CONTINUE
