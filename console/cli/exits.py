"""The exit codes, all in one place: scripts and cron lines act on them, so they never change their meaning."""

from __future__ import annotations

from enum import IntEnum
from typing import assert_never

from console.domain.run import Outcome, Run, State
from console.engine.snapshot import LaunchAnswer, LaunchKind


class Exit(IntEnum):
    """What a command says to the shell."""

    OK = 0
    """Ended ok, or skipped: already done, or already running."""
    AGENT = 1
    """The agent ended failed or incomplete."""
    USAGE = 2
    """Usage or config error, unknown task or run."""
    TIMEOUT = 3
    """Cut off by the clock."""
    BUDGET = 4
    """Cut off by the budget."""
    CANCELLED = 5
    """Cancelled, declined or expired."""
    REFUSED = 6
    """Refused here or by the provider. Nothing was launched."""
    UNCONFIRMED = 7
    """Something may have happened, or a stop is not proven."""
    STORE = 8
    """The state store is missing, damaged, busy or full. Nothing was sent."""
    INTERNAL = 70
    """A mistake in this program (EX_SOFTWARE); what was stored before it stands."""
    TRY_LATER = 75
    """Not sent: offline, or rate limited (EX_TEMPFAIL)."""
    HUNG_UP = 129
    """The terminal went away; a run goes on under another guard."""
    INTERRUPTED = 130
    """Ctrl-C; a run goes on under another guard."""
    PIPE = 141
    """Whoever read our output went away."""
    TERMINATED = 143
    """SIGTERM; a run goes on under another guard."""


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
