"""The usage chart as text for a terminal.

Kept apart because it loads the chart of the screen, which `usage --json` and `usage --csv` do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from console.cli.render.table import Style
from console.engine.usage import UsageReport
from console.ui.spans import Line, Tone
from console.ui.usage.chart import ChartStyle
from console.ui.usage.lines import printed

SGR: Mapping[Tone, str] = {
    Tone.MUTED: "2",
    Tone.FAINT: "2",
    Tone.STRONG: "1",
    Tone.HELD: "2",
    Tone.OK: "32",
    Tone.WARN: "33",
    Tone.BAD: "31",
    Tone.LOUD: "1;31",
    Tone.BUSY: "36",
    Tone.BAR1: "34",
    Tone.BAR2: "32",
    Tone.BAR3: "33",
    Tone.BAR4: "35",
    Tone.BAR5: "36",
    Tone.BAR6: "31",
}
"""SGR parameters (ECMA-48) of the sixteen colours that every terminal has."""


def usage_text(report: UsageReport, cells: int, style: Style, *, ascii_only: bool) -> list[str]:
    """Return the chart, the table and the findings; without colour, patterns tell the members apart."""
    chart_style = ChartStyle(patterned=not style.enabled, ascii_only=ascii_only)
    return painted(printed(report, cells, chart_style), style)


def painted(lines: Iterable[Line], style: Style) -> list[str]:
    """Return the text of `lines`, whose spans are sanitized, without trailing blanks."""
    if not style.enabled:
        return ["".join(span.text for span in line).rstrip() for line in lines]
    return ["".join(_painted(text, SGR.get(tone, "")) for text, tone in line).rstrip() for line in lines]


def _painted(text: str, parameters: str) -> str:
    return f"\x1b[{parameters}m{text}\x1b[0m" if parameters and text.strip() else text
