"""`6`: the audit, what people did, newest first, with who, from where, when and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from console.domain.formatting import at, zone_or_utc
from console.engine.models import AuditAct, AuditEntry, AuditFilter
from console.ui.context import Context
from console.ui.dialogs.help import TextPage
from console.ui.spans import Line, Span, Tone, fit, left, line, sanitize_cell, wrapped
from console.ui.words import user_text

NEWEST = 500
"""Acts on the page; `nightdesk audit` has them all."""
WHEN, ACT = 18, 14
WITH_RUN = 72
"""The least width, in cells, in which the id of the run is shown."""

TONES: Mapping[AuditAct, Tone] = {
    AuditAct.APPROVE: Tone.OK,
    AuditAct.PROMOTE: Tone.OK,
    AuditAct.RESUME: Tone.OK,
    AuditAct.DECLINE: Tone.WARN,
    AuditAct.DEMOTE: Tone.WARN,
    AuditAct.CANCEL: Tone.WARN,
    AuditAct.RAISE: Tone.WARN,
    AuditAct.RERUN: Tone.WARN,
    AuditAct.PAUSE: Tone.BAD,
    AuditAct.SETTLE: Tone.BAD,
    AuditAct.ACCEPT: Tone.BAD,
    AuditAct.LIFT: Tone.BAD,
    AuditAct.RECOUNT: Tone.BAD,
    AuditAct.POLICY: Tone.WARN,
}


async def audit_page(context: Context) -> TextPage:
    """Read the newest acts and return the page. Raises StoreError."""
    entries, has_more = await context.engine.queries.audit(AuditFilter(), limit=NEWEST)
    zone = zone_or_utc(context.engine.settings.caps.time_zone)
    ellipsis = context.glyphs.ellipsis

    def text(cells: int) -> list[Line]:
        lines = audit_lines(entries, zone, cells, ellipsis)
        more = f"only the newest {NEWEST}: `nightdesk audit` lists all"
        return [*lines, line(Span(more, Tone.MUTED))] if has_more else lines

    return TextPage("Who did what", text)


def author(entry: AuditEntry) -> str:
    """Who did it and, of several hosts, on which one."""
    return user_text(entry.by) + (f" on {sanitize_cell(entry.host)}" if entry.host else "")


def audit_lines(entries: Sequence[AuditEntry], zone: ZoneInfo, cells: int, ellipsis: str) -> list[Line]:
    """Two lines for each act, and more for a long reason: what, about what and when; by whom and why."""
    if not entries:
        return [line(Span("Nobody approved, promoted, paused, cancelled or settled anything yet.", Tone.MUTED))]
    lines: list[Line] = []
    for entry in entries:
        about = sanitize_cell(": ".join(filter(None, (entry.task, entry.what))))
        piece, *more = wrapped(about, max(12, cells - WHEN - ACT - 1))
        first = line(
            Span(f"{at(entry.at_ms, zone):%Y-%m-%d %H:%M}  ", Tone.MUTED),
            Span(left(entry.act.value, ACT), TONES[entry.act]),
            Span(f" {piece}"),
            Span(f"  {entry.run}" if entry.run and cells >= WITH_RUN else "", Tone.MUTED),
        )
        lines.append(fit(first, cells, ellipsis))
        lines.extend(line(Span(" " * (WHEN + ACT + 1) + each)) for each in more)
        who = author(entry) + (f": {sanitize_cell(entry.why)}" if entry.why else "")
        lines.extend(line(Span(f"    {piece}", Tone.MUTED)) for piece in wrapped(who, max(12, cells - 4)))
    return lines
