"""`history`: every run and every skip, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import click

from console.cli.exit_codes import ExitCode
from console.cli.filters import Filters, filter_options
from console.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from console.domain.run import Run
    from console.domain.timestamps import Timestamp
    from console.store.history import HistoryFilter
    from console.store.store import Store

PAGE = 200


@click.command("history")
@filter_options
@click.option("--limit", type=click.IntRange(1, 100_000_000), default=50, show_default=True)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV on stdout, page by page.")
@json_option
@pass_invocation
def history_command(shell: Invocation, /, limit: int, as_csv: bool, **typed: Any) -> int:
    """Every run and skip, newest first. --grep looks into task, target, key, note and result."""
    return asyncio.run(_print(shell, Filters(**typed), limit, as_csv=as_csv and not shell.json))


async def _print(shell: Invocation, filters: Filters, limit: int, *, as_csv: bool) -> int:
    from console.cli.opening import opened
    from console.cli.render.run_json import run_json

    async with opened(shell) as house:
        now, time_zone = house.clock.now(), house.engine.settings.caps.time_zone
        pages = _pages(house.store, filters.understood(now.wall_ms, time_zone), limit)
        if as_csv:
            await _print_csv(shell, pages, now)
        elif shell.json:
            with shell.out_json_array() as add:
                async for page in pages:
                    for run in page:
                        add(run_json(run, now))
        else:
            _print_table(shell, [run async for page in pages for run in page], now, time_zone)
    return ExitCode.OK


async def _print_csv(shell: Invocation, pages: AsyncIterator[tuple[Run, ...]], now: Timestamp) -> None:
    from console.cli.render.run_json import run_json
    from console.domain.text import sanitize
    from console.engine.export import csv_text

    head = True
    async for page in pages:
        text = csv_text((run_json(run, now) for run in page), head=head)
        # Whatever an agent wrote, it must not act on a terminal that this is printed on.
        shell.stdout.write(sanitize(text.replace("\r\n", "\n"), newlines=True))
        head = False
    shell.stdout.flush()


def _print_table(shell: Invocation, runs: list[Run], now: Timestamp, time_zone: str) -> None:
    from console.cli.render.runs import PAST_COLUMNS, past_rows
    from console.cli.render.table import render_table

    if runs:
        shell.out(*render_table(PAST_COLUMNS, past_rows(runs, now, time_zone), shell.style, shell.width))
    else:
        shell.say("nothing in the history fits")


async def _pages(store: Store, wanted: HistoryFilter, limit: int) -> AsyncIterator[tuple[Run, ...]]:
    """Page by page, so that no read keeps others waiting for long."""
    after = None
    while limit > 0:
        page = await store.history.page(wanted, limit=min(PAGE, limit), after=after)
        yield page.runs
        limit, after = limit - len(page.runs), page.after
        if after is None:
            break
