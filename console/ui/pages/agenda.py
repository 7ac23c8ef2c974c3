"""`5`: the agenda, all scheduled times of the next 24 hours in order, and what each will do as things stand."""

from __future__ import annotations

from collections.abc import Mapping

from console.domain.formatting import at, format_units, zone_name, zone_or_utc
from console.domain.task import Stage
from console.engine.scheduling.agenda import Agenda, AgendaEntry, Effect
from console.engine.scheduling.cap_forecast import Room
from console.engine.scheduling.daily_demand import DailyDemand
from console.ui.context import Context
from console.ui.dialogs.help import TextPage
from console.ui.glyphs import Glyphs
from console.ui.spans import Line, Span, Tone, fit, left, line, right, sanitize_cell, wrapped
from console.ui.words import user_text

HOURS = 24
MOST_LINES = 500
"""Times on the page; laying them out must not take long."""
UTC = zone_or_utc("UTC")
TASK, WHAT, HOLD, ROOM = 24, 8, 6, 6
TIMES = ((72, "%a %d %b %H:%M", 21), (0, "%a %H:%M", 14))
"""The form of a local time and its cells with the name of the zone, by the least width of the page."""
WITH_UTC = 84
"""The least width, in cells, in which the time in UTC has a column."""

TONES: Mapping[Effect, Tone] = {
    Effect.RUN: Tone.OK,
    Effect.PROPOSAL: Tone.WAIT,
    Effect.SKIPPED: Tone.MUTED,
    Effect.REFUSED: Tone.BAD,
}
ROOM_TONES: Mapping[Room, Tone] = {Room.FITS: Tone.MUTED, Room.LIKELY: Tone.WARN, Room.FULL: Tone.BAD}


async def agenda_page(context: Context) -> TextPage:
    """Read the agenda and return the page. Raises StoreError."""
    agenda = await context.engine.agenda.upcoming(HOURS)
    zone = zone_or_utc(agenda.time_zone)
    title = (
        f"The next {HOURS} hours, as things stand at {at(agenda.now_ms, zone):%H:%M} {zone_name(agenda.now_ms, zone)}"
    )
    return TextPage(title, lambda cells: agenda_lines(agenda, cells, context.glyphs))


def agenda_lines(agenda: Agenda, cells: int, glyphs: Glyphs) -> list[Line]:
    """What no launch will get past, the header, and one line for each time, with its reason below it."""
    lines: list[Line] = []
    if agenda.nobody_schedules:
        lines.append(line(Span("Nobody schedules: none of this is launched.", Tone.LOUD)))
    if agenda.paused is not None:
        lines.append(line(Span(f"Launches are paused by {user_text(agenda.paused.by)}.", Tone.LOUD)))
    if not agenda.entries:
        return [*lines, line(Span(f"Nothing is scheduled in the next {HOURS} hours.", Tone.MUTED))]
    utc = f"{left('UTC', 6)} " if cells >= WITH_UTC else ""
    _, times, task = _widths(cells)
    head = f"  {left('local', times)} {utc}{left('task', task)} {left('what', WHAT)} {right('hold', HOLD)} room"
    lines.append(fit((Span(head, Tone.MUTED),), cells, glyphs.ellipsis))
    for entry in agenda.entries[:MOST_LINES]:
        lines.extend(fit(each, cells, glyphs.ellipsis) for each in _entry_lines(entry, cells, glyphs))
    if len(agenda.entries) > MOST_LINES:
        lines.append(line(Span(f"only the first {MOST_LINES}: `nightdesk next` lists more", Tone.MUTED)))
    return lines


def _entry_lines(entry: AgendaEntry, cells: int, glyphs: Glyphs) -> list[Line]:
    zone = zone_or_utc(entry.time_zone)
    form, times, task = _widths(cells)
    local = f"{at(entry.at_ms, zone).strftime(form)} {zone_name(entry.at_ms, zone)}"
    utc = f"{at(entry.at_ms, UTC):%H:%M}  " if cells >= WITH_UTC else ""
    room = Span(entry.room.value, ROOM_TONES[entry.room]) if entry.room else Span("")
    first = line(
        Span(glyphs.near if entry.shifts else " ", Tone.WARN),
        Span(f" {left(local, times)} {utc}"),
        Span(f"{left(sanitize_cell(entry.task), task, glyphs.ellipsis)} ", Tone.STRONG),
        Span(f"{left(entry.effect.value, WHAT)} ", TONES[entry.effect]),
        Span(f"{right(format_units(entry.hold), HOLD)} "),
        room,
    )
    notes = (
        f"the clocks change before it, to {zone_name(entry.at_ms, zone)}" if entry.shifts else "",
        "tried again after a failure" if entry.retry_of else "",
        sanitize_cell(entry.why, limit=300),
    )
    text = "; ".join(filter(None, notes))
    pieces = wrapped(text, max(12, cells - 4)) if text else []
    return [first, *(line(Span(f"    {piece}", Tone.MUTED)) for piece in pieces)]


def _widths(cells: int) -> tuple[str, int, int]:
    """The form of a local time, its cells, and those of the name of the task."""
    form, times = next((form, times) for least, form, times in TIMES if cells >= least)
    fixed = 2 + times + 1 + (7 if cells >= WITH_UTC else 0) + 1 + WHAT + 1 + HOLD + 1 + ROOM
    return form, times, max(8, min(TASK, cells - fixed))


def demand_lines(demand: DailyDemand | None, to: Stage, cells: int) -> list[Line]:
    """For the question of a promotion: the most that the schedule can take in a day, and what the cap leaves."""
    if demand is None:
        return [line(Span("It has no schedule: nothing is launched by itself.", Tone.MUTED))]
    most, left_over = demand.lines()
    asked = " Each is a proposal first." if to is Stage.SEMI else ""
    tone = Tone.PLAIN if demand.fits else Tone.WARN
    pairs = ((f"{most}{asked}", Tone.PLAIN), (left_over, tone))
    return [line(Span(piece, each)) for text, each in pairs for piece in wrapped(text, cells)]
