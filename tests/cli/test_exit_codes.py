"""Each state, outcome and launch result has the documented exit code, which scripts rely on."""

from __future__ import annotations

import pytest

from console.cli.exit_codes import ExitCode
from console.cli.run_exit_codes import exit_code_of_launch, exit_code_of_outcome, exit_code_of_run
from console.domain.caps import Refusal, RefusalKind
from console.domain.run import Outcome, State
from console.engine.models import LaunchKind, LaunchResult
from tests.cli.runs import ended, history_entry, run

OUTCOMES = {
    Outcome.OK: 0,
    Outcome.SKIPPED: 0,
    Outcome.FAILED: 1,
    Outcome.INCOMPLETE: 1,
    Outcome.TIMEOUT: 3,
    Outcome.BUDGET: 4,
    Outcome.CANCELLED: 5,
    Outcome.DECLINED: 5,
    Outcome.EXPIRED: 5,
    Outcome.REJECTED: 6,
    Outcome.REFUSED: 6,
    Outcome.WRITTEN_OFF: 7,
    Outcome.NOT_SENT: 75,
}
OPEN = {
    State.PROPOSED: 0,
    State.CLAIMED: 0,
    State.SENDING: 0,
    State.RUNNING: 0,
    State.STOPPING: 0,
    State.UNCONFIRMED: 7,
}


def test_the_tables_have_all_states_outcomes_and_results() -> None:
    assert set(OUTCOMES) == set(Outcome)
    assert set(OPEN) == set(State) - {State.ENDED}


@pytest.mark.parametrize(("outcome", "code"), OUTCOMES.items())
def test_every_ending_has_its_code(outcome: Outcome, code: int) -> None:
    assert exit_code_of_outcome(outcome) == code
    assert exit_code_of_run(ended(outcome)) == code


@pytest.mark.parametrize(("state", "code"), OPEN.items())
def test_an_open_run_is_no_failure_unless_it_is_unconfirmed(state: State, code: int) -> None:
    assert exit_code_of_run(run(state=state)) == code


def test_an_unknown_ending_is_never_reported_as_ok() -> None:
    assert exit_code_of_run(run(state=State.ENDED, outcome=None)) == ExitCode.UNCONFIRMED


def test_every_launch_result_has_its_code() -> None:
    refusal = Refusal(kind=RefusalKind.PAUSED, sentence="paused")
    answers = {
        LaunchKind.LAUNCHED: (LaunchResult(kind=LaunchKind.LAUNCHED, run=run()), 0),
        LaunchKind.PROPOSED: (LaunchResult(kind=LaunchKind.PROPOSED, run=run(state=State.PROPOSED)), 0),
        LaunchKind.SKIPPED: (LaunchResult(kind=LaunchKind.SKIPPED, run=history_entry(Outcome.SKIPPED, "done")), 0),
        LaunchKind.REFUSED: (
            LaunchResult(kind=LaunchKind.REFUSED, run=history_entry(Outcome.REFUSED, "paused"), refusal=refusal),
            6,
        ),
    }
    assert set(answers) == set(LaunchKind)
    assert all(exit_code_of_launch(answer) == code for answer, code in answers.values())


def test_the_codes_themselves_never_change() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "AGENT": 1,
        "USAGE": 2,
        "TIMEOUT": 3,
        "BUDGET": 4,
        "CANCELLED": 5,
        "REFUSED": 6,
        "UNCONFIRMED": 7,
        "STORE": 8,
        "INTERNAL": 70,
        "TRY_LATER": 75,
        "HUNG_UP": 129,
        "INTERRUPTED": 130,
        "QUIT": 131,
        "PIPE": 141,
        "TERMINATED": 143,
    }
