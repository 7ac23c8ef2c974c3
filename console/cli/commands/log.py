"""`log`: prints runs.log; `log rebuild` and `log rotate` maintain the file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.exit_codes import ExitCode
from console.cli.filters import Filters, filter_options
from console.cli.follow_output import FollowOutput
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.signals import shutdown_on_signals
from console.domain.log_record import LogRecord
from console.domain.text import sanitize
from console.domain.timestamps import iso_ms
from console.engine.clock import SystemClock
from console.journal.log_reader import LogReader

if TYPE_CHECKING:
    from console.journal.runs_log import LogWriter
    from console.store.fleet_settings import FleetSettings
    from console.store.store import Store

KEEP = 14
EVERY_S = 0.5
"""Seconds between two reads of a log that is followed."""
YIELD_AFTER = 200
"""Lines after which a signal is looked for, however few of them are printed."""


@click.group("log", invoke_without_command=True)
@click.option("-f", "--follow", is_flag=True, help="Wait for more; with --json one object per line.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Only of the last N lines.")
@filter_options
@json_option
@pass_invocation
@click.pass_context
def log_command(
    context: click.Context, invocation: Invocation, /, follow: bool, lines: int | None, **typed: Any
) -> int | None:
    """Print runs.log: one line per launch, ending, skip, refusal and note. --outcome is compared with `status`."""
    if context.invoked_subcommand:
        return None

    filters = Filters(**typed)
    time_zone = invocation.settings().caps.time_zone if filters.has_days else "UTC"
    fits = filters.log_predicate(SystemClock().now().wall_ms, time_zone)
    invocation.say_ledger()
    return print_log(invocation, follows=follow, last=lines, fits=fits)


@log_command.command("rebuild")
@json_option
@pass_invocation
def rebuild_command(invocation: Invocation) -> int:
    """Rebuild runs.log from the database; the old file is kept as runs.log.replaced."""
    return asyncio.run(_rebuild(invocation))


@log_command.command("rotate")
@click.option("--keep", type=click.IntRange(1, 1000), default=KEEP, show_default=True, help="Number of old files kept.")
@json_option
@pass_invocation
def rotate_command(invocation: Invocation, keep: int) -> int:
    """Start a new runs.log; the old one becomes runs.log.1."""
    from console.journal.runs_log import LogWriter

    writer = LogWriter(invocation.folder / "runs.log")
    old = writer.rotate(keep=keep, force=True) if invocation.folder.is_dir() else None
    if invocation.json:
        invocation.out_json({"rotated": str(old) if old else None})
    else:
        invocation.say(f"the old log is {sanitize(str(old))}" if old else "the log is empty: nothing to rotate")
    return ExitCode.OK


async def rebuild_log(folder: Path, fleet: FleetSettings | None = None) -> int:
    """Write runs.log of the state folder anew from its database, with `fleet` from that of several hosts.

    Returns the number of lines. Raises StoreError.
    """
    from console.journal.runs_log import LogWriter
    from console.store.store import Store

    store = await Store.open(folder, now=SystemClock().now(), create=False, fleet=fleet)
    try:
        return await _write_all(store, LogWriter(folder / "runs.log"))
    finally:
        await store.close()


async def _rebuild(invocation: Invocation) -> int:
    invocation.settings_if_usable()
    count = await rebuild_log(invocation.folder, invocation.fleet)
    if invocation.json:
        invocation.out_json({"lines": count})
    else:
        invocation.say(f"wrote {count} lines")
    return ExitCode.OK


async def _write_all(store: Store, log: LogWriter) -> int:
    """Write every record of the store to a new file and return their number."""
    after = count = 0
    async with log.locked_async():
        with log.rebuilding() as add:
            while batch := await store.log_records.after(after):
                add(batch)
                after, count = batch[-1].ev, count + len(batch)
    return count


Fits = Callable[[LogRecord], bool]

NUMBERS = frozenset({"attempt", "tokens", "cost", "hold"})
"""Fields whose values are numbers, unless unknown."""


def print_log(invocation: Invocation, *, follows: bool, last: int | None, fits: Fits) -> int:
    """Print the lines that `fits` accepts, of the whole log or of its `last` lines; with `follows` until Ctrl-C."""
    reader = LogReader(invocation.folder / "runs.log", last=last)
    try:
        if follows:
            asyncio.run(_follow(invocation, reader, fits))
        else:
            _print_lines(invocation, reader, fits)
    finally:
        reader.close()
    invocation.say(*_gap_messages(reader))
    return ExitCode.OK


def _print_lines(invocation: Invocation, reader: LogReader, fits: Fits) -> None:
    """Print line by line, so that a long log is never in memory as a whole."""
    fitting = (line for line in reader.read() if fits(line.record))
    if invocation.json:
        with invocation.out_json_array() as add:
            for line in fitting:
                add(record_json(line.record))
    else:
        for line in fitting:
            invocation.write(f"{line.text}\n")
        invocation.flush()


async def _follow(invocation: Invocation, reader: LogReader, fits: Fits) -> None:
    with shutdown_on_signals() as shutdown:
        output = FollowOutput(invocation, shutdown)
        while output.is_open:
            for number, line in enumerate(reader.read(), 1):
                if not output.is_open:
                    break
                if fits(line.record):
                    await (output.json_line(record_json(line.record)) if invocation.json else output.lines(line.text))
                if not number % YIELD_AFTER:
                    await asyncio.sleep(0)
            await output.wait(EVERY_S)


def _gap_messages(reader: LogReader) -> Iterable[str]:
    if reader.foreign:
        yield f"{reader.foreign} torn or foreign lines were skipped"
    if reader.gaps:
        shown = ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in reader.gaps[:5])
        yield f"lines are missing (ev {shown}); `nightdesk log rebuild` rebuilds the file"


def record_json(record: LogRecord) -> dict[str, object]:
    """Return one line as an object; `-` is null."""
    return {
        "ts": iso_ms(record.at_ms),
        "key": _value("key", record.key),
        "status": record.status,
        "elapsed": record.elapsed_ms / 1000,
        "units": record.units / 1000,
        **{name: _value(name, text) for name, text in record.fields.items()},
        "ev": record.ev,
    }


def _value(name: str, text: str) -> str | int | float | None:
    if text == "-":
        return None
    if name in NUMBERS:
        try:
            return float(text) if "." in text else int(text)
        except ValueError:
            return text
    return text
