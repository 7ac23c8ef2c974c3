"""What runs and launches say to the shell, as exit codes."""

from __future__ import annotations

from typing import assert_never

from console.cli.exits import Exit
from console.domain.run import Outcome, Run, State
from console.engine.snapshot import LaunchAnswer, LaunchKind


def exit_of_run(run: Run) -> Exit:
    """What the state of a run says to the shell; one that goes on says OK."""
    match run.state:
        case State.ENDED:
            # An ended run without an outcome does not exist; if it did, nothing is known about it.
            return Exit.UNCONFIRMED if run.outcome is None else exit_of_outcome(run.outcome)
        case State.UNCONFIRMED:
            return Exit.UNCONFIRMED
        case State.PROPOSED | State.CLAIMED | State.SENDING | State.RUNNING | State.STOPPING:
            return Exit.OK
        case _:
            assert_never(run.state)


def exit_of_outcome(outcome: Outcome) -> Exit:
    """What an ending says to the shell."""
    match outcome:
        case Outcome.OK | Outcome.SKIPPED:
            return Exit.OK
        case Outcome.FAILED | Outcome.INCOMPLETE:
            return Exit.AGENT
        case Outcome.TIMEOUT:
            return Exit.TIMEOUT
        case Outcome.BUDGET:
            return Exit.BUDGET
        case Outcome.CANCELLED | Outcome.DECLINED | Outcome.EXPIRED:
            return Exit.CANCELLED
        case Outcome.REJECTED | Outcome.REFUSED:
            return Exit.REFUSED
        case Outcome.WRITTEN_OFF:
            return Exit.UNCONFIRMED
        case Outcome.NOT_SENT:
            return Exit.TRY_LATER
        case _:
            assert_never(outcome)


def exit_of_answer(answer: LaunchAnswer) -> Exit:
    """What a launch says to the shell before anybody waited for its run."""
    match answer.kind:
        case LaunchKind.LAUNCHED:
            return exit_of_run(answer.run)
        case LaunchKind.PROPOSED | LaunchKind.SKIPPED:
            return Exit.OK
        case LaunchKind.REFUSED:
            return Exit.REFUSED
        case _:
            assert_never(answer.kind)
