"""`history`: every run, skip and refusal, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import click

from console.cli.exit_codes import ExitCode
from console.cli.filters import Filters, filter_options
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.run_json import run_json
from console.cli.render.runs import past_columns, past_rows, without_provider
from console.cli.render.table import render_table
from console.domain.run import Run
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.export import csv_text
from console.engine.settings import EngineSettings
from console.store.history import HistoryFilter
from console.store.store import Store

PAGE = 200


@click.command("history")
@filter_options
@click.option("--limit", type=click.IntRange(1, 100_000_000), default=50, show_default=True)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV on stdout, page by page.")
@json_option
@pass_invocation
def history_command(invocation: Invocation, /, limit: int, as_csv: bool, **typed: Any) -> int:
    """List every run, skip and refusal, newest first. --grep searches task, target, key, note and result."""
    return asyncio.run(_print(invocation, Filters(**typed), limit, as_csv=as_csv and not invocation.json))


async def _print(invocation: Invocation, filters: Filters, limit: int, *, as_csv: bool) -> int:
    async with opened(invocation) as app:
        now, time_zone = app.clock.now(), app.engine.settings.caps.time_zone
        pages = _pages(app.store, filters.history_filter(now.wall_ms, time_zone), limit)
        if as_csv:
            await _print_csv(invocation, pages, now)
        elif invocation.json:
            with invocation.out_json_array() as add:
                async for page in pages:
                    for run in page:
                        add(run_json(run, now))
        else:
            _print_table(invocation, [run async for page in pages for run in page], now, app.engine.settings)
    return ExitCode.OK


async def _print_csv(invocation: Invocation, pages: AsyncIterator[tuple[Run, ...]], now: Timestamp) -> None:
    head = True
    async for page in pages:
        text = csv_text((run_json(run, now) for run in page), head=head)
        # Text of an agent must not act on the terminal that this is printed on.
        invocation.write(sanitize(text.replace("\r\n", "\n"), newlines=True))
        head = False
    invocation.flush()


def _print_table(invocation: Invocation, runs: list[Run], now: Timestamp, settings: EngineSettings) -> None:
    if runs:
        time_zone = settings.caps.time_zone
        columns, rows = list(past_columns(now, time_zone)), past_rows(runs, now, time_zone)
        if not settings.has_several_services:
            columns, rows = without_provider(columns, rows)
        invocation.out(*render_table(columns, rows, invocation.style, invocation.width))
    else:
        invocation.say("no entry of the history matches")


async def _pages(store: Store, wanted: HistoryFilter, limit: int) -> AsyncIterator[tuple[Run, ...]]:
    """Yield page by page, so that no read blocks other processes for long."""
    after = None
    while limit > 0:
        page = await store.history.page(wanted, limit=min(PAGE, limit), after=after)
        yield page.runs
        limit, after = limit - len(page.runs), page.after
        if after is None:
            break
