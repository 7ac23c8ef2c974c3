"""The recovery table, row by row: each state of a run whose owner died has one recovery action."""

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


@pytest.mark.parametrize(("state", "id_in_journal", "window_open", "action"), ROWS)
def test_each_row_of_the_table(state: State, id_in_journal: bool, window_open: bool, action: RecoveryAction) -> None:
    assert recovery_action(state, id_in_journal=id_in_journal, window_open=window_open) is action


def test_the_table_has_all_states() -> None:
    assert {row[0] for row in ROWS} == set(State)


@pytest.mark.parametrize("window_open", [True, False])
def test_a_launch_that_may_have_been_sent_is_not_sent_again(window_open: bool) -> None:
    assert recovery_action(State.SENDING, id_in_journal=False, window_open=window_open) is not RecoveryAction.CONTINUE
