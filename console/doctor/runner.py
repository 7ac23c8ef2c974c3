"""Runs the checks of `nightdesk doctor` and collects their findings. A check that raises is a finding, not a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TextIO

from console.config import Settings
from console.diag_log import crash_summary
from console.domain.text import os_error_text, sanitize
from console.domain.timestamps import Timestamp
from console.engine.errors import StoreBusy, StoreError
from console.journal.log_files import JournalError

MAX_MESSAGE = 400
"""Characters of one finding's message."""


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    """A launch is refused, or should not be tried."""


class Area(StrEnum):
    """What a finding is about. It decides the exit code of a failure."""

    STORE = "store"
    CONFIG = "config"
    AROUND = "around"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report."""

    check: str
    area: Area
    level: Level
    message: str
    """Sanitized, one line."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is examined: a state folder and the config, environment and streams of one invocation."""

    folder: Path
    config: Path
    config_origin: str
    """How the config file was found."""
    other_folders: Sequence[Path]
    """State folders other than `folder` in which runs of this config are recorded."""
    folder_is_lost: bool
    """True where launches of this config were made with `folder` and its state store is gone."""
    load_settings: Callable[[], Settings]
    """Reads the config. Raises ConfigError, or another exception whose text is one line."""
    environment: Mapping[str, str]
    stdin: TextIO
    stdout: TextIO
    now: Timestamp

    @cached_property
    def settings(self) -> Settings | None:
        """The config; None if it cannot be used, which the check `config` reports."""
        try:
            return self.load_settings()
        except Exception:
            return None


Results = Iterator[tuple[Level, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question about a subject."""

    name: str
    area: Area
    run: Callable[[Subject], Results]


def run_checks(subject: Subject, checks: Sequence[Check]) -> Iterator[Finding]:
    """Yield every finding of every check as soon as it is known."""
    for check in checks:
        try:
            for level, message in check.run(subject):
                yield _finding(check, level, message)
        except StoreBusy as error:
            yield _finding(check, Level.WARN, str(error))
        except (StoreError, JournalError) as error:
            yield _finding(check, Level.FAIL, str(error))
        except OSError as error:
            yield _finding(check, Level.FAIL, os_error_text(error))
        except Exception as error:
            # Whatever a damaged folder makes a check raise, the other checks still run.
            yield _finding(check, Level.FAIL, crash_summary(error))


def _finding(check: Check, level: Level, message: str) -> Finding:
    return Finding(check=check.name, area=check.area, level=level, message=sanitize(message, limit=MAX_MESSAGE))
