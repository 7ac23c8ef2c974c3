"""The exit codes, all in one place: scripts and cron lines act on them, so they never change their meaning."""

from __future__ import annotations

from enum import IntEnum

from console.domain.text import sanitize


class ExitCode(IntEnum):
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
    QUIT = 131
    """Ctrl-\\; a run goes on under another guard."""
    PIPE = 141
    """The output could not be written: its reader closed it, or its disk is full."""
    TERMINATED = 143
    """SIGTERM; a run goes on under another guard."""


class HandoverFailed(Exception):
    """No other process would guard the open runs. This one still does; `str()` is one line that says why."""


class CommandError(Exception):
    """A command ends here. `str()` is what the person is told, one line or several, cleaned."""

    def __init__(self, code: ExitCode, told: str) -> None:
        super().__init__(told)
        self.code = code


def command_error(error: Exception) -> CommandError:
    """What an error of any floor means to whoever typed the command."""
    # Only where something failed: these imports cost a quick command more than all its work.
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
            return CommandError(ExitCode.REFUSED, f"the run changed meanwhile, look again: {_line(error)}")
        case StoreError() | JournalError():
            return CommandError(ExitCode.STORE, _line(error))
        case LookupError() | ValueError() if _is_ours(error):
            return CommandError(ExitCode.USAGE, _line(error))
        case _:
            from console.diag_log import crash_summary

            return CommandError(ExitCode.INTERNAL, crash_summary(error))


def _line(error: Exception) -> str:
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return sanitize(text, limit=1000)


def _is_ours(error: Exception) -> bool:
    # KeyError, IndexError, UnicodeError and their like are mistakes in a program, not answers to a person.
    return type(error) in (LookupError, ValueError)
