"""`schema`: the JSON Schema of what a command prints with `--json`."""

from __future__ import annotations

import click

from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation, pass_invocation, shared_options
from console.domain.text import sanitize


def format_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the next word of the name of a format."""
    from console.cli.json_format import FORMATS

    before = context.params.get("command") or ()
    names = [words for name in FORMATS if (words := tuple(name.split()))[: len(before)] == before]
    following = (name[len(before)] for name in names if len(name) > len(before))
    return list(dict.fromkeys(word for word in following if word.startswith(incomplete)))


# `schema show --follow` names a format of two words.
@click.command("schema", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, metavar="[COMMAND]", shell_complete=format_names)
@shared_options
@pass_invocation
def schema_command(invocation: Invocation, command: tuple[str, ...]) -> int:
    """Print the JSON Schema of what a command prints with --json.

    Without COMMAND: the commands that have one. `schema errors` is what a command prints on stderr where it fails.
    docs/json.md says what the fields mean.
    """
    from console.cli.json_format import FORMATS, VERSION, json_schema

    name = " ".join(command)
    if not name:
        invocation.say(f"format version {VERSION}")
        invocation.out(*FORMATS)
        return ExitCode.OK
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise CommandError(ExitCode.USAGE, f"{sanitize(name, limit=60)!r} has no JSON format; accepted: {known}")
    invocation.out_json(json_schema(name))
    return ExitCode.OK
