"""The report of a period as text: totals, the month, outcomes, top tasks, what the guards did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from console.cli.render.table import Cell, Column, Style, folded, render_table
from console.domain.formatting import counted, format_money, format_units
from console.domain.month_projection import MonthProjection
from console.domain.text import sanitize
from console.domain.usage_stats import UsageTotals
from console.engine.period_report import Compared, PeriodReport


def report_text(report: PeriodReport, style: Style, width: int | None) -> list[str]:
    """Return the lines of the page; `width` is in cells, None is unlimited."""
    currency = report.currency
    said = [
        f"{_day(report.first)} to {_day(report.last)} ({counted(report.days, 'day')}, {report.time_zone})"
        + ("" if report.compares else "; the log does not cover the period before"),
        f"{_line(report.total.now, currency)}{_changes(report)}",
        f"today so far: {_line(report.today, currency)}",
        *_month_lines(report),
    ]
    lines = folded(said, width)
    if report.outcomes:
        lines += ["", *_table("OUTCOME", report.outcomes, report, style, width)]
    if report.tasks:
        lines += ["", *_table("TOP TASKS", report.tasks, report, style, width)]
    return [*lines, "", *folded(_guard_lines(report), width)]


def _day(day: str) -> str:
    return f"{date.fromisoformat(day):%a} {day}"


def _line(totals: UsageTotals, currency: str | None) -> str:
    return f"{counted(totals.runs, 'run')}, {format_units(totals.units)} units, {_cost(totals, currency)}"


def _cost(totals: UsageTotals, currency: str | None) -> str:
    """A cost; with the runs that are not in it, or `cost unknown`."""
    cost = totals.cost_in(currency or "")
    if not totals.runs and currency is None:
        return "no cost"
    if not totals.unpriced:
        return format_money(cost or 0, currency)
    if not cost:
        return "cost unknown"
    return f"more than {format_money(cost, currency)} ({counted(totals.unpriced, 'run')} without a known price)"


def _change(now: int | None, before: int | None) -> str:
    if now is None or not before:
        return "-"
    return f"{(now - before) / before:+.0%}"


def _cost_change(each: Compared, currency: str | None) -> str:
    if each.now.unpriced or each.before.unpriced:
        return "-"
    return _change(each.now.cost_in(currency or ""), each.before.cost_in(currency or ""))


def _changes(report: PeriodReport) -> str:
    if not report.compares:
        return ""
    now, before = report.total.now, report.total.before
    runs, units = _change(now.runs, before.runs), _change(now.units, before.units)
    return (
        f"; against the period before: runs {runs}, units {units}, cost {_cost_change(report.total, report.currency)}"
    )


def _month_lines(report: PeriodReport) -> list[str]:
    def units(value: int) -> str:
        return f"{format_units(value)} units"

    def cost(value: int) -> str:
        return format_money(value, report.currency)

    lines = [_month_line(report.month_units, units)] if report.month_units is not None else []
    if report.month_cost is not None:
        without = counted(report.month_unpriced, "run")
        more = f"; not included: {without} without a known price" if report.month_unpriced else ""
        lines.append(_month_line(report.month_cost, cost) + more)
    return lines


def _month_line(found: MonthProjection, write: Callable[[int], str]) -> str:
    text = (
        f"{date.fromisoformat(found.last_day):%B}: {write(found.so_far)} so far, "
        f"about {write(found.expected)} at its end"
    )
    if found.low is None or found.high is None:
        return f"{text}; too few days for a range"
    return f"{text} ({write(found.low)} to {write(found.high)})"


def _table(title: str, rows: Sequence[Compared], report: PeriodReport, style: Style, width: int | None) -> list[str]:
    columns = [
        Column(title=title, shrink_order=1),
        Column(title="RUNS", right=True),
        Column(title="BEFORE", right=True),
        Column(title="UNITS", right=True),
        Column(title="COST", right=True),
        Column(title="CHANGE", right=True),
    ]
    currency, compares = report.currency, report.compares
    cells = [
        [
            Cell(each.name.replace("_", " ")),
            Cell(str(each.now.runs)),
            Cell(str(each.before.runs) if compares else "-"),
            Cell(format_units(each.now.units)),
            Cell("unknown" if each.now.unpriced else format_money(each.now.cost_in(currency or "") or 0, currency)),
            Cell(_cost_change(each, currency) if compares else "-"),
        ]
        for each in rows
    ]
    return render_table(columns, cells, style, width)


def _guard_lines(report: PeriodReport) -> list[str]:
    """What was stopped and not launched, one line each; what it would have used is an estimate, and says of what."""
    guards, lines = report.guards, ["what the guards did:"]
    if guards.budget.runs:
        more = _amount(guards.budget.rest, report)
        lines.append(
            f"  {counted(guards.budget.runs, 'run')} stopped by the budget after {format_units(guards.budget.used)} "
            f"units; at their rates up to {more} more until their time limits"
        )
    if guards.time_limit.runs:
        hour = _amount(guards.time_limit.an_hour, report)
        lines.append(
            f"  {counted(guards.time_limit.runs, 'run')} stopped by the time limit after "
            f"{format_units(guards.time_limit.used)} units; at their rates {hour} more in each hour"
        )
    if guards.cancelled.runs:
        lines.append(f"  {counted(guards.cancelled.runs, 'run')} cancelled by people")
    if guards.doubles:
        usual = _amount(guards.doubles_units, report)
        lines.append(
            f"  {counted(guards.doubles, 'second launch', 'second launches')} of a key not made; usually {usual}"
        )
    if guards.over_caps:
        held = _amount(guards.over_caps_units, report)
        lines.append(f"  {counted(guards.over_caps, 'launch', 'launches')} refused by a cap; budgets of {held}")
    for kind, number in guards.refused.items():
        words = sanitize(kind.replace("_", " "))
        lines.append(f"  {counted(number, 'launch', 'launches')} refused: {words}")
    if guards.missed:
        lines.append(f"  {counted(guards.missed, 'scheduled time')} missed: nobody scheduled")
    return lines if len(lines) > 1 else ["the guards had nothing to stop"]


def _amount(milliunits: int, report: PeriodReport) -> str:
    """Milli-units, and their cost at the mean price of the period where that is known."""
    units, price = f"{format_units(milliunits)} units", report.cost_per_unit
    return units if price is None else f"{units} (about {format_money(round(milliunits * price), report.currency)})"
