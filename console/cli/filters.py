"""The filter options of `history` and `log`, as a query of the store and as a predicate on log lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

import click

from console.cli.arguments import task_names
from console.domain.log_record import LogRecord
from console.domain.run import Outcome
from console.domain.task import Origin, Stage
from console.domain.text import words_of
from console.domain.timestamps import parse_instant

if TYPE_CHECKING:
    from console.store.history import HistoryFilter

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = (
    click.option("--task", multiple=True, shell_complete=task_names, help="Only this task; may be repeated."),
    click.option("--outcome", multiple=True, type=click.Choice([o.value for o in Outcome]), help="May be repeated."),
    click.option("--stage", multiple=True, type=click.Choice([s.label for s in Stage]), help="May be repeated."),
    click.option("--origin", multiple=True, type=click.Choice([o.value for o in Origin]), help="May be repeated."),
    click.option("--since", metavar="WHEN", help="2026-11-23, 2026-11-23T03:00Z, or an age such as 7d."),
    click.option("--until", metavar="WHEN", help="In the same forms; a day is included."),
    click.option("--grep", metavar="TEXT", default="", help="Words; each must begin a word of the text."),
)


def filter_options(command: F) -> F:
    """Add the options to a command; their values are the fields of `Filters`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The values of the options; click has checked the choices."""

    task: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    stage: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    """Of the history only: log lines name no provider."""
    host: tuple[str, ...] = ()
    """Of the history only."""
    since: str | None = None
    until: str | None = None
    grep: str = ""

    @property
    def has_days(self) -> bool:
        """True if a time zone is needed to interpret them."""
        return self.since is not None or self.until is not None

    def bounds(self, now_ms: int, time_zone: str) -> tuple[int | None, int | None]:
        """Return the first instant and the one after the last, in UTC milliseconds. Raises ValueError."""
        zone = ZoneInfo(time_zone)
        since = parse_instant(self.since, now_ms=now_ms, zone=zone) if self.since is not None else None
        until = parse_instant(self.until, now_ms=now_ms, zone=zone, end_of_day=True) if self.until is not None else None
        return since, until

    def history_filter(self, now_ms: int, time_zone: str) -> HistoryFilter:
        """Return the query of the store; days are of `time_zone`. Raises ValueError."""
        # `log` has these options too, and loads no database driver.
        from console.store.history import HistoryFilter

        since, until = self.bounds(now_ms, time_zone)
        return HistoryFilter(
            tasks=self.task,
            outcomes=tuple(Outcome(word) for word in self.outcome),
            stages=tuple(Stage.of(word) for word in self.stage),
            origins=tuple(Origin(word) for word in self.origin),
            since_ms=since,
            until_ms=until,
            providers=self.provider,
            hosts=self.host,
            text=self.grep,
        )

    def log_predicate(self, now_ms: int, time_zone: str) -> Callable[[LogRecord], bool]:
        """Return whether a log line fits; `--grep` looks into all its values. Raises ValueError."""
        since, until = self.bounds(now_ms, time_zone)
        words = self.grep.split()

        def fits(record: LogRecord) -> bool:
            fields = record.fields
            return (
                _among(fields.get("task"), self.task)
                and _among(record.status, self.outcome)
                and _among(fields.get("stage"), self.stage)
                and _among(fields.get("origin"), self.origin)
                and (since is None or record.at_ms >= since)
                and (until is None or record.at_ms < until)
                and _has_words(record, words)
            )

        return fits


def _among(value: str | None, wanted: tuple[str, ...]) -> bool:
    return not wanted or value in wanted


def _has_words(record: LogRecord, typed: list[str]) -> bool:
    """Return whether each typed word begins a word of the line; one without a letter must stand in it as it is."""
    if not typed:
        return True
    text = " ".join((record.key, record.status, *record.fields.values()))
    words = words_of(text)
    return all(_begins(words, parts) if (parts := words_of(word)) else word in text for word in typed)


def _begins(words: list[str], parts: list[str]) -> bool:
    """Return whether `parts` stand in `words` in a row; of the last one the beginning is enough."""
    *whole, begun = parts
    return any(
        words[at : at + len(whole)] == whole and words[at + len(whole)].startswith(begun)
        for at in range(len(words) - len(whole))
    )
