"""The line below a filter while it is typed: what is wrong with it, what can follow, or what there is.

Kept apart because every table shows it alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from console.ui.spans import Line, Span, Tone, fit, line, sanitize_cell

DATES = "a day as 2026-11-23, today, yesterday or mon; a time as 03:00; or how long ago as 90m, 12h, 7d"


def help_line(text: str, trouble: str, names: Sequence[str], found: Sequence[str], cells: int, ellipsis: str) -> Line:
    """The help in exactly `cells`; `names` are those of the filters, `found` the completions of the last piece."""
    begun = text.rpartition(" ")[2].removeprefix("-")
    if trouble and begun not in ("since:", "until:") and not (":" in begun and found):
        return fit(line(Span("   "), Span(sanitize_cell(trouble), Tone.BAD)), cells, ellipsis)
    if begun and found:
        choices = "  ".join(sanitize_cell(each) for each in found)
        return fit(line(Span("   tab ", Tone.KEY), Span(choices, Tone.MUTED)), cells, ellipsis)
    if begun.startswith(("since:", "until:")):
        return fit(line(Span(f"   {DATES}", Tone.MUTED)), cells, ellipsis)
    said = " ".join(f"{name}:" for name in names)
    keys = line(
        *(Span("   enter", Tone.KEY), " table   ", Span("esc", Tone.KEY), " clear   "),
        Span(f"{said} and words; - before one leaves it out", Tone.MUTED),
    )
    return fit(keys, cells, ellipsis)
