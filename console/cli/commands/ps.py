"""`ps`: what is live, proposed and unconfirmed included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from console.engine.models import Snapshot


@click.command("ps")
@json_option
@pass_invocation
def ps_command(shell: Invocation) -> int:
    """What is live, proposed and unconfirmed included."""
    if shell.json:
        return _print_json(shell)
    import asyncio

    return asyncio.run(print_live(shell))


def _print_json(shell: Invocation) -> int:
    """What scripts ask again and again: from the store alone, without an engine and its loop."""
    from console.engine.clock import SystemClock
    from console.engine.export import run_json
    from console.engine.live_runs import live_runs

    shell.settings()
    now = SystemClock().now()
    shell.out_json([run_json(run, now) for run in live_runs(shell.folder, now)])
    return ExitCode.OK


async def print_live(shell: Invocation) -> int:
    """The plain table, also where no screen can be drawn. Raises what `opened` raises."""
    from console.cli.opening import opened

    async with opened(shell) as house:
        snapshot = await house.engine.queries.snapshot()
    print_snapshot(shell, snapshot)
    return ExitCode.OK


def print_snapshot(shell: Invocation, snapshot: Snapshot) -> None:
    """What is live in one look, as a table or as JSON."""
    from console.cli.render.run_json import run_json
    from console.cli.render.runs import LIVE_COLUMNS, head_lines, live_rows
    from console.cli.render.table import render_table
    from console.domain.text import sanitize

    if shell.json:
        shell.out_json([run_json(run, snapshot.taken) for run in snapshot.live])
        return
    shell.out(*(sanitize(line) for line in head_lines(snapshot)))
    if snapshot.live:
        rows = live_rows(snapshot.live, snapshot.taken)
        shell.out("", *render_table(LIVE_COLUMNS, rows, shell.style, shell.width))
    else:
        shell.out("nothing is live")
