"""`init`, `paths` and `completion`: they need no config, no state and no network."""

from __future__ import annotations

import os
from pathlib import Path

import click

from console.cli.exits import Exit
from console.cli.failures import Failure
from console.cli.folders import CONFIG_NAME, state_folder, user_config_folder
from console.cli.shell import Shell, pass_shell, shared, with_json
from console.domain.text import safe

SHELLS = ("bash", "zsh", "fish")


@click.command("init")
@click.argument("file", required=False)
@with_json
@pass_shell
def init_command(shell: Shell, file: str | None) -> int:
    """Write a commented nightdesk.toml.

    FILE is where to; otherwise --config, NIGHTDESK_CONFIG or ./nightdesk.toml. Never overwrites.
    """
    from console.config.example import example_text

    named = file or shell.config_flag or shell.environment.get("NIGHTDESK_CONFIG") or CONFIG_NAME
    path = shell.working / Path(named).expanduser()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Failure(Exit.USAGE, f"{safe(str(path))} exists already and is left as it is") from None
    except OSError as error:
        raise Failure(Exit.USAGE, f"{safe(str(path))} cannot be written: {error.strerror}") from None
    with open(descriptor, "w", encoding="utf-8") as written:
        written.write(example_text())
    if shell.json:
        shell.out_json({"config": str(path)})
    else:
        shell.out(f"wrote {safe(str(path))}")
        shell.say("Next: set GEMINI_API_KEY, then `nightdesk run hello`, or `nightdesk demo` to look around first.")
    return Exit.OK


@click.command("paths")
@with_json
@pass_shell
def paths_command(shell: Shell) -> int:
    """Where the config, the state folder and its files are."""
    config, state = shell.config, state_folder(shell.state_flag, shell.environment, shell.working)
    places = {
        "config": config.path,
        "state": state.path,
        "database": state.path / "nightdesk.db",
        "log": state.path / "runs.log",
        "launches": state.path / "launch.journal",
        "diagnostics": state.path / "diag.log",
        "themes": user_config_folder() / "themes",
    }
    if shell.json:
        found = {name: {"path": str(path), "exists": path.exists()} for name, path in places.items()}
        found["config"]["why"], found["state"]["why"] = config.why, state.why
        shell.out_json(found)
        return Exit.OK
    whys = {"config": f"  (by {config.why})", "state": f"  (by {state.why})"}
    for name, path in places.items():
        missing = "" if path.exists() else "  not there yet"
        shell.out(f"{name:<11}  {safe(str(path))}{whys.get(name, '')}{missing}")
    return Exit.OK


@click.command("completion")
@click.argument("shell_name", metavar="SHELL", type=click.Choice(SHELLS))
@shared
@pass_shell
def completion_command(shell: Shell, shell_name: str) -> int:
    """Print the completion script for bash, zsh or fish.

    For bash: eval "$(nightdesk completion bash)"
    """
    from click.shell_completion import get_completion_class

    from console.cli.app import PROGRAM, cli

    kind = get_completion_class(shell_name)
    assert kind is not None
    shell.out(kind(cli, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
    return Exit.OK
