"""`history`: every run, skip and refusal, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import click

from console.cli.arguments import provider_names
from console.cli.exit_codes import ExitCode
from console.cli.filters import Filters, filter_options
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.launch_json import run_json
from console.cli.render.runs import needed_columns, past_columns, past_rows
from console.cli.render.table import render_table
from console.domain.run import Run
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.run_json import csv_text
from console.engine.settings import EngineSettings
from console.store.history import HistoryFilter, HistoryOrder
from console.store.store import Store

PAGE = 200


@click.command("history")
@filter_options
@click.option(
    "--provider",
    multiple=True,
    shell_complete=provider_names,
    help="Only runs at this provider of the config; may be repeated.",
)
@click.option("--host", multiple=True, metavar="NAME", help="Only runs of this host of a fleet; may be repeated.")
@click.option("--filter", "typed", metavar="TEXT", default="", help="As behind / on the screen: 'cost:>1 -outcome:ok'.")
@click.option(
    "--sort",
    "order",
    type=click.Choice([order.value for order in HistoryOrder]),
    default="created",
    help="By anything but `created` the newest 10,000 that match are sorted.",
)
@click.option("--reverse", is_flag=True, help="The smallest first; by task from Z to A.")
@click.option("--limit", type=click.IntRange(1, 100_000_000), default=50, show_default=True)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV on stdout, page by page.")
@json_option
@pass_invocation
def history_command(
    invocation: Invocation, /, limit: int, as_csv: bool, typed: str, order: str, reverse: bool, **options: Any
) -> int:
    """List every run, skip and refusal, newest first. --grep searches task, target, key, note and result.

    --filter takes names and words: task: outcome: since: until: stage: origin: target: provider: key: cost:
    units: and, of several hosts, host:, with - before
    one to leave it out. It is not combined with the other filters.
    """
    if typed and any(options.values()):
        raise click.UsageError("--filter says everything itself: write the other filters into it")

    def wanted(now_ms: int, time_zone: str) -> HistoryFilter:
        if options["host"] and invocation.fleet is None:
            raise click.UsageError("--host needs a database in [store] of the config: without it there is one host")
        found = (
            _typed_filter(invocation, typed, now_ms, time_zone)
            if typed
            else Filters(**options).history_filter(now_ms, time_zone)
        )
        return replace(found, folded=False, order=HistoryOrder(order), reverse=reverse)

    return asyncio.run(_print(invocation, wanted, limit, as_csv=as_csv and not invocation.json))


def _typed_filter(invocation: Invocation, text: str, now_ms: int, time_zone: str) -> HistoryFilter:
    """What the text asks for on the screen. Raises click.UsageError."""
    from console.ui.filtering.terms import FilterContext, FilterError
    from console.ui.history.filter import parse_filter

    try:
        in_fleet = invocation.fleet is not None
        return parse_filter(text, FilterContext(now_ms=now_ms, zone=ZoneInfo(time_zone), in_fleet=in_fleet))
    except FilterError as error:
        raise click.UsageError(f"--filter: {error}") from None


async def _print(
    invocation: Invocation, wanted: Callable[[int, str], HistoryFilter], limit: int, *, as_csv: bool
) -> int:
    async with opened(invocation) as app:
        now, time_zone = app.clock.now(), app.engine.settings.caps.time_zone
        pages = _pages(app.store, wanted(now.wall_ms, time_zone), limit)
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
        columns, rows = needed_columns(
            past_columns(now, time_zone),
            past_rows(runs, now, time_zone),
            runs,
            several_providers=settings.has_several_services,
        )
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
