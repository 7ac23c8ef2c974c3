"""What an examination is made of: findings, and checks that find. A check that breaks is a finding, never a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.exit_codes import ExitCode, crash_summary
from console.domain.text import sanitize
from console.engine.errors import StoreBusy, StoreError
from console.journal.log_files import JournalError

if TYPE_CHECKING:
    from console.cli.invocation import Invocation
    from console.config import Settings
    from console.domain.timestamps import Timestamp

LONGEST = 400
"""Characters of what one finding tells."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    """Nothing is launched, or nothing should be."""


class Part(StrEnum):
    """What a finding is about: it decides the exit code."""

    STORE = "store"
    CONFIG = "config"
    AROUND = "around"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the answer."""

    check: str
    part: Part
    level: Level
    told: str
    """Cleaned, one line."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is examined."""

    shell: Invocation
    folder: Path
    now: Timestamp

    @cached_property
    def settings(self) -> Settings | None:
        """The config; None where it cannot be used, which a check of its own tells."""
        from console.cli.exit_codes import CommandError
        from console.config import ConfigError

        try:
            return self.shell.settings()
        except (ConfigError, CommandError, OSError):
            return None


Found = Iterator[tuple[Level, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question to a case."""

    name: str
    part: Part
    look: Callable[[Case], Found]


def examined(case: Case, checks: Sequence[Check]) -> Iterator[Finding]:
    """Every finding of every check, as it is found."""
    for check in checks:
        try:
            for level, told in check.look(case):
                yield _finding(check, level, told)
        except StoreBusy as error:
            yield _finding(check, Level.WARN, str(error))
        except (StoreError, JournalError, OSError) as error:
            yield _finding(check, Level.FAIL, str(error))
        except Exception as error:
            # Whatever a damaged folder makes us trip over, the other checks still have something to say.
            yield _finding(check, Level.FAIL, crash_summary(error))


def _finding(check: Check, level: Level, told: str) -> Finding:
    return Finding(check=check.name, part=check.part, level=level, told=sanitize(told, limit=LONGEST))


def exit_of(findings: Sequence[Finding]) -> ExitCode:
    """8 where the store refuses, else 2 where the config does, else 0."""
    failed = {finding.part for finding in findings if finding.level is Level.FAIL}
    if Part.STORE in failed:
        return ExitCode.STORE
    return ExitCode.USAGE if Part.CONFIG in failed else ExitCode.OK
