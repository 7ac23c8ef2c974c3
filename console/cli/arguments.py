"""What commands take as arguments: the runs that somebody names, and the task names that a shell completes."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation
from console.cli.locations import theme_names
from console.config import ConfigError, Settings, load
from console.domain.caps import Cap
from console.domain.key import is_key
from console.domain.text import sanitize

if TYPE_CHECKING:
    # For the types alone: `log` takes its filters from here and loads no database driver.
    from console.domain.run import Run
    from console.domain.task import Task
    from console.engine.queries import Queries

MAX_NAMED = 10
"""Task names that an error message lists."""
MIN_PREFIX = 4
"""Characters of a run id that must be given at least."""


class Seconds(click.FloatRange):
    """A duration from 0 to a day. `nan`, which is in no range and outside of none, is refused like any other word."""

    def __init__(self) -> None:
        super().__init__(min=0, max=86_400)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the seconds. Raises click.BadParameter."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds from 0 to 86400", param, ctx)
        return seconds


async def resolve_runs(queries: Queries, text: str) -> tuple[Run, ...]:
    """Return all runs of a key, or the one run that an id, the beginning of one or the name of a task means.

    The name of a task means its live run, else its latest one. Raises CommandError if there is none, or if `text` fits
    several.
    """
    shown = sanitize(text, limit=60)
    cleaned = text.strip().lower()
    found = await queries.find(cleaned) if len(cleaned) >= MIN_PREFIX else ()
    if not found:
        found = await queries.of_task(text.strip())
    if not found:
        short = f", which takes {MIN_PREFIX} or more letters" if len(cleaned) < MIN_PREFIX else ""
        raise CommandError(
            ExitCode.USAGE,
            f"no run has the id or key {shown!r}{short}, and no run is of a task of that name; "
            "`nightdesk history` lists them",
        )
    if len(found) > 1 and not is_key(cleaned):
        some = ", ".join(run.id for run in found[:5])
        raise CommandError(ExitCode.USAGE, f"{shown!r} means more than one run: {some}")
    return found


async def resolve_run(queries: Queries, text: str) -> Run:
    """Return the one run that `text` means; for a key its latest attempt. Raises CommandError."""
    return (await resolve_runs(queries, text))[-1]


def check_task(settings: Settings, name: str) -> Task:
    """Return the task of that name. Raises CommandError, with the names that were probably meant, if there is none."""
    if (task := settings.task(name)) is not None:
        return task
    names = [task.name for task in settings.tasks]
    near = difflib.get_close_matches(name, names, n=3)
    if near:
        hint = f"; did you mean {' or '.join(near)}?"
    elif len(names) <= MAX_NAMED:
        hint = f"; known tasks: {', '.join(names) or 'none'}"
    else:
        hint = f"; {len(names)} tasks are known: `nightdesk stage` lists them"
    raise CommandError(ExitCode.USAGE, sanitize(f"no task is named {sanitize(name, limit=60)!r}{hint}"))


def task_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete a task name from the config file in use; offer nothing if it cannot be read."""
    try:
        settings = load(context.ensure_object(Invocation).config.path)
    except (ConfigError, CommandError, OSError):
        return []
    return [task.name for task in settings.tasks if task.name.startswith(incomplete)]


def provider_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a provider from the config file in use; offer nothing if it cannot be read."""
    return [name for name in _providers(context) if name.startswith(incomplete)]


def _providers(context: click.Context) -> Iterable[str]:
    try:
        return load(context.ensure_object(Invocation).config.path).providers
    except (ConfigError, CommandError, OSError):
        return ()


def run_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of an open run, or the task whose live or latest run is meant."""
    tasks = [CompletionItem(name, help="task") for name in task_names(context, parameter, incomplete)]
    return [*_open_runs(context, incomplete), *tasks]


def _open_runs(context: click.Context, incomplete: str) -> list[CompletionItem]:
    from console.engine.clock import SystemClock
    from console.engine.live_runs import live_runs

    try:
        invocation = context.ensure_object(Invocation)
        invocation.settings_if_usable()
        runs = live_runs(invocation.folder, SystemClock().now(), invocation.fleet).runs
    except Exception:  # a store that cannot be read has nothing to offer, and a shell waits for the answer
        return []
    return [
        CompletionItem(run.id[:12], help=f"{sanitize(run.task, limit=40)} {run.state.value}")
        for run in runs
        if run.id.startswith(incomplete)
    ]


def cap_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a cap."""
    return [cap.value for cap in Cap if cap.value.startswith(incomplete)]


def themes(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a theme."""
    return sorted(name for name in theme_names() if name.startswith(incomplete))
