"""The usage report as lines, for the screen and for the shell: chart, table, days that stand out, forecast."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from console.domain.usage_stats import Group, Measure
from console.engine.usage import Flag, MemberTotal, UsageReport
from console.ui.spans import Line, Span, Tone, fit, left, line, right, sanitize_cell
from console.ui.usage.chart import OTHERS, SERIES, Chart, ChartStyle, amount, columns, drawn_members, month_course
from console.ui.words import run_count

NAME = 22
UNIT = {Measure.UNITS: " units", Measure.RUNS: " runs"}
"""Behind a figure of this measure; others have their unit in the figure or in the title."""
PRINTED_ROWS = 16
"""The height of the chart in a shell."""
TALL = 40
"""From this height on the course of the month gets rows of its own."""
MONTH_CELLS, MONTH_ROWS = 44, 9
"""The least size of the course of the month; in less room only its sentence is shown."""


def chart_of(report: UsageReport) -> Chart:
    """The chart of the report. A chart by day has a single member, so its bars are not stacked."""
    by_day = report.query.group is Group.DAY
    bars = {day: {"all": sum(values.values())} for day, values in report.bars.items()} if by_day else report.bars
    members = ["all"] if by_day else [member.member for member in report.members]
    return Chart(
        days=report.days,
        bars=bars,
        members=members,
        cap=report.cap,
        held=report.held if report.query.measure is Measure.UNITS else 0,
        marked=frozenset(flag.day.day for flag in report.flags),
    )


def title(report: UsageReport, cells: int) -> Line:
    """The title, such as `units a day by task, last 30 days · cap 600 · 40 held now`."""
    query = report.query
    measure = f"cost in {report.currency}" if query.measure is Measure.COST and report.currency else query.measure.value
    pieces = [Span(f" {measure} a day by {query.group}", Tone.STRONG), Span(f", last {query.days} days", Tone.MUTED)]
    if report.cap is not None:
        pieces.append(Span(f" · cap {amount(report.cap, query.measure)}", Tone.WARN))
    if report.held and query.measure is Measure.UNITS:
        pieces.append(Span(f" · {amount(report.held, Measure.UNITS)} held now", Tone.HELD))
    if query.measure is Measure.COST and report.figures.unpriced:
        pieces.append(Span(f" · not included: {run_count(report.figures.unpriced)} without a known price", Tone.WARN))
    return fit(tuple(pieces), cells)


def table(report: UsageReport, cells: int, pen: ChartStyle) -> list[Line]:
    """One line for each member: sign, total, share, change against the period before, runs."""
    measure = report.query.measure
    head = f"   {left(report.query.group.value, NAME)} {right(measure.value, 9)} {right('share', 6)}"
    lines = [fit((Span(f"{head} {right('change', 8)} {right('runs', 6)}", Tone.MUTED),), cells)]
    drawn = drawn_members([member.member for member in report.members])
    by_day = report.query.group is Group.DAY
    members = sorted(report.members, key=lambda one: one.member, reverse=True) if by_day else report.members
    # Without figures for the period before, every member would be new.
    compares = not by_day and any(member.before for member in members)
    for member in members:
        series = drawn.index(member.member) if member.member in drawn else drawn.index(OTHERS)
        lines.append(fit(_member(member, 0 if by_day else series, measure, pen, compares=compares), cells))
    return lines


def _member(member: MemberTotal, series: int, measure: Measure, pen: ChartStyle, *, compares: bool) -> Line:
    change, tone = _change(member) if compares else ("", Tone.MUTED)
    return line(
        Span(f" {pen.sign(series)} ", SERIES[series]),
        Span(f"{left(sanitize_cell(member.member), NAME)} {right(amount(member.value, measure), 9)} "),
        Span(f"{right(f'{member.share:.0%}', 6)} ", Tone.MUTED),
        Span(right(change, 8), tone),
        Span(f" {right(str(member.runs), 6)}", Tone.MUTED),
    )


def _change(member: MemberTotal) -> tuple[str, Tone]:
    if member.before == 0:
        return ("new" if member.value else "", Tone.WARN if member.value else Tone.MUTED)
    share = (member.value - member.before) / member.before
    tone = Tone.BAD if share > 0.5 else Tone.OK if share < -0.1 else Tone.MUTED
    return f"{share:+.0%}", tone


def flags(report: UsageReport, cells: int) -> list[Line]:
    """The days that stand out, newest first, in three lines each: by how much, which member, and what was edited."""
    lines: list[Line] = []
    for flag in reversed(report.flags):
        lines.extend(fit(each, cells) for each in _flag(flag, report.query.measure))
    return lines


def _flag(flag: Flag, measure: Measure) -> list[Line]:
    found = flag.day
    times = (
        f", {found.member_value / found.member_baseline:.1f} times its usual amount" if found.member_baseline else ""
    )
    edited = "; ".join(sanitize_cell(change, limit=120) for change in flag.changes)
    why = f"changed: {edited}" if edited else "the task's settings did not change that day"
    used = (
        Span("     "),
        Span(sanitize_cell(found.member, limit=NAME), Tone.STRONG),
        Span(f" used {amount(found.member_value, measure)}{times}"),
        Span(f", since {_day(found.since)}" if found.since != found.day else "", Tone.MUTED),
    )
    return [
        line(
            Span(f" {_day(found.day)}: ", Tone.BAD),
            Span(f"{amount(found.value, measure)}{UNIT.get(measure, '')}, "),
            Span(f"usually about {amount(found.baseline, measure)}"),
        ),
        line(*used),
        (Span(f"     {why}", Tone.WARN if edited else Tone.MUTED),),
    ]


def _day(day: str) -> str:
    at = date.fromisoformat(day)
    return f"{at:%b} {at.day}"


def month_forecast(report: UsageReport) -> Line:
    """The forecast of the month, in one sentence."""
    month = report.month
    if month is None:
        return (Span(" the month has no cap", Tone.MUTED),)
    spent, cap, daily = (amount(value, Measure.UNITS) for value in (month.spent, month.cap, month.per_day))
    so_far = Span(f" month: {spent} of {cap} units, {daily} a day lately: ", Tone.MUTED)
    if month.reached_on is None:
        return so_far, Span("on course to stay under the cap", Tone.OK)
    return so_far, Span(f"the cap will be reached on {_day(month.reached_on)}", Tone.BAD)


def log_trouble(report: UsageReport) -> Line | None:
    """What is missing from the log; None if it is complete."""
    missing = []
    if report.foreign:
        affected = "1 line of the log is" if report.foreign == 1 else f"{report.foreign} lines of the log are"
        missing.append(f"{affected} incomplete or of another program")
    if report.gaps:
        gaps = "1 gap" if report.gaps == 1 else f"{report.gaps} gaps"
        missing.append(f"{gaps} in the log: run `nightdesk log rebuild`")
    return (Span(f" {'; '.join(missing)}", Tone.WARN),) if missing else None


def month_lines(report: UsageReport, cells: int, rows: int) -> list[Line]:
    """The course of the month as a small chart; empty if there is no room or no cap."""
    if report.month is None or cells < MONTH_CELLS or rows < MONTH_ROWS:
        return []
    today = date.fromisoformat(report.days[-1])
    following = date(today.year + today.month // 12, today.month % 12 + 1, 1)
    last_day = (following - date.resolution).day
    return month_course(report.month_days, report.month.cap, last_day, cells, rows)


def lines(report: UsageReport, cells: int, rows: int, pen: ChartStyle) -> list[Line]:
    """The page for the screen. The chart gets the rows that table and findings leave, at least eight."""
    below = [fit(each, cells) for each in (month_forecast(report), log_trouble(report)) if each is not None]
    wide = cells >= 110
    half = cells // 2 if wide else cells
    members, found = table(report, half, pen), flags(report, cells - half if wide else cells)
    month = MONTH_ROWS + 3 if wide and rows >= TALL else 0
    needed = max(len(members), len(found) + month) if wide else len(members) + len(found)
    height = max(8, rows - 2 - len(below) - max(4, min(12 + month, needed)))
    room = max(0, rows - 1 - height - len(below))
    chart = columns(chart_of(report), cells, height, pen, scale=report.query.measure)
    if not wide:
        kept = found[: max(0, room - min(len(members), room))]
        return [title(report, cells), *chart, *_cut(members, room, half), *kept, *below]
    beside = [*found, *month_lines(report, min(60, cells - half), room - len(found))]
    return [title(report, cells), *chart, *_side_by_side(_cut(members, room, half), beside, half, room), *below]


def printed(report: UsageReport, cells: int, pen: ChartStyle) -> list[Line]:
    """The page for a shell, which scrolls: all members and all findings, one below the other."""
    chart = columns(chart_of(report), cells, PRINTED_ROWS, pen, scale=report.query.measure)
    trouble = log_trouble(report)
    found = flags(report, cells)
    return [
        title(report, cells),
        *chart,
        (),
        *table(report, cells, pen),
        *([(), *found] if found else []),
        (),
        month_forecast(report),
        *([trouble] if trouble else []),
    ]


def _cut(lines: Sequence[Line], rows: int, cells: int) -> list[Line]:
    """At most `rows` lines; where lines are left out, the last one says how many."""
    if len(lines) <= rows or rows < 2:
        return list(lines[:rows])
    more = len(lines) - rows + 1
    return [*lines[: rows - 1], fit((Span(f"   and {more} more", Tone.MUTED),), cells)]


def _side_by_side(one: Sequence[Line], other: Sequence[Line], half: int, rows: int) -> list[Line]:
    count = min(rows, max(len(one), len(other)))
    return [
        (*(one[at] if at < len(one) else fit((), half)), *(other[at] if at < len(other) else ())) for at in range(count)
    ]
