"""`ps`: live runs, proposals and unconfirmed runs included."""

from __future__ import annotations

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.domain.text import sanitize
from console.engine.clock import SystemClock
from console.engine.live_runs import live_runs
from console.engine.run_json import run_json


@click.command("ps")
@json_option
@pass_invocation
def ps_command(invocation: Invocation) -> int:
    """List live runs, proposals and unconfirmed runs.

    Exit: 0; 8 if the state store cannot be read, or not all of it.
    """
    if invocation.json:
        return _print_json(invocation)
    # The table needs an engine and its event loop, which scripts that ask for JSON do not pay for.
    from console.cli.ps_output import print_live

    return print_live(invocation)


def _print_json(invocation: Invocation) -> int:
    """Print the open runs from the store alone; scripts may ask every few seconds."""
    invocation.settings_if_usable()
    now = SystemClock().now()
    found = live_runs(invocation.folder, now, invocation.fleet)
    invocation.out_json([run_json(run, now) for run in found.runs])
    for line in filter(None, (found.busy, found.unreadable)):
        invocation.say(sanitize(line))
    return ExitCode.STORE if found.unreadable else ExitCode.OK
