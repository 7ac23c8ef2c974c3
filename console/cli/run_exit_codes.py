"""The exit codes of runs and launches.

Kept apart because every command loads `exit_codes`, and only some need the engine's models.
"""

from __future__ import annotations

from typing import assert_never

from console.cli.exit_codes import ExitCode
from console.domain.run import Outcome, Run, State
from console.engine.models import LaunchKind, LaunchResult


def exit_code_of_run(run: Run) -> ExitCode:
    """Return the exit code for the state of a run; OK while it goes on."""
    match run.state:
        case State.ENDED:
            return ExitCode.UNCONFIRMED if run.outcome is None else exit_code_of_outcome(run.outcome)
        case State.UNCONFIRMED:
            return ExitCode.UNCONFIRMED
        case State.PROPOSED | State.CLAIMED | State.SENDING | State.RUNNING | State.STOPPING:
            return ExitCode.OK
        case _:
            assert_never(run.state)


def exit_code_of_outcome(outcome: Outcome) -> ExitCode:
    """Return the exit code for the outcome of an ended run."""
    match outcome:
        case Outcome.OK | Outcome.SKIPPED:
            return ExitCode.OK
        case Outcome.FAILED | Outcome.INCOMPLETE:
            return ExitCode.AGENT
        case Outcome.TIMEOUT:
            return ExitCode.TIMEOUT
        case Outcome.BUDGET:
            return ExitCode.BUDGET
        case Outcome.CANCELLED | Outcome.DECLINED | Outcome.EXPIRED:
            return ExitCode.CANCELLED
        case Outcome.REJECTED | Outcome.REFUSED:
            return ExitCode.REFUSED
        case Outcome.WRITTEN_OFF:
            return ExitCode.UNCONFIRMED
        case Outcome.NOT_SENT:
            return ExitCode.TRY_LATER
        case _:
            assert_never(outcome)


def exit_code_of_launch(answer: LaunchResult) -> ExitCode:
    """Return the exit code for the answer to a launch, before its run has ended."""
    match answer.kind:
        case LaunchKind.LAUNCHED:
            return exit_code_of_run(answer.run)
        case LaunchKind.PROPOSED | LaunchKind.SKIPPED:
            return ExitCode.OK
        case LaunchKind.REFUSED:
            return ExitCode.REFUSED
        case _:
            assert_never(answer.kind)
