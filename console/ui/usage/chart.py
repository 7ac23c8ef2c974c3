"""Charts as lines: stacked columns, one for each day, and the course of the month.

The columns are drawn here, because plotext 6.1 spaces stacked bars unevenly and cannot draw the line of a cap through
them. plotext draws the course of the month, as a line in braille.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate

from console.ui.spans import Line, Span, Tone, fit, left, right

SERIES = (Tone.BAR1, Tone.BAR2, Tone.BAR3, Tone.BAR4, Tone.BAR5, Tone.BAR6)
PATTERNS = "█▓▒░▞▚"
"""The members can be told apart without colour."""
ASCII_PATTERNS = "#%=:o."
EIGHTHS = " ▁▂▃▄▅▆▇█"
OTHERS = "others"
AXIS = 8
"""The width of the scale at the left."""
DAILY = 3
"""The least width of a column that has its own date."""
WIDEST = 10
"""The greatest width of one column with its gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The figures of a chart."""

    days: Sequence[str]
    """Days as `2026-11-23`, oldest first, without gaps."""
    bars: Mapping[str, Mapping[str, int]]
    """By day: the value by member."""
    members: Sequence[str]
    """The members, largest first. Those beyond the sixth are drawn as one."""
    cap: int | None = None
    held: int = 0
    """Units that are held now, drawn on top of the last day."""
    marked: frozenset[str] = frozenset()
    """Days that stand out."""
    selected: str | None = None
    """The day under the cursor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartStyle:
    """How a chart is drawn."""

    patterned: bool
    """True to draw patterns in place of full blocks, for terminals without enough colours."""
    ascii_only: bool = False
    cursor: str = "▌"
    """The sign before the selected row of the table."""

    def sign(self, series: int) -> str:
        """The sign of a full cell."""
        if self.ascii_only:
            return ASCII_PATTERNS[series % len(ASCII_PATTERNS)]
        return PATTERNS[series % len(PATTERNS)] if self.patterned else PATTERNS[0]


def drawn_members(members: Sequence[str]) -> tuple[str, ...]:
    """The members with a colour of their own; `others` is the last one if there are too many."""
    if len(members) <= len(SERIES):
        return tuple(members)
    return (*members[: len(SERIES) - 1], OTHERS)


