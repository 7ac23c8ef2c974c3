"""`ps`: what is live, proposed and unconfirmed included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from console.cli.exits import Exit
from console.cli.shell import Shell, pass_shell, with_json

if TYPE_CHECKING:
    from console.engine.snapshot import Snapshot


@click.command("ps")
@with_json
@pass_shell
def ps_command(shell: Shell) -> int:
    """What is live, proposed and unconfirmed included."""
    if shell.json:
        return _print_json(shell)
    import asyncio

    return asyncio.run(print_live(shell))


def _print_json(shell: Shell) -> int:
    """What scripts ask again and again: from the store alone, without an engine and its loop."""
    from console.engine.clock import SystemClock
    from console.engine.glance import live_runs
    from console.engine.run_json import run_json

    shell.settings()
    now = SystemClock().now()
    shell.out_json([run_json(run, now) for run in live_runs(shell.folder, now)])
    return Exit.OK


async def print_live(shell: Shell) -> int:
    """The plain table, also where no screen can be drawn. Raises what `opened` raises."""
    from console.cli.opening import opened

    async with opened(shell) as house:
        snapshot = await house.engine.view.snapshot()
    print_snapshot(shell, snapshot)
    return Exit.OK


def print_snapshot(shell: Shell, snapshot: Snapshot) -> None:
    """What is live in one look, as a table or as JSON."""
    from console.cli.run_json import run_json
    from console.cli.run_table import LIVE_COLUMNS, head_lines, live_rows
    from console.cli.table import laid_out
    from console.domain.text import safe

    if shell.json:
        shell.out_json([run_json(run, snapshot.taken) for run in snapshot.live])
        return
    shell.out(*(safe(line) for line in head_lines(snapshot)))
    if snapshot.live:
        rows = live_rows(snapshot.live, snapshot.taken)
        shell.out("", *laid_out(LIVE_COLUMNS, rows, shell.style, shell.width))
    else:
        shell.out("nothing is live")
