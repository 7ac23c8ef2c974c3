"""The table of open runs: what `ps` prints, `console` where no screen can be drawn, and `demo` without a terminal.

Kept apart because `ps --json` loads no engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation
from console.cli.opening import opened_for_emergency
from console.cli.render.launch_json import run_json
from console.cli.render.runs import LIVE_COLUMNS, head_lines, live_rows, needed_columns
from console.cli.render.table import folded, render_table
from console.domain.run import Run
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.clock import SystemClock
from console.engine.errors import StoreBusy, StoreDamaged, StoreUnfinished
from console.engine.live_runs import READ_BUSY_MS, UNREADABLE, live_runs
from console.engine.models import Snapshot


def print_live(invocation: Invocation) -> int:
    """Print the open runs of the state folder. Raises ConfigError, CommandError, StoreError."""
    try:
        snapshot = asyncio.run(read_snapshot(invocation))
    except (StoreBusy, StoreUnfinished):
        return _print_past_locks(invocation)
    except StoreDamaged as error:
        # The caps, for one, cannot be read; the runs perhaps can.
        _print_past_locks(invocation)
        invocation.say(sanitize(str(error)))
        return ExitCode.STORE
    invocation.say_ledger()
    # The caps stand in the config, which this command can do without.
    print_snapshot(invocation, snapshot, has_caps=invocation.loaded_settings is not None)
    return ExitCode.STORE if any(each.topic == UNREADABLE for each in snapshot.problems) else ExitCode.OK


def _print_past_locks(invocation: Invocation) -> int:
    """Print the runs, without caps and problems, where the rest of the store cannot be read."""
    now = SystemClock().now()
    found = live_runs(invocation.folder, now, invocation.fleet)
    invocation.say_ledger()
    _print_runs(invocation, found.runs, now)
    invocation.say(*(sanitize(line) for line in (found.busy, found.unreadable) if line))
    return ExitCode.STORE if found.unreadable else ExitCode.OK


async def read_snapshot(invocation: Invocation) -> Snapshot:
    """Read the state folder once. Raises ConfigError, CommandError, StoreError."""
    async with opened_for_emergency(invocation, busy_ms=READ_BUSY_MS) as app:
        return await app.engine.queries.snapshot()


def print_snapshot(invocation: Invocation, snapshot: Snapshot, *, has_caps: bool = True) -> None:
    """Print the caps, the problems and one row per open run, or the runs as JSON."""
    if invocation.json:
        invocation.out_json([run_json(run, snapshot.taken) for run in snapshot.live])
        return
    head = [invocation.hinted(sanitize(line)) for line in head_lines(snapshot, has_caps=has_caps)]
    invocation.out(*folded(head, invocation.width))
    _print_runs(invocation, snapshot.live, snapshot.taken)


def _print_runs(invocation: Invocation, runs: Sequence[Run], now: Timestamp) -> None:
    if runs:
        settings = invocation.loaded_settings
        names = {run.fingerprint.provider for run in runs}.union(settings.providers if settings else ())
        columns, rows = needed_columns(LIVE_COLUMNS, live_rows(runs, now), runs, several_providers=len(names) > 1)
        invocation.out("", *render_table(columns, rows, invocation.style, invocation.width))
    else:
        invocation.out("nothing is live")
