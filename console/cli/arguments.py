"""Which runs somebody means: a run id, the beginning of one, or a key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli.exit_codes import CommandError, ExitCode
from console.cli.locations import config_file
from console.domain.key import is_key
from console.domain.text import sanitize

if TYPE_CHECKING:
    from console.domain.run import Run
    from console.engine.queries import Queries

LEAST_PREFIX = 4


async def resolve_runs(view: Queries, text: str) -> tuple[Run, ...]:
    """All runs of a key, or the one run. Raises Failure where there is none, or more than one could be meant."""
    shown = sanitize(text, limit=60)
    cleaned = text.strip().lower()
    if len(cleaned) < LEAST_PREFIX:
        raise CommandError(
            ExitCode.USAGE,
            f"{shown!r} is too short: give a run id, {LEAST_PREFIX} or more of its first letters, or a key",
        )
    found = await view.find(cleaned)
    if not found:
        raise CommandError(ExitCode.USAGE, f"no run has the id or key {shown!r}; `nightdesk history` lists them")
    if len(found) > 1 and not is_key(cleaned):
        some = ", ".join(run.id for run in found[:5])
        raise CommandError(ExitCode.USAGE, f"{shown!r} is the beginning of more than one run: {some}")
    return found


async def resolve_run(view: Queries, text: str) -> Run:
    """The one run; of a key its latest attempt. Raises Failure."""
    return (await resolve_runs(view, text))[-1]


def task_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The tasks of the config file that would be used."""
    import os

    from console.config import ConfigError, load

    flag = getattr(context.obj, "config_flag", None)
    try:
        settings = load(config_file(flag, os.environ, Path.cwd()).path)
    except (ConfigError, OSError):
        return []
    return [task.name for task in settings.tasks if task.name.startswith(incomplete)]
