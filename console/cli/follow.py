"""`show --follow` and `watch`: read the state folder every second and print what has changed, until Ctrl-C.

A store that does not answer is said once; the reading goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar
from zoneinfo import ZoneInfo

from console.app import App
from console.cli.arguments import resolve_run
from console.cli.changes import Change, SnapshotChanges, detail_changes
from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation
from console.cli.opening import opened
from console.cli.render.launch_json import detail_json, run_json
from console.cli.signals import ShutdownRequest, shutdown_on_signals
from console.domain.formatting import at, zone_or_utc
from console.domain.run import Outcome, Run, RunId, State
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp, iso_ms
from console.engine.errors import StoreError
from console.engine.models import HistoryFilter, RunDetail

T = TypeVar("T")

EVERY_S = 1.0
"""Seconds between two reads."""
REFUSALS = 50
"""Skips and refusals that are read at a time."""


async def follow_run(
    invocation: Invocation, text: str, show: Callable[[RunDetail, Timestamp, ZoneInfo], list[str]]
) -> int:
    """Print a run with `show`, then each change of it, until it has ended or somebody presses Ctrl-C.

    With --json: the run in full as one line, again at each change. Raises CommandError, StoreError.
    """
    async with opened(invocation) as app:
        run, zone = await resolve_run(app.engine.queries, text), _zone(app)
        before: RunDetail | None = None
        with shutdown_on_signals() as shutdown:
            async for detail in _reads(invocation, shutdown, lambda: app.engine.queries.detail(run.id)):
                if detail is None:
                    break
                if invocation.json:
                    if detail != before:
                        invocation.out_json_line(detail_json(detail, app.clock.now()))
                elif before is None:
                    invocation.out(*show(detail, app.clock.now(), zone))
                elif lines := detail_changes(before, detail, zone):
                    invocation.out(*lines)
                before = detail
                if detail.run.state is State.ENDED:
                    break
    return ExitCode.OK


async def watch(invocation: Invocation) -> int:
    """Print one line for each change of the state folder until Ctrl-C. Raises ConfigError, CommandError, StoreError."""
    async with opened(invocation) as app:
        changes, zone, seen = SnapshotChanges(), _zone(app), set[RunId]()
        since_ms = app.clock.now().wall_ms

        async def read() -> tuple[Change, ...]:
            queries = app.engine.queries
            snapshot = await queries.snapshot()
            refused = HistoryFilter(outcomes=(Outcome.SKIPPED, Outcome.REFUSED), since_ms=since_ms)
            page = await queries.history(refused, limit=REFUSALS)
            others: list[Run] = [run for run in reversed(page.runs) if run.id not in seen]
            seen.update(run.id for run in others)
            for run_id in changes.gone(snapshot):
                others += await queries.find(run_id)
            return tuple(changes.update(snapshot, others))

        with shutdown_on_signals() as shutdown:
            if not invocation.json:
                invocation.say("watching; ctrl-c ends it")
            async for found in _reads(invocation, shutdown, read):
                now = app.clock.now()
                for change in found:
                    _print(invocation, change, now, zone)
    return ExitCode.OK


def _print(invocation: Invocation, change: Change, now: Timestamp, zone: ZoneInfo) -> None:
    if invocation.json:
        run = run_json(change.run, now) if change.run is not None else None
        invocation.out_json_line({"at": iso_ms(now.wall_ms), "text": change.text, "run": run})
    else:
        invocation.out(f"{at(now.wall_ms, zone):%H:%M:%S} {change.text}")


async def _reads(
    invocation: Invocation, shutdown: ShutdownRequest, read: Callable[[], Awaitable[T]]
) -> AsyncIterator[T]:
    """What `read` returns, every second until somebody asks for the end. The first error of the store is raised."""
    has_read = is_failing = False
    while shutdown.code is None:
        try:
            found = await read()
        except StoreError as error:
            if not has_read:
                raise
            if not is_failing:
                invocation.say(f"{sanitize(str(error))}; trying again")
            is_failing = True
        else:
            if is_failing:
                invocation.say("the state store answers again")
            has_read, is_failing = True, False
            yield found
        await shutdown.wait(EVERY_S)


def _zone(app: App) -> ZoneInfo:
    return zone_or_utc(app.engine.settings.caps.time_zone)
