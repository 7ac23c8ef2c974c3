"""`ps`: live runs, proposals and unconfirmed runs included."""

from __future__ import annotations

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.engine.clock import SystemClock
from console.engine.export import run_json
from console.engine.live_runs import live_runs


@click.command("ps")
@json_option
@pass_invocation
def ps_command(invocation: Invocation) -> int:
    """List live runs, proposals and unconfirmed runs."""
    if invocation.json:
        return _print_json(invocation)
    # The table needs an engine and its event loop, which scripts that ask for JSON do not pay for.
    from console.cli.live_table import print_live

    return print_live(invocation)


def _print_json(invocation: Invocation) -> int:
    """Print the open runs from the store alone; scripts may ask every few seconds."""
    invocation.settings_if_usable()
    now = SystemClock().now()
    invocation.out_json([run_json(run, now) for run in live_runs(invocation.folder, now)])
    return ExitCode.OK
