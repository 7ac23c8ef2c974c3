"""`next`: the coming scheduled times in order, and what each will do as things stand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import click

from console.cli.exit_codes import ExitCode
from console.cli.invocation import Invocation, json_option, pass_invocation
from console.cli.opening import opened
from console.cli.render.launch_json import instant
from console.cli.render.table import Cell, Column, Tone, render_table
from console.domain.formatting import at, format_units, zone_or_utc
from console.domain.text import sanitize
from console.domain.timestamps import iso_ms
from console.engine.scheduling.agenda import MOST_ENTRIES, MOST_HOURS, Agenda, AgendaEntry, Effect
from console.engine.scheduling.cap_forecast import Room

TONES: Mapping[Effect, Tone] = {
    Effect.RUN: Tone.GOOD,
    Effect.PROPOSAL: Tone.WATCH,
    Effect.SKIPPED: Tone.FAINT,
    Effect.REFUSED: Tone.BAD,
}


@click.command("next")
@click.option("--hours", type=click.IntRange(1, MOST_HOURS), default=24, show_default=True, help="How far ahead.")
@json_option
@pass_invocation
def next_command(invocation: Invocation, hours: int) -> int:
    """List the coming scheduled times and what each will do.

    Each becomes a run, a proposal, a skip or a refusal; the reason is named.

    ROOM says whether the caps will have room then: `fits`, even if every run before it uses its whole budget; `likely`,
    if they use what they usually do; `full`. `~` marks the first time after the clocks of its zone change.
    """
    agenda = asyncio.run(_agenda(invocation, hours))
    if invocation.json:
        invocation.out_json(agenda_json(agenda))
    else:
        _print(invocation, agenda, hours)
    return ExitCode.OK


async def _agenda(invocation: Invocation, hours: int) -> Agenda:
    async with opened(invocation) as app:
        return await app.engine.agenda.upcoming(hours)


def agenda_json(agenda: Agenda) -> dict[str, object]:
    """Return the agenda; units and money as numbers, times in UTC and as they are in the zone of the task."""
    paused = agenda.paused
    return {
        "at": iso_ms(agenda.now_ms),
        "until": iso_ms(agenda.until_ms),
        "time_zone": agenda.time_zone,
        "nobody_schedules": agenda.nobody_schedules,
        "paused": {"since": instant(paused.since_ms), "by": paused.by} if paused else None,
        "cut": agenda.is_cut,
        "entries": [_entry_json(entry) for entry in agenda.entries],
    }


def _entry_json(entry: AgendaEntry) -> dict[str, object]:
    return {
        "task": entry.task,
        "utc": iso_ms(entry.at_ms),
        "local": at(entry.at_ms, zone_or_utc(entry.time_zone)).isoformat(),
        "time_zone": entry.time_zone,
        "clocks_change": entry.shifts,
        "effect": entry.effect.value,
        "why": entry.why,
        "hold_units": entry.hold / 1000,
        "cost_at_most": None if entry.cost_micro is None else entry.cost_micro / 1_000_000,
        "currency": entry.currency,
        "room": entry.room.value if entry.room else None,
        "retry_of": entry.retry_of,
    }


def _print(invocation: Invocation, agenda: Agenda, hours: int) -> None:
    if agenda.nobody_schedules:
        invocation.say("nobody schedules: nothing of this is launched unless `nightdesk serve` or a console runs then")
    if not agenda.entries:
        invocation.say(f"nothing is scheduled in the next {hours} h")
        return
    columns = [
        Column(title="LOCAL"),
        Column(title="UTC"),
        Column(title="TASK", shrink_order=1),
        Column(title="WHAT"),
        Column(title="HOLD", right=True),
        Column(title="ROOM"),
        Column(title="WHY", shrink_order=2),
    ]
    rows = [
        [
            Cell(f"{'~' if entry.shifts else ''}{at(entry.at_ms, zone_or_utc(entry.time_zone)):%a %d %b %H:%M %Z}"),
            Cell(f"{at(entry.at_ms, zone_or_utc('UTC')):%d %b %H:%M}"),
            Cell(entry.task),
            Cell(entry.effect.value, TONES[entry.effect]),
            Cell(format_units(entry.hold)),
            Cell(entry.room.value if entry.room else "-", Tone.BAD if entry.room is Room.FULL else Tone.PLAIN),
            Cell(("try again after a failure; " if entry.retry_of else "") + entry.why or "-"),
        ]
        for entry in agenda.entries
    ]
    invocation.out(*render_table(columns, rows, invocation.style, invocation.width))
    if agenda.is_cut:
        invocation.say(f"only the first {MOST_ENTRIES} are shown")
    shifted = {entry.time_zone for entry in agenda.entries if entry.shifts}
    if shifted:
        invocation.say(f"~ the clocks change before it: {sanitize(', '.join(sorted(shifted)))}")
