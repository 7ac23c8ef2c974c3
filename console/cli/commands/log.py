"""`log`: the lines as they stand in the file; `log rebuild` and `log rotate` look after the file itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from console.cli.exits import Exit
from console.cli.filters import Filters, with_filters
from console.cli.shell import Shell, pass_shell, with_json
from console.domain.text import safe

if TYPE_CHECKING:
    from console.journal.writer import LogWriter
    from console.store.store import Store

KEEP = 14


@click.group("log", invoke_without_command=True)
@click.option("-f", "--follow", is_flag=True, help="Wait for more; with --json one object per line.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Of the last N lines only.")
@with_filters
@with_json
@pass_shell
@click.pass_context
def log_command(context: click.Context, shell: Shell, /, follow: bool, lines: int | None, **typed: Any) -> int | None:
    """The log: one line per launch, ending, skip, refusal and note. --outcome is compared with `status`."""
    if context.invoked_subcommand:
        return None
    from console.cli.log_lines import print_log
    from console.engine.clock import SystemClock

    filters = Filters(**typed)
    time_zone = shell.settings().caps.time_zone if filters.has_days else "UTC"
    fits = filters.judge(SystemClock().now().wall_ms, time_zone)
    return print_log(shell, follows=follow, last=lines, fits=fits)


@log_command.command("rebuild")
@with_json
@pass_shell
def rebuild_command(shell: Shell) -> int:
    """Write runs.log anew from the database; what was there is kept as runs.log.replaced."""
    return asyncio.run(_rebuild(shell))


@log_command.command("rotate")
@click.option("--keep", type=click.IntRange(1, 1000), default=KEEP, show_default=True, help="How many old files stay.")
@with_json
@pass_shell
def rotate_command(shell: Shell, keep: int) -> int:
    """Begin a new runs.log; the old one becomes runs.log.1."""
    from console.journal.writer import LogWriter

    writer = LogWriter(shell.folder / "runs.log")
    old = writer.rotate(keep=keep, force=True) if shell.folder.is_dir() else None
    if shell.json:
        shell.out_json({"rotated": str(old) if old else None})
    else:
        shell.say(f"the old log is {safe(str(old))}" if old else "the log is empty: nothing to rotate")
    return Exit.OK


async def _rebuild(shell: Shell) -> int:
    from console.engine.clock import SystemClock
    from console.journal.writer import LogWriter
    from console.store.store import Store

    store = await Store.open(shell.folder, now=SystemClock().now())
    try:
        count = await _written(store, LogWriter(shell.folder / "runs.log"))
    finally:
        await store.close()
    if shell.json:
        shell.out_json({"lines": count})
    else:
        shell.say(f"wrote {count} lines")
    return Exit.OK


async def _written(store: Store, log: LogWriter) -> int:
    """All records of the store as the new file; how many."""
    after = count = 0
    async with log.turn():
        with log.rebuilding() as add:
            while batch := await store.outbox.all_records(after):
                add(batch)
                after, count = batch[-1].ev, count + len(batch)
        await store.outbox.mark_logged(range(1, after + 1))
    return count
