"""What went wrong, as one clean line and an exit code. Nobody who types a command sees a traceback."""

from __future__ import annotations

import traceback

from console.cli.exits import Exit
from console.domain.text import safe


class Failure(Exception):
    """A command ends here. `str()` is what the person is told, one line or several, cleaned."""

    def __init__(self, code: Exit, told: str) -> None:
        super().__init__(told)
        self.code = code


def failure_of(error: Exception) -> Failure:
    """What an error of any floor means to whoever typed the command."""
    # Only where something failed: these imports cost a quick command more than all its work.
    from console.config import ConfigError
    from console.engine.errors import ActRefused, StaleRun, StoreError
    from console.journal.errors import JournalError

    match error:
        case Failure():
            return error
        case ConfigError():
            return Failure(Exit.USAGE, str(error))
        case ActRefused():
            return Failure(Exit.REFUSED, _line(error))
        case StaleRun():
            return Failure(Exit.REFUSED, f"the run changed meanwhile, look again: {_line(error)}")
        case StoreError() | JournalError():
            return Failure(Exit.STORE, _line(error))
        case LookupError() | ValueError() if _is_ours(error):
            return Failure(Exit.USAGE, _line(error))
        case _:
            return Failure(Exit.INTERNAL, crash_lines(error))


def _line(error: Exception) -> str:
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return safe(text, limit=1000)


def _is_ours(error: Exception) -> bool:
    # KeyError, IndexError, UnicodeError and their like are mistakes in a program, not answers to a person.
    return type(error) in (LookupError, ValueError)


def crash_lines(error: BaseException) -> str:
    """Where a mistake of this program happened: places only, no values, since a value may be a secret."""
    frames = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return safe(f"internal error: {type(error).__name__}\n  " + "\n  ".join(frames[-12:]), newlines=True)
