"""What is selected on the screen as shell commands: to repeat it, to put it into a script, to send it to somebody.

Every value is quoted for a POSIX shell. A command that would hold a character that no terminal shows is left out.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from console.domain.run import Run, State
from console.domain.task import Stage
from console.domain.text import is_unsafe
from console.ui.state.view_state import can_stop

if TYPE_CHECKING:
    from console.engine.models import HistoryFilter, TaskRollout
    from console.engine.usage import UsageQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellCommand:
    """One command line."""

    name: str
    """What it does, in one or two words."""
    text: str
    """The line, ready to be run."""


def command(base: tuple[str, ...], name: str, *words: str) -> tuple[ShellCommand, ...]:
    """One command; none where a word cannot be shown."""
    every = (*base, *words)
    if any(is_unsafe(character) for word in every for character in word):
        return ()
    return (ShellCommand(name=name, text=shlex.join(every)),)


def run_commands(base: tuple[str, ...], run: Run, *, read_only: bool) -> tuple[ShellCommand, ...]:
    """What can be done with this run in its present state."""
    found = command(base, "show", "show", run.id)
    if not read_only:
        if can_stop(run):
            found += command(base, "cancel", "cancel", run.id)
        if run.state is State.PROPOSED:
            found += command(base, "approve", "approve", run.id)
            found += command(base, "decline", "decline", run.id)
    return found + command(base, "its task", "history", "--task", run.task)


def history_commands(base: tuple[str, ...], wanted: HistoryFilter, text: str = "") -> tuple[ShellCommand, ...]:
    """The list that a filter shows, and the same list as CSV. `text` is the filter as it was typed."""
    options = ["--filter", text] if _has_no_options(wanted) else _options(wanted)
    if wanted.order is not wanted.order.CREATED:
        options += ["--sort", wanted.order.value]
    options += ["--reverse"] if wanted.reverse else []
    return command(base, "this list", "history", *options) + command(base, "as CSV", "history", *options, "--csv")


def _has_no_options(wanted: HistoryFilter) -> bool:
    """True for a filter that only `--filter` can say."""
    figures = wanted.targets or wanted.keys or wanted.costs or wanted.used
    return bool(figures or wanted.without or wanted.without_text)


def _options(wanted: HistoryFilter) -> list[str]:
    options: list[str] = []
    for option, values in (
        ("--task", wanted.tasks),
        ("--outcome", [outcome.value for outcome in wanted.outcomes]),
        ("--stage", [stage.label for stage in wanted.stages]),
        ("--origin", [origin.value for origin in wanted.origins]),
        ("--provider", wanted.providers),
        ("--since", _timestamps(wanted.since_ms)),
        ("--until", _timestamps(wanted.until_ms)),
        ("--grep", [wanted.text] if wanted.text else []),
    ):
        options += [word for value in values for word in (option, value)]
    return options


def usage_commands(base: tuple[str, ...], query: UsageQuery) -> tuple[ShellCommand, ...]:
    """The chart, and its figures as CSV."""
    days, group = ("--days", str(query.days)), ("--by", query.group.value)
    chart = command(base, "this chart", "usage", *days, *group, "--measure", query.measure.value)
    return chart + command(base, "as CSV", "usage", *days, *group, "--csv")


def rollout_commands(base: tuple[str, ...], rollout: TaskRollout, *, read_only: bool) -> tuple[ShellCommand, ...]:
    """The stage and the runs of a task, and one stage up or down. The reason of a demotion is left empty to fill in."""
    name, stage = rollout.task.name, rollout.stage
    found = command(base, "stage", "stage", name)
    if not read_only:
        if stage is not Stage.UNATTENDED:
            found += command(base, "promote", "stage", name, Stage(stage + 1).label)
        if stage is not Stage.MANUAL:
            found += command(base, "demote", "stage", name, Stage(stage - 1).label, "--reason", "")
    return found + command(base, "its runs", "history", "--task", name)


def _timestamps(wall_ms: int | None) -> Iterable[str]:
    if wall_ms is None:
        return ()
    return (datetime.fromtimestamp(wall_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),)
