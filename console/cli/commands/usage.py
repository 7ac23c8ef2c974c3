"""`usage`: what was used, day by day, computed from runs.log, as a chart and a table."""

from __future__ import annotations

import asyncio

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.domain.text import sanitize
from console.domain.usage_stats import Group, Measure, totals_by_day
from console.engine.run_json import csv_text
from console.engine.usage import UsageQuery, UsageReport
from console.ui.glyphs import ASCII
from console.ui.terminal.capabilities import fitting_glyphs

PIPED = 100
"""Width in cells of a chart that is piped."""


@click.command("usage")
@click.option("--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="Up to today.")
@click.option("--by", type=click.Choice([g.value for g in Group]), default="task", show_default=True)
@click.option("--measure", type=click.Choice([m.value for m in Measure]), default="units", show_default=True)
@click.option("--csv", "as_csv", is_flag=True, help="One row per day and member of --by.")
@json_option
@pass_invocation
def usage_command(invocation: Invocation, days: int, by: str, measure: str, as_csv: bool) -> int:
    """Show what was used, by day. --json and --csv have one row per day and member of --by, with every measure."""
    query = UsageQuery(days=days, group=Group(by), measure=Measure(measure))
    report = asyncio.run(_report(invocation, query))
    if invocation.json:
        invocation.out_json(rows(report))
    elif as_csv:
        _print_csv(invocation, report)
    else:
        _print_chart(invocation, report)
    return ExitCode.OK


async def _report(invocation: Invocation, query: UsageQuery) -> UsageReport:
    async with opened(invocation) as app:
        return await app.engine.usage.report(query)


def rows(report: UsageReport) -> list[dict[str, object]]:
    """Return one row per day and member of the group, oldest first; an unknown cost is None."""
    group = report.query.group
    return [
        {
            "day": day,
            group.value: member,
            "units": figures.units / 1000,
            "cost": None if (cost := figures.cost_in(report.currency or "")) is None else cost / 1_000_000,
            "currency": report.currency if cost is not None else None,
            "runs": figures.runs,
            "seconds": figures.ms / 1000,
        }
        for day, members in totals_by_day(report.buckets, group).items()
        for member, figures in sorted(members.items())
    ]


def _print_csv(invocation: Invocation, report: UsageReport) -> None:
    invocation.write(sanitize(csv_text(rows(report), head=True).replace("\r\n", "\n"), newlines=True))


def _print_chart(invocation: Invocation, report: UsageReport) -> None:
    from console.cli.render.usage import usage_text

    ascii_only = fitting_glyphs(invocation.environment, getattr(invocation.stdout, "encoding", None)) is ASCII
    invocation.out(*usage_text(report, invocation.width or PIPED, invocation.style, ascii_only=ascii_only))
