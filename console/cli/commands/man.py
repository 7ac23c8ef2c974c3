"""`man`: the manual page, made from the commands of this version."""

from __future__ import annotations

import click

from console import __version__
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, pass_invocation, shared_options
from console.cli.main import COMMANDS, cli
from console.cli.render.man_page import SHARED, man_page


@click.command("man")
@shared_options
@pass_invocation
def man_command(invocation: Invocation) -> int:
    """Print the manual page; `nightdesk man | man -l -` shows it."""
    context = click.Context(cli)
    commands = {
        name: command
        for name, entry in COMMANDS.items()
        if not entry.hidden and (command := cli.get_command(context, name)) is not None
    }
    invocation.write(man_page(cli, commands, version=__version__, shared=sorted(SHARED)))
    invocation.flush()
    return ExitCode.OK
