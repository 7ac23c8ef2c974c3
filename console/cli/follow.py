"""`show --follow` and `watch`: read the state folder every second and print what has changed, until Ctrl-C.

A store that does not answer is reported once; the reading goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar
from zoneinfo import ZoneInfo

from console.app import App
from console.cli.arguments import resolve_run
from console.cli.changes import Change, SnapshotChanges, detail_changes
from console.cli.exit_codes import ExitCode
from console.cli.follow_output import FollowOutput
from console.cli.invocation import Invocation
from console.cli.opening import opened
from console.cli.render.launch_json import detail_json, run_json
from console.cli.signals import shutdown_on_signals
from console.domain.formatting import at, zone_or_utc
from console.domain.run import Run, RunId, State
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp, iso_ms
from console.engine.errors import StoreError
from console.engine.models import HistoryFilter, RunDetail
from console.engine.queries import Queries

T = TypeVar("T")

EVERY_S = 1.0
"""Seconds between two reads."""
PAGE = 100
"""Entries of the history that are read at a time."""


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
            output = FollowOutput(invocation, shutdown)
            async for detail in _reads(invocation, output, lambda: app.engine.queries.detail(run.id)):
                if detail is None:
                    break
                if invocation.json:
                    if detail != before:
                        await output.json_line(detail_json(detail, app.clock.now()))
                elif before is None:
                    await output.lines(*show(detail, app.clock.now(), zone))
                elif lines := detail_changes(before, detail, zone):
                    await output.lines(*lines)
                before = detail
                if detail.run.state is State.ENDED:
                    break
    return ExitCode.OK


async def watch(invocation: Invocation) -> int:
    """Print one line for each change of the state folder until Ctrl-C. Raises ConfigError, CommandError, StoreError."""
    async with opened(invocation) as app:
        changes, zone = SnapshotChanges(), _zone(app)
        entries = _NewEntries(app.engine.queries, app.clock.now().wall_ms)

        async def read() -> tuple[Change, ...]:
            snapshot = await app.engine.queries.snapshot()
            # After the snapshot, so that a run which ended since is either live in the one or an entry of the other.
            others = await entries.read()
            for run_id in changes.gone(snapshot):
                others += await app.engine.queries.find(run_id)
            return tuple(changes.update(snapshot, others))

        with shutdown_on_signals() as shutdown:
            output, has_begun = FollowOutput(invocation, shutdown), False
            async for found in _reads(invocation, output, read):
                now = app.clock.now()
                for change in found:
                    await _print(invocation, output, change, now, zone)
                if not has_begun:
                    invocation.say("watching; ctrl-c ends it")
                    has_begun = True
    return ExitCode.OK


class _NewEntries:
    """The entries of the history since a time, each once: a run may begin and end between two snapshots."""

    def __init__(self, queries: Queries, since_ms: int) -> None:
        self._queries = queries
        self._wanted = HistoryFilter(since_ms=since_ms)
        self._seen: set[RunId] = set()

    async def read(self) -> list[Run]:
        """The entries that were not read before, in the order in which they were made. Raises StoreError."""
        found: list[Run] = []
        page = await self._queries.history(self._wanted, limit=PAGE)
        while new := [run for run in page.runs if run.id not in self._seen]:
            found += new
            self._seen.update(run.id for run in new)
            if page.after is None:
                break
            page = await self._queries.history(self._wanted, limit=PAGE, after=page.after)
        return found[::-1]


async def _print(invocation: Invocation, output: FollowOutput, change: Change, now: Timestamp, zone: ZoneInfo) -> None:
    if invocation.json:
        run = run_json(change.run, now) if change.run is not None else None
        await output.json_line({"at": iso_ms(now.wall_ms), "text": change.text, "run": run})
    else:
        await output.lines(f"{at(now.wall_ms, zone):%H:%M:%S} {invocation.hinted(change.text)}")


async def _reads(invocation: Invocation, output: FollowOutput, read: Callable[[], Awaitable[T]]) -> AsyncIterator[T]:
    """What `read` returns, every second until somebody asks for the end.

    Raises OutputClosed, and the first error of the store.
    """
    has_read = is_failing = False
    while output.is_open:
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
        await output.wait(EVERY_S)


def _zone(app: App) -> ZoneInfo:
    return zone_or_utc(app.engine.settings.caps.time_zone)