def columns(chart: Chart, cells: int, rows: int, pen: ChartStyle, *, scale: str) -> list[Line]:
    """The chart in exactly `cells` by `rows`. `scale` is how a value is written: `units`, `cost`, `runs`, `seconds`.

    Where there are more days than columns, a column is the highest of its days, so that no spike is lost.
    """
    room = cells - AXIS
    groups = _groups(chart.days, room) if room >= 4 and chart.days else []
    wide = max(1, min(WIDEST, room // len(groups))) if groups else 1
    # Every day has its number and weekday below it where there is room for both.
    daily = len(groups) == len(chart.days) and wide >= DAILY
    height = rows - 3 if daily else rows - 2
    if height < 3 or not groups:
        return [fit((Span("too small for a chart", Tone.MUTED),), cells)][:rows]
    stacks = [_stack(chart, group) for group in groups]
    held = chart.held
    top = _nice(max([sum(stack) for stack in stacks] + [sum(stacks[-1]) + held, 1]))
    if chart.cap is not None and 3 * chart.cap <= 4 * top:
        # A cap far above the bars would flatten them; the title names it anyway.
        top = max(top, _nice(chart.cap))
    # An even height, so that the middle of the scale has a row.
    blank = [fit((), cells)] * (height % 2)
    dates = _days_and_weekdays(groups, wide, cells) if daily else [_dates(groups, wide, cells)]
    height -= height % 2
    lines = [_row(row, height, top, stacks, wide, room, chart, pen, scale, held) for row in range(height - 1, -1, -1)]
    return [*blank, *lines, _marks(chart, groups, wide, cells, pen), *dates]


def _groups(days: Sequence[str], room: int) -> list[tuple[str, ...]]:
    per = -(-len(days) // room)
    # The newest group must be complete, so the incomplete one is the oldest.
    first = len(days) % per or per
    cut = [tuple(days[:first])]
    return cut + [tuple(days[at : at + per]) for at in range(first, len(days), per)]


def _stack(chart: Chart, group: tuple[str, ...]) -> list[int]:
    """The values of the drawn members on the highest day of the group."""
    day = max(group, key=lambda each: sum(chart.bars.get(each, {}).values()))
    values = dict(chart.bars.get(day, {}))
    names = drawn_members(chart.members)
    own = [values.pop(name, 0) for name in names if name != OTHERS]
    return [*own, sum(values.values())] if OTHERS in names else own


def _nice(value: int) -> int:
    """A round number not below `value`: 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten."""
    power = 1
    while power * 10 <= value:
        power *= 10
    for tenths in (10, 15, 20, 30, 40, 50, 60, 80, 100):
        if power * tenths >= value * 10:
            return -(-power * tenths // 10)
    return power * 10


def _row(
    row: int,
    height: int,
    top: int,
    stacks: list[list[int]],
    wide: int,
    room: int,
    chart: Chart,
    pen: ChartStyle,
    scale: str,
    held: int,
) -> Line:
    spans = [_axis(row, height, top, scale)]
    is_cap = chart.cap is not None and chart.cap <= top and row == min(height - 1, chart.cap * height // top)
    rule = ("-" if pen.ascii_only else "╌") if is_cap else " "
    for number, stack in enumerate(stacks):
        extra = held if number == len(stacks) - 1 else 0
        sign, tone = _cell(row, height, top, stack, extra, pen)
        body = max(1, wide - 1) if wide > 1 else 1
        blank = sign == " "
        spans.append(Span((rule if blank else sign) * body, Tone.WARN if blank and is_cap else tone))
        if wide > body:
            spans.append(Span(rule * (wide - body), Tone.WARN if is_cap else Tone.FAINT))
    rest = room - wide * len(stacks)
    if rest > 0:
        spans.append(Span(rule * rest, Tone.WARN if is_cap else Tone.FAINT))
    return tuple(spans)


def _axis(row: int, height: int, top: int, scale: str) -> Span:
    ticks = {height - 1: top, height // 2 - 1: top // 2}
    label = amount(ticks[row], scale) if row in ticks else ""
    # Where nothing was used every tick would be 0.
    label = "0" if row == 0 else label if label != "0" else ""
    return Span(f"{right(label, AXIS - 1)} ", Tone.MUTED)


def _cell(row: int, height: int, top: int, stack: list[int], held: int, pen: ChartStyle) -> tuple[str, Tone]:
    """The sign and tone of one cell: of the member at its middle, or eighths of the member that ends in it."""
    floor, ceiling = row * top, (row + 1) * top
    total = sum(stack)
    if total * height > floor:
        # The member at the middle of the filled part decides the colour.
        middle = floor + min(ceiling, total * height)
        series = next(at for at, upto in enumerate(accumulate(stack)) if upto * height * 2 >= middle)
        tone = SERIES[series]
        eighths = 8 if total * height >= ceiling else max(1, (total * height - floor) * 8 // top)
        if eighths == 8 or pen.ascii_only or pen.patterned:
            return (pen.sign(series) if eighths >= 4 or row == 0 else " "), tone
        return EIGHTHS[eighths], tone
    if held and (total + held) * height > floor:
        return (":" if pen.ascii_only else "┊"), Tone.HELD
    return " ", Tone.FAINT


def _marks(chart: Chart, groups: list[tuple[str, ...]], wide: int, cells: int, pen: ChartStyle) -> Line:
    """A sign below the column of the selected day and below each column with a day that stands out."""
    outlier, cursor = ("^", "*") if pen.ascii_only else ("▲", "◆")
    body = max(1, wide - 1)
    spans = [Span(" " * AXIS)]
    for group in groups:
        stands_out = bool(chart.marked.intersection(group))
        mark, tone = (outlier, Tone.LOUD if wide == 1 else Tone.BAD) if stands_out else (" ", Tone.BAD)
        if chart.selected in group:
            mark, tone = cursor, Tone.KEY
        spans.append(Span(left(mark.center(body), wide), tone))
    return fit(tuple(spans), cells)


def _days_and_weekdays(groups: list[tuple[str, ...]], wide: int, cells: int) -> list[Line]:
    """The number of each day below its column, and its weekday or, for the first of a month, the month."""
    days = [date.fromisoformat(group[-1]) for group in groups]
    body = max(1, wide - 1)
    numbers = "".join(left(str(day.day).center(body), wide) for day in days)
    names = "".join(
        left((f"{day:%b}" if day.day == 1 and body >= 3 else f"{day:%a}"[: min(3, body)]).center(body), wide, "")
        for day in days
    )
    return [fit((Span(" " * AXIS), Span(text, Tone.MUTED)), cells) for text in (numbers, names)]


def _dates(groups: list[tuple[str, ...]], wide: int, cells: int) -> Line:
    """As many dates as fit below their columns without touching; the newest one always."""
    text = [" "] * (cells - AXIS)
    free_from = len(text)
    for number in range(len(groups) - 1, -1, -1):
        day = date.fromisoformat(groups[number][-1])
        label = f"{day:%a} {day.day}" if len(groups) <= 14 else f"{day:%b} {day.day}"
        middle = number * wide + max(1, wide - 1) // 2
        start = max(0, min(middle - len(label) // 2, len(text) - len(label)))
        if start >= 0 and start + len(label) < free_from + (free_from == len(text)):
            text[start : start + len(label)] = label
            free_from = start - 1
    return fit((Span(" " * AXIS), Span("".join(text), Tone.MUTED)), cells)


def amount(value: int, scale: str) -> str:
    """A value of the measure in at most seven cells: `1.2k`, `38.2`, `12m`."""
    match scale:
        case "units":
            return _short(value / 1000)
        case "cost":
            return _short(value / 1_000_000, least=2)
        case "seconds":
            return span(value)
        case _:
            return _short(float(value))


def span(milliseconds: int) -> str:
    """A duration: `40s`, `12m`, `3.5h`."""
    seconds = milliseconds / 1000
    if seconds < 100:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 6_000 else f"{seconds / 3600:.1f}h"


def _short(value: float, *, least: int = 1) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):.1f}{letter}"
    return f"{value:.{least if value < 10 else min(least, 1)}f}".removesuffix(".0")


def month_course(
    daily: Sequence[int], cap: int | None, last_day: int, cells: int, rows: int, *, one: int = 1_000
) -> list[Line]:
    """What the month has used so far, day by day, and where it goes at the present rate, against its cap if it has one.

    `daily` are the values of the days so far, today last, in integers of which `one` make a unit of the scale;
    `last_day` is the number of the month's last day.
    """
    # Imported here, because loading it takes longer than drawing everything else.
    import plotext

    course = [sum(daily[: number + 1]) / one for number in range(len(daily))]
    before = daily[-8:-1]
    rate = sum(before) / one / max(1, len(before))
    ahead = [course[-1] + rate * more for more in range(last_day - len(daily) + 1)]
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(cells, rows)
    curves = [
        (range(1, len(course) + 1), course, "braille"),
        (range(len(course), last_day + 1), ahead, "\u00b7"),
    ]
    if cap is not None:
        curves.append((range(1, last_day + 1), [cap / one] * last_day, "\u254c"))
    for days, values, marker in curves:
        signal = figure.signal(list(days), list(values), marker=marker)
        figure.draw(signal.lines() or signal)
    drawn = [_plain_figures(each) for each in plotext.uncolorize(str(figure.build())).splitlines()]
    return [fit((Span(each, Tone.BUSY),), cells) for each in (*drawn[:-1], _days_below(drawn[-2], last_day))]


def _plain_figures(drawn: str) -> str:
    """A line of the course with its label as the other figures are written; plotext writes `2.0e3`."""
    label, tick, rest = drawn.partition("\u2524")
    try:
        return f"{_short(float(label)):>{len(label)}}{tick}{rest}"
    except ValueError:
        return drawn


def _days_below(axis: str, last_day: int) -> str:
    """Whole days below the ticks of `axis`; plotext would write fractions."""
    ticks = [at for at, sign in enumerate(axis) if sign == "\u252c"]
    text = ""
    for tick in ticks:
        day = str(round(1 + (last_day - 1) * (tick - ticks[0]) / max(1, ticks[-1] - ticks[0])))
        text += day.rjust(tick + 1 - len(text) + len(day) // 2)
    return text
