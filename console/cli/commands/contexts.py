"""`context`: the named contexts, and why none of them is kept as the one in use."""

from __future__ import annotations

import os

import click

from console.cli.contexts import CONTEXT_VARIABLE, NamedContext, context_file, known_contexts
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.render.table import Cell, Column, render_table
from console.domain.text import sanitize

COLUMNS = (
    Column(title=""),
    Column(title="context"),
    Column(title="config", shrink_order=2),
    Column(title="state folder", shrink_order=1),
)


@click.command("context")
@click.argument("words", nargs=-1, metavar="[list]")
@json_option
@pass_invocation
def context_command(invocation: Invocation, words: tuple[str, ...]) -> int:
    """List the named contexts: configs that --context names.

    A context is a file NAME.toml in the config folder, with a state folder of its own; a symbolic link makes one of a
    config elsewhere. `--context NAME` chooses it for one command, NIGHTDESK_CONTEXT for a shell, `:ctx` in the console.
    * marks the one whose config is in use.
    """
    match words:
        case () | ("list",):
            return _list(invocation)
        case ("use", *named):
            name = sanitize(named[0], limit=64) if named else "NAME"
            raise CommandError(
                ExitCode.USAGE,
                "no context is kept as the one in use: a command in one terminal would act where another terminal "
                f"switched to; `--context {name}` chooses it for a command, `export {CONTEXT_VARIABLE}={name}` for "
                "this shell",
            )
        case _:
            raise click.UsageError(f"{words[0]!r} is not accepted; accepted: list, or nothing")


def _list(invocation: Invocation) -> int:
    found, used = known_contexts(), os.path.realpath(invocation.config.path)
    folders = [_state_folder(invocation, context) for context in found]
    if invocation.json:
        invocation.out_json(
            [
                {
                    "name": context.name,
                    "config": str(context.path),
                    "state_dir": folder,
                    "in_use": str(context.path) == used,
                }
                for context, folder in zip(found, folders, strict=True)
            ]
        )
    elif found:
        rows = [
            (
                Cell("*" if str(context.path) == used else ""),
                Cell(context.name),
                Cell(str(context.path)),
                Cell(folder or "none: set state_dir under [store]"),
            )
            for context, folder in zip(found, folders, strict=True)
        ]
        invocation.out(*render_table(COLUMNS, rows, invocation.style, invocation.width))
    else:
        invocation.say(f"no contexts; `nightdesk init --context NAME` writes {sanitize(str(context_file('NAME')))}")
    return ExitCode.OK


def _state_folder(invocation: Invocation, context: NamedContext) -> str | None:
    """The state folder of a context; None where its config names none."""
    try:
        return str(context.state(invocation.environment).path)
    except CommandError:
        return None
