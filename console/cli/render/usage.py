"""The lines of the usage chart as text for a shell: tones become colours of the terminal's own, or nothing."""

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
"""Parameters of SGR (ECMA-48): the sixteen colours that every palette has."""


def usage_text(report: UsageReport, cells: int, style: Style, *, ascii_only: bool) -> list[str]:
    """Chart, table and findings; members are told apart by patterns where there is no colour."""
    pen = ChartStyle(patterned=not style.enabled, ascii_only=ascii_only)
    return painted(printed(report, cells, pen), style)


def painted(lines: Iterable[Line], style: Style) -> list[str]:
    """The text of the lines, blanks at their ends left out; their spans hold only cleaned text."""
    if not style.enabled:
        return ["".join(span.text for span in line).rstrip() for line in lines]
    return ["".join(_painted(text, SGR.get(tone, "")) for text, tone in line).rstrip() for line in lines]


def _painted(text: str, parameters: str) -> str:
    return f"\x1b[{parameters}m{text}\x1b[0m" if parameters and text.strip() else text
