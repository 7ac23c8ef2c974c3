"""`history`: every run and every skip, newest first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from console.cli.completing import task_names
from console.cli.exits import Exit
from console.cli.shell import Shell, pass_shell, with_json
from console.domain.run import Outcome
from console.domain.task import Origin, Stage

if TYPE_CHECKING:
    from console.domain.run import Run
    from console.store.history import HistoryFilter
    from console.store.store import Store

PAGE = 200


@click.command("history")
@click.option("--task", multiple=True, shell_complete=task_names, help="Only of this task; may be given again.")
@click.option("--outcome", multiple=True, type=click.Choice([o.value for o in Outcome]), help="May be given again.")
@click.option("--stage", multiple=True, type=click.Choice([s.word for s in Stage]), help="May be given again.")
@click.option("--origin", multiple=True, type=click.Choice([o.value for o in Origin]), help="May be given again.")
@click.option("--since", metavar="WHEN", help="2026-11-23, 2026-11-23T03:00Z, or 7d for how long ago.")
@click.option("--until", metavar="WHEN", help="The same forms; a day is included.")
@click.option(
    "--grep", metavar="TEXT", default="", help="Words that begin a word of task, target, key, note or result."
)
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True)
@with_json
@pass_shell
def history_command(shell: Shell, /, limit: int, **typed: Any) -> int:
    """Every run and skip, newest first."""
    return asyncio.run(_print(shell, Filters(**typed), limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The options as they were typed; click has checked the choices."""

    task: tuple[str, ...]
    outcome: tuple[str, ...]
    stage: tuple[str, ...]
    origin: tuple[str, ...]
    since: str | None
    until: str | None
    grep: str

    def understood(self, now_ms: int, time_zone: str) -> HistoryFilter:
        """What the store is asked; days are of `time_zone`. Raises ValueError."""
        from console.domain.instants import parse_instant
        from console.store.history import HistoryFilter

        zone = ZoneInfo(time_zone)
        return HistoryFilter(
            tasks=self.task,
            outcomes=tuple(Outcome(word) for word in self.outcome),
            stages=tuple(Stage.of(word) for word in self.stage),
            origins=tuple(Origin(word) for word in self.origin),
            since_ms=parse_instant(self.since, now_ms=now_ms, zone=zone) if self.since else None,
            until_ms=parse_instant(self.until, now_ms=now_ms, zone=zone, end_of_day=True) if self.until else None,
            text=self.grep,
        )


async def _print(shell: Shell, filters: Filters, limit: int) -> int:
    from console.cli.opening import opened
    from console.cli.run_json import run_json
    from console.cli.run_table import PAST_COLUMNS, past_rows
    from console.cli.table import laid_out

    async with opened(shell) as house:
        now, time_zone = house.clock.now(), house.engine.settings.caps.time_zone
        runs = await _pages(house.store, filters.understood(now.wall_ms, time_zone), limit)
    if shell.json:
        shell.out_json([run_json(run, now) for run in runs])
    elif runs:
        shell.out(*laid_out(PAST_COLUMNS, past_rows(runs, now, time_zone), shell.style, shell.width))
    else:
        shell.say("nothing in the history fits")
    return Exit.OK


async def _pages(store: Store, wanted: HistoryFilter, limit: int) -> list[Run]:
    """Page by page, so that no read keeps others waiting for long."""
    runs: list[Run] = []
    after = None
    while len(runs) < limit:
        page = await store.history.page(wanted, limit=min(PAGE, limit - len(runs)), after=after)
        runs += page.runs
        after = page.after
        if after is None:
            break
    return runs
