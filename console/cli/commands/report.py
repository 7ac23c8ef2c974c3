"""`report`: a period on one page: runs, cost, the month, and what the guards did."""

from __future__ import annotations

import asyncio

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.report import report_text
from console.domain.month_projection import MonthProjection
from console.domain.usage_stats import UsageTotals
from console.engine.period_report import Compared, GuardReport, PeriodReport
from console.store.guard_records import Stopped

PERIODS = {"day": 1, "week": 7, "month": 30}
"""Full days, the last of which is yesterday."""


@click.command("report")
@click.option("--day", "period", flag_value="day", help="Yesterday, against the day before.")
@click.option("--week", "period", flag_value="week", default="week", help="The last 7 full days (the default).")
@click.option("--month", "period", flag_value="month", help="The last 30 full days, against the 30 before.")
@json_option
@pass_invocation
def report_command(invocation: Invocation, period: str) -> int:
    """Print a day, a week or a month on one page: runs, cost, the guards.

    Runs by outcome and cost stand against the period before.

    The period ends with yesterday, so that full days are compared with full days; today is a line of its own.
    """
    found = asyncio.run(_report(invocation, PERIODS[period or "week"]))
    if invocation.json:
        invocation.out_json(report_json(found))
    else:
        invocation.out(*report_text(found, invocation.style, invocation.width))
    return ExitCode.OK


async def _report(invocation: Invocation, days: int) -> PeriodReport:
    async with opened(invocation) as app:
        return await app.engine.period_report(days)


def report_json(report: PeriodReport) -> dict[str, object]:
    """Return the report; units and money as numbers, a cost that is not known wholly as null."""
    currency = report.currency
    return {
        "first": report.first,
        "last": report.last,
        "days": report.days,
        "time_zone": report.time_zone,
        "currency": currency,
        "complete_before": report.compares,
        "total": _compared_json(report.total, currency),
        "outcomes": [_compared_json(each, currency) for each in report.outcomes],
        "top_tasks": [_compared_json(each, currency) for each in report.tasks],
        "today": _totals_json(report.today, currency),
        "month": {
            "units": _projection_json(report.month_units, 1_000),
            "cost": _projection_json(report.month_cost, 1_000_000),
            "runs_without_price": report.month_unpriced,
        },
        "guards": _guards_json(report.guards),
    }


def _totals_json(totals: UsageTotals, currency: str | None) -> dict[str, object]:
    cost = totals.cost_in(currency or "")
    return {
        "runs": totals.runs,
        "units": totals.units / 1000,
        "cost": None if cost is None or totals.unpriced else cost / 1_000_000,
        "runs_without_price": totals.unpriced,
    }


def _compared_json(each: Compared, currency: str | None) -> dict[str, object]:
    return {
        "name": each.name,
        **_totals_json(each.now, currency),
        "before": _totals_json(each.before, currency),
    }


def _projection_json(found: MonthProjection | None, scale: int) -> dict[str, object] | None:
    if found is None:
        return None
    return {
        "so_far": found.so_far / scale,
        "expected": found.expected / scale,
        "low": None if found.low is None else found.low / scale,
        "high": None if found.high is None else found.high / scale,
        "last_day": found.last_day,
    }


def _guards_json(guards: GuardReport) -> dict[str, object]:
    def stopped(each: Stopped) -> dict[str, object]:
        return {"runs": each.runs, "units": each.used / 1000, "units_more_until_time_limit": each.rest / 1000}

    return {
        "stopped_by_budget": stopped(guards.budget),
        "stopped_by_time_limit": {
            "runs": guards.time_limit.runs,
            "units": guards.time_limit.used / 1000,
            "units_an_hour": guards.time_limit.an_hour / 1000,
        },
        "cancelled": stopped(guards.cancelled),
        "double_launches": {"count": guards.doubles, "usual_units": guards.doubles_units / 1000},
        "over_caps": {"count": guards.over_caps, "units": guards.over_caps_units / 1000},
        "refused": dict(guards.refused),
        "missed": guards.missed,
    }
