"""The usage report as lines, for the screen and for the shell: chart, table, days that stand out, forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from console.domain.usage_stats import Group, Measure
from console.engine.usage import Flag, MemberTotal, UsageReport
from console.ui.spans import Line, Span, Tone, fit, left, line, right, sanitize_cell, wrap_facts
from console.ui.usage.chart import OTHERS, SERIES, Chart, ChartStyle, amount, columns, drawn_members, month_course
from console.ui.words import run_count

NAME = 22
ONE = {Measure.UNITS: 1_000, Measure.COST: 1_000_000, Measure.RUNS: 1, Measure.SECONDS: 3_600_000}
"""The integers of a measure that make one on the scale of the month: units, money, runs, hours."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the cursors are on; the default is everything."""

    day: str | None = None
    """A day of the chart."""
    member: str | None = None
    """A row of the table."""


EVERYTHING = Selection()
OTHERS_TITLE = Span("others, drawn as one:", Tone.MUTED)
PRINTED_ROWS = 16
"""The height of the chart in a shell."""
LEAST_TO_WRAP = 18
"""The rows from which on a long forecast is wrapped; in a lower window the table needs them."""
TALL = 40
"""From this height on the course of the month gets rows of its own."""
MONTH_CELLS, MONTH_ROWS = 44, 9
"""The least size of the course of the month; in less room only its sentence is shown."""


def shown_members(report: UsageReport) -> Sequence[MemberTotal]:
    """The members in the order of the table: largest first, days newest first."""
    if report.query.group is Group.DAY:
        return sorted(report.members, key=lambda member: member.member, reverse=True)
    return report.members


def figure(value: int, report: UsageReport) -> str:
    """A value of the measure with its unit: `38.2 units`, `12.40 EUR`, `3 runs`, `2.5h`."""
    match report.query.measure:
        case Measure.COST:
            return f"{amount(value, Measure.COST)} {report.currency or ''}".rstrip()
        case Measure.SECONDS:
            return amount(value, Measure.SECONDS)
        case Measure.RUNS:
            return run_count(value)
        case Measure.UNITS:
            return f"{amount(value, Measure.UNITS)} units"


def chart_of(report: UsageReport, selection: Selection = EVERYTHING) -> Chart:
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
        selected=selection.day,
    )


def title(report: UsageReport, cells: int, selection: Selection = EVERYTHING) -> Line:
    """The title, such as `units a day by task, last 30 days · cap 600 · 40 held now`, and the day under the cursor."""
    query = report.query
    measure = f"cost in {report.currency}" if query.measure is Measure.COST and report.currency else query.measure.value
    pieces = [Span(f" {measure} a day by {query.group}", Tone.STRONG), Span(f", last {query.days} days", Tone.MUTED)]
    if selection.day is not None:
        used = sum(report.bars.get(selection.day, {}).values())
        pieces.append(Span(f" · {_weekday(selection.day)}: {figure(used, report)}", Tone.KEY))
    if report.cap is not None:
        pieces.append(Span(f" · cap {amount(report.cap, query.measure)}", Tone.WARN))
    if report.held and query.measure is Measure.UNITS:
        pieces.append(Span(f" · {amount(report.held, Measure.UNITS)} held now", Tone.HELD))
    if query.measure is Measure.COST and report.figures.unpriced:
        pieces.append(Span(f" · not included: {run_count(report.figures.unpriced)} without a known price", Tone.WARN))
    return fit(tuple(pieces), cells)


