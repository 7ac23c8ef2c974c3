"""What the shell may complete. A completion never complains: where something is wrong it offers nothing."""

from __future__ import annotations

from pathlib import Path

import click

from console.cli.folders import config_file


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
