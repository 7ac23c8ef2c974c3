"""The exit codes of all commands, and the one that each error gives. Scripts depend on them: they never change."""

from __future__ import annotations

from enum import IntEnum

from console.domain.text import sanitize


class ExitCode(IntEnum):
    """The exit code of a command."""

    OK = 0
    """The run ended ok, or was skipped because its key is done or running."""
    AGENT = 1
    """The agent ended failed or incomplete. Of `drill`: a guard did not fire; of `status`: something needs a person; of
    `service status`: it does not run. No other error gives 1."""
    USAGE = 2
    """A usage or config error, or an unknown task or run."""
    TIMEOUT = 3
    """The time limit cut the run off."""
    BUDGET = 4
    """The budget cut the run off."""
    CANCELLED = 5
    """The run was cancelled, or its proposal was declined or expired."""
    REFUSED = 6
    """Refused here or by the service; nothing was launched."""
    UNCONFIRMED = 7
    """A launch or a stop is not confirmed, or a run goes on without a guard."""
    STORE = 8
    """The state store is missing, damaged, busy or full; nothing was sent."""
    INTERNAL = 70
    """An error in this program (EX_SOFTWARE); what was stored before it stands."""
    TRY_LATER = 75
    """Not sent, because the service was not reached or limits its rate (EX_TEMPFAIL)."""
    HUNG_UP = 129
    """The terminal went away; the run was handed over."""
    INTERRUPTED = 130
    """Ctrl-C; the run was handed over."""
    QUIT = 131
    """Ctrl-\\; the run was handed over."""
    PIPE = 141
    """The output could not be written: its reader closed it, or its disk is full."""
    TERMINATED = 143
    """SIGTERM; the run was handed over."""


class HandoverFailed(Exception):
    """No other process would guard the open runs. This one still does; `str()` is one line that says why."""


class CommandError(Exception):
    """Ends a command with an exit code. `str()` is the message for the person: sanitized, one line or several."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def command_error(error: Exception) -> CommandError:
    """Return the message and the exit code that `error` gives."""
    # Loaded after a failure only: these modules take longer to load than a quick command takes in all.
    from console.config import ConfigError
    from console.engine.errors import OperationRefused, StaleRun, StoreError
    from console.journal.log_files import JournalError

    match error:
        case CommandError():
            return error
        case HandoverFailed():
            return CommandError(ExitCode.UNCONFIRMED, f"{error}; keep `nightdesk` open")
        case ConfigError():
            return CommandError(ExitCode.USAGE, sanitize(str(error), newlines=True))
        case OperationRefused():
            return CommandError(ExitCode.REFUSED, _line(error))
        case StaleRun():
            return CommandError(ExitCode.REFUSED, f"the run has changed in the meantime, read it again: {_line(error)}")
        case StoreError() | JournalError():
            return CommandError(ExitCode.STORE, _line(error))
        case MemoryError():
            return CommandError(ExitCode.INTERNAL, "this process is out of memory; what was stored before it stands")
        case LookupError() | ValueError() if _is_answer(error):
            return CommandError(ExitCode.USAGE, _line(error))
        case _:
            from console.diag_log import crash_summary

            return CommandError(ExitCode.INTERNAL, crash_summary(error))


def _line(error: Exception) -> str:
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return sanitize(text, limit=1000)


def _is_answer(error: Exception) -> bool:
    # KeyError, IndexError, UnicodeError and other subclasses are errors in this program, not answers to a person.
    return type(error) in (LookupError, ValueError)