def table(
    report: UsageReport,
    cells: int,
    pen: ChartStyle,
    selected: str | None = None,
    shown: Sequence[MemberTotal] | None = None,
) -> list[Line]:
    """The header, one line for each member (sign, amount, share, change against the period before, runs), the total.

    `shown` are the members of the table and their order, where they are not all in the usual order.
    """
    measure = report.query.measure
    scale = report.currency if measure is Measure.COST and report.currency else measure.value
    head = f"   {left(report.query.group.value, NAME)} {right(scale, 9)} {right('share', 6)}"
    lines = [fit((Span(f"{head} {right('change', 8)} {right('runs', 6)}", Tone.MUTED),), cells)]
    drawn = drawn_members([member.member for member in report.members])
    by_day = report.query.group is Group.DAY
    usual = shown_members(report)
    members = usual if shown is None else shown
    in_usual_order = list(members) == list(usual)
    # Without figures for the whole period before, nearly every member would have grown.
    compares = not by_day and report.compares and any(member.before for member in members)
    for member in members:
        own = member.member in drawn
        if not own and OTHERS in drawn and not by_day and in_usual_order:
            lines.append(fit((Span(f" {pen.sign(len(drawn) - 1)} ", SERIES[len(drawn) - 1]), OTHERS_TITLE), cells))
            drawn = tuple(name for name in drawn if name != OTHERS)
        others = len(drawn) - 1 if OTHERS in drawn and not in_usual_order else None
        series = 0 if by_day else drawn.index(member.member) if own else others
        row = _member(member, series, measure, pen, compares=compares)
        # The sign of the cursor takes the blank that each row begins with.
        if member.member == selected:
            row = (Span(pen.cursor, Tone.KEY), Span(row[0].text[1:], row[0].tone), *row[1:])
        lines.append(fit(row, cells))
    total = MemberTotal(
        member="total" if len(members) == len(report.members) else "total of these",
        value=sum(member.value for member in members),
        share=sum(member.share for member in members),
        before=sum(member.before for member in members),
        runs=sum(member.runs for member in members),
        unpriced=sum(member.unpriced for member in members),
    )
    return [*lines, fit(_member(total, None, measure, pen, compares=compares), cells)]


