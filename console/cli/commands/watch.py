"""`watch`: one line for each change, for screen readers and pipes."""

from __future__ import annotations

import asyncio

import click

from console.cli.follow import watch
from console.cli.invocation import Invocation, json_option, pass_invocation


@click.command("watch")
@json_option
@pass_invocation
def watch_command(invocation: Invocation) -> int:
    """Print one line for each change, for screen readers and pipes.

    Launches, endings, refusals, stops, pauses, caps and trouble, until Ctrl-C, without colour and movements of the
    cursor. With --json prints one object per line.
    """
    invocation.say_ledger()
    return asyncio.run(watch(invocation))
