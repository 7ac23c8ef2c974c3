"""The recovery table, row by row: no state of a dead owner's run is left without an answer."""

from __future__ import annotations

import pytest

from console.domain.run import State
from console.engine.recovery import RecoveryAction, recovery_action

ROWS = [
    (State.PROPOSED, False, True, RecoveryAction.LEAVE),
    (State.CLAIMED, False, True, RecoveryAction.CONTINUE),
    (State.CLAIMED, False, False, RecoveryAction.EXPIRE),
    (State.SENDING, True, True, RecoveryAction.ADOPT),
    (State.SENDING, True, False, RecoveryAction.ADOPT),
    (State.SENDING, False, True, RecoveryAction.BLOCK),
    (State.SENDING, False, False, RecoveryAction.BLOCK),
    (State.RUNNING, False, False, RecoveryAction.GUARD),
    (State.STOPPING, False, False, RecoveryAction.GUARD),
    (State.UNCONFIRMED, False, False, RecoveryAction.GUARD),
    (State.ENDED, True, True, RecoveryAction.LEAVE),
]


@pytest.mark.parametrize(("state", "id_in_journal", "window_open", "act"), ROWS)
def test_the_table(state: State, id_in_journal: bool, window_open: bool, act: RecoveryAction) -> None:
    assert recovery_action(state, id_in_journal=id_in_journal, window_open=window_open) is act


def test_no_state_is_missing() -> None:
    assert {row[0] for row in ROWS} == set(State)


@pytest.mark.parametrize("window_open", [True, False])
def test_a_launch_that_may_have_left_is_never_sent_again(window_open: bool) -> None:
    assert recovery_action(State.SENDING, id_in_journal=False, window_open=window_open) is not RecoveryAction.CONTINUE