def _member(member: MemberTotal, series: int | None, measure: Measure, pen: ChartStyle, *, compares: bool) -> Line:
    """One row; `series` is the number of its colour in the chart."""
    unknown = measure is Measure.COST and member.unpriced > 0
    change, tone = _change(member) if compares and not unknown else ("", Tone.MUTED)
    value, share = amount(member.value, measure), f"{member.share:.0%}"
    if unknown:
        # A cost that is not known is never shown as 0, and one that is known in part not as if it were whole.
        value, share = (f">{value}" if member.value else "unknown"), "-"
    return line(
        Span(f" {pen.sign(series)} ", SERIES[series]) if series is not None else Span("   "),
        Span(f"{left(sanitize_cell(member.member), NAME)} {right(value, 9)} "),
        Span(f"{right(share, 6)} ", Tone.MUTED),
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
        lines += wrap_facts(_flag(flag, report), cells)
    return lines


def _flag(flag: Flag, report: UsageReport) -> list[Line]:
    found = flag.day
    times = (
        f", {found.member_value / found.member_baseline:.1f} times its usual amount" if found.member_baseline else ""
    )
    edited = "; ".join(sanitize_cell(change, limit=120) for change in flag.changes)
    why = f"changed: {edited}" if edited else "the task's settings did not change that day"
    used = (
        Span("     "),
        Span(sanitize_cell(found.member, limit=NAME), Tone.STRONG),
        Span(f" used {figure(found.member_value, report)}{times}"),
        Span(f", since {_day(found.since)}" if found.since != found.day else "", Tone.MUTED),
    )
    return [
        line(
            Span(f" {_day(found.day)}: ", Tone.BAD),
            Span(f"{figure(found.value, report)}, "),
            Span(f"usually about {figure(found.baseline, report)}"),
        ),
        line(*used),
        (Span(f"     {why}", Tone.WARN if edited else Tone.MUTED),),
    ]


def _day(day: str) -> str:
    at = date.fromisoformat(day)
    return f"{at:%b} {at.day}"


def _weekday(day: str) -> str:
    at = date.fromisoformat(day)
    return f"{at:%a} {at.day} {at:%b}"


def month_forecast(report: UsageReport) -> list[Line]:
    """The month so far and at its end, in the measure, and whether its cap will be reached."""
    lines: list[Line] = []
    if report.projection is not None:
        lines.append((Span(f" {projection_text(report)}", Tone.MUTED),))
    month = report.month
    if month is None:
        return [*lines, (Span(" the month has no cap", Tone.MUTED),)]
    spent, cap, daily = (amount(value, Measure.UNITS) for value in (month.spent, month.cap, month.per_day))
    verdict = Span("on course to stay under the cap", Tone.OK)
    if month.reached_on is not None:
        verdict = Span(f"the cap will be reached on {_day(month.reached_on)}", Tone.BAD)
    # The verdict first: a narrow window cuts the end.
    figures = Span(f"; {spent} of {cap} units, {daily} a day lately", Tone.MUTED)
    return [*lines, (Span(" month: ", Tone.MUTED), verdict, figures)]


def projection_text(report: UsageReport) -> str:
    """`November: 41.2 EUR so far, about 88 EUR at its end (75.1 to 101 EUR)`; empty where nothing is known."""
    found = report.projection
    if found is None:
        return ""
    text = (
        f"{date.fromisoformat(found.last_day):%B}: {figure(found.so_far, report)} so far, "
        f"about {figure(found.expected, report)} at its end"
    )
    if found.low is not None and found.high is not None:
        text += f" ({amount(found.low, report.query.measure)} to {figure(found.high, report)})"
    if report.query.measure is Measure.COST and report.month_unpriced:
        text += f"; not included: {run_count(report.month_unpriced)} without a known price"
    return text


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
    """The course of the month as a small chart, in the measure; empty if there is no room, or nothing to show."""
    measure, cap = report.query.measure, report.month.cap if report.month is not None else None
    cap = cap if measure is Measure.UNITS else None
    if report.projection is None or cells < MONTH_CELLS or rows < MONTH_ROWS:
        return []
    today = date.fromisoformat(report.days[-1])
    last_day = date.fromisoformat(report.projection.last_day).day
    scale = {Measure.COST: f"cost in {report.currency}", Measure.SECONDS: "hours"}.get(measure, measure.value)
    limit = ", and the cap" if cap is not None else ""
    head = fit((Span(f" {scale} of {today:%B} by day{limit}", Tone.MUTED),), cells)
    return [head, *month_course(report.month_days, cap, last_day, cells, rows - 1, one=ONE[measure])]


def lines(
    report: UsageReport,
    cells: int,
    rows: int,
    pen: ChartStyle,
    selection: Selection = EVERYTHING,
    shown: Sequence[MemberTotal] | None = None,
) -> list[Line]:
    """The page for the screen. The chart gets the rows that table and findings leave, at least eight.

    Of a table that is longer than its room the rows around the selected one are shown; `shown` is as for `table`.
    """
    trouble = log_trouble(report)
    below = [*month_forecast(report), *([trouble] if trouble else [])]
    below = wrap_facts(below, cells) if rows >= LEAST_TO_WRAP else [fit(each, cells) for each in below]
    if not report.members and not report.held:
        nothing = f" Nothing was used in the last {report.query.days} days."
        hint = line(Span(" Launch a task (", Tone.MUTED), Span("1", Tone.KEY), " then ", Span("l", Tone.KEY), ").")
        return [title(report, cells), (), fit((Span(nothing, Tone.MUTED),), cells), fit(hint, cells), (), *below]
    wide = cells >= 110
    half = cells // 2 if wide else cells
    members, found = table(report, half, pen, selection.member, shown), flags(report, cells - half if wide else cells)
    month = MONTH_ROWS + 4 if wide and rows >= TALL else 0
    needed = max(len(members), len(found) + month) if wide else len(members) + len(found)
    height = max(8, rows - 2 - len(below) - max(4, min(12 + month, needed)))
    room = max(0, rows - 1 - height - len(below))
    chart = columns(chart_of(report, selection), cells, height, pen, scale=report.query.measure)
    head, table_lines = title(report, cells, selection), _window(members, room, half, pen)
    if not wide:
        kept = found[: max(0, room - min(len(members), room))]
        return [head, *chart, *table_lines, *kept, *below]
    beside = [*found, *month_lines(report, min(60, cells - half), room - len(found))]
    return [head, *chart, *_side_by_side(table_lines, beside, half, room), *below]


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
        *month_forecast(report),
        *([trouble] if trouble else []),
    ]


def _window(table_lines: Sequence[Line], rows: int, cells: int, pen: ChartStyle) -> list[Line]:
    """The table in at most `rows` lines: header and total stay, the rows around the cursor show, others are counted."""
    if len(table_lines) <= rows or rows < 4:
        return list(table_lines[:rows])
    head, *body, total = table_lines
    room = rows - 3
    at = next((number for number, each in enumerate(body) if each[0] == Span(pen.cursor, Tone.KEY)), 0)
    start = max(0, min(at - room // 2, len(body) - room))
    above, below = start, len(body) - start - room
    counts = ", ".join(filter(None, (f"{above} above" if above else "", f"{below} more below" if below else "")))
    return [head, *body[start : start + room], fit((Span(f"   {counts}", Tone.MUTED),), cells), total]


def _side_by_side(one: Sequence[Line], other: Sequence[Line], half: int, rows: int) -> list[Line]:
    count = min(rows, max(len(one), len(other)))
    return [
        (*(one[at] if at < len(one) else fit((), half)), *(other[at] if at < len(other) else ())) for at in range(count)
    ]
