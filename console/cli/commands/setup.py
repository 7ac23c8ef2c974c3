"""`init`, `paths` and `completion`: they need no config, no state folder and no network."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from console.cli.contexts import context_file, context_state_folder
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation, shared_options
from console.cli.locations import CONFIG_NAME, CONFIG_VARIABLE, state_folder, themes_folder
from console.cli.main import PROGRAM, cli
from console.config.example import example_text
from console.domain.text import sanitize

SHELLS = ("bash", "zsh", "fish")


@click.command("init")
@click.argument("file", required=False)
@json_option
@pass_invocation
def init_command(invocation: Invocation, file: str | None) -> int:
    """Write a commented nightdesk.toml.

    FILE is its path; default: --config, NIGHTDESK_CONFIG or ./nightdesk.toml. With --context it is that of a new
    context, with a state folder of its own. Never overwrites a file.
    """
    path = _init_path(invocation, file)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise CommandError(ExitCode.USAGE, f"{sanitize(str(path))} exists already and was not changed") from None
    except OSError as error:
        raise CommandError(ExitCode.USAGE, f"{sanitize(str(path))} cannot be written: {error.strerror}") from None
    with open(descriptor, "w", encoding="utf-8") as written:
        written.write(example_text(_init_state_folder(invocation)))
    if invocation.json:
        invocation.out_json({"config": str(path)})
    else:
        invocation.out(f"wrote {sanitize(str(path))}")
        invocation.say(
            "Next: set GEMINI_API_KEY, then `nightdesk run hello`, or `nightdesk demo` to look around first."
        )
    return ExitCode.OK


def _init_path(invocation: Invocation, file: str | None) -> Path:
    if invocation.context_flag:
        if file:
            raise CommandError(ExitCode.USAGE, "FILE and --context are both given; leave one")
        path = context_file(invocation.context_flag)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path
    named = file or invocation.config_flag or invocation.environment.get(CONFIG_VARIABLE) or CONFIG_NAME
    try:
        return invocation.working / Path(named).expanduser()
    except RuntimeError:
        message = f"{sanitize(named, limit=200)!r} names a home folder that is not known; give a full path"
        raise CommandError(ExitCode.USAGE, message) from None


def _init_state_folder(invocation: Invocation) -> Path | None:
    """Return the folder that would be used now, so that the file names it for every environment; None if unknown."""
    try:
        if invocation.context_flag:
            return context_state_folder(invocation.context_flag, invocation.environment)
        return state_folder(invocation.state_flag, invocation.environment, invocation.working).path
    except CommandError:
        return None


@click.command("paths")
@json_option
@pass_invocation
def paths_command(invocation: Invocation) -> int:
    """Print where the config, the state folder and its files are."""
    config, state, themes = invocation.config, invocation.state, themes_folder()
    places = {
        "config": config.path,
        "state": state.path,
        "database": state.path / "nightdesk.db",
        "log": state.path / "runs.log",
        "launches": state.path / "launch.journal",
        "diagnostics": state.path / "diag.log",
        **({"themes": themes} if themes else {}),
    }
    if invocation.json:
        found = {name: {"path": str(path), "exists": path.exists()} for name, path in places.items()}
        found["config"]["why"], found["state"]["why"] = config.why, state.why
        invocation.out_json(found)
        return ExitCode.OK
    whys = {"config": f"  (by {config.why})", "state": f"  (by {state.why})"}
    for name, path in places.items():
        missing = "" if path.exists() else "  not created yet"
        invocation.out(f"{name:<11}  {sanitize(str(path))}{whys.get(name, '')}{missing}")
    return ExitCode.OK


@click.command("completion")
@click.argument("shell_name", metavar="SHELL", type=click.Choice(SHELLS))
@shared_options
@pass_invocation
def completion_command(invocation: Invocation, shell_name: str) -> int:
    """Print the completion script for bash, zsh or fish.

    \b
    bash: eval "$(nightdesk completion bash)"      in ~/.bashrc
    zsh:  eval "$(nightdesk completion zsh)"       in ~/.zshrc
    fish: nightdesk completion fish | source       in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell_name)
    assert kind is not None
    script = kind(cli, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source()
    # click's script for fish splits at every comma, which cuts a description at its first one.
    invocation.out(script.replace('string split "," $completion', 'string split --max 1 "," $completion'))
    return ExitCode.OK
