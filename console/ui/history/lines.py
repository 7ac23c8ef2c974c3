"""Rows and panel of the history: what happened, and what a launch of that key would meet now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from console.domain.run import Outcome, Run, State
from console.engine.models import KeyState, KeyStatus, RunDetail
from console.ui.format import at, elapsed, units
from console.ui.glyphs import Glyphs, outcome_word, state_span
from console.ui.history.pages import Entry
from console.ui.runs.lines import labelled, result_lines
from console.ui.spans import Line, Span, Tone, clip, fit, left, line, middle, right, sanitize_cell, width
from console.ui.state.view_state import ViewState


class Name(StrEnum):
    """The columns from left to right."""

    WHEN = "when"
    OUTCOME = "outcome"
    TASK = "task"
    TARGET = "target"
    DATE = "date"
    TRIES = "try"
    KEY = "key"
    STANDING = "key is"
    STAGE = "stage"
    ORIGIN = "by"
    ELAPSED = "elapsed"
    UNITS = "units"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a column takes, in cells, and from which width of the screen on it is there."""

    name: Name
    cells: int
    since: int
    flush_right: bool = False


COLUMNS = (
    Column(name=Name.WHEN, cells=16, since=0),
    Column(name=Name.OUTCOME, cells=13, since=0),
    Column(name=Name.TASK, cells=18, since=0),
    Column(name=Name.TARGET, cells=16, since=160),
    Column(name=Name.DATE, cells=14, since=130),
    Column(name=Name.KEY, cells=8, since=108),
    Column(name=Name.STANDING, cells=7, since=0),
    Column(name=Name.TRIES, cells=5, since=0, flush_right=True),
    Column(name=Name.STAGE, cells=10, since=150),
    Column(name=Name.ORIGIN, cells=8, since=170),
    Column(name=Name.ELAPSED, cells=8, since=100, flush_right=True),
    Column(name=Name.UNITS, cells=6, since=0, flush_right=True),
)
"""What is left of the width is the note's, or the task's where a note would say nothing."""
NOTE_LEAST = 12


def columns(cells: int) -> tuple[Column, ...]:
    """Those that a screen of that width has; a name or a target is wide where there is room."""
    chosen = [column for column in COLUMNS if column.since <= cells]
    room = cells - sum(column.cells + 1 for column in chosen)
    if room >= NOTE_LEAST:
        return (*chosen, Column(name=Name.NOTE, cells=room, since=0))
    return tuple(replace(each, cells=each.cells + room) if each.name is Name.TASK else each for each in chosen)


def head(cells: int) -> Line:
    """The names of the columns."""
    names = (
        right(column.name, column.cells) if column.flush_right else left(column.name, column.cells)
        for column in columns(cells)
    )
    return (Span(" ".join(names), Tone.MUTED),)


def row(entry: Entry, look: ViewState, cells: int, glyphs: Glyphs, *, below: bool = False) -> Line:
    """One entry; `below`: another attempt of the key that stands above."""
    spans: list[Span] = []
    for column in columns(cells):
        span = _cell(column, entry, look, glyphs)
        if below and column.name is Name.TASK:
            span = Span(f" {glyphs.branch} attempt {entry.run.attempt}", Tone.MUTED)
        place = right if column.flush_right else left
        spans += [Span(place(span.text, column.cells, glyphs.ellipsis), span.tone), Span(" ")]
    return tuple(spans[:-1])


def _cell(column: Column, entry: Entry, look: ViewState, glyphs: Glyphs) -> Span:
    run, standing = entry.run, entry.standing
    quiet = Tone.MUTED if run.attempt == 0 else Tone.PLAIN
    match column.name:
        case Name.WHEN:
            return Span(_when(run.created_ms, look), quiet)
        case Name.OUTCOME:
            return state_span(run, glyphs)
        case Name.TASK:
            return Span(sanitize_cell(run.task), Tone.MUTED if run.attempt == 0 else Tone.STRONG)
        case Name.TARGET:
            return Span(middle(sanitize_cell(run.target), column.cells, glyphs.ellipsis), quiet)
        case Name.DATE:
            return Span(sanitize_cell(run.date), quiet)
        case Name.KEY:
            return Span(run.key[: column.cells], Tone.MUTED)
        case Name.STANDING:
            return standing_span(standing, glyphs)
        case Name.TRIES:
            return Span(tries(run, standing, glyphs), quiet)
        case Name.STAGE:
            return Span(run.stage.label, quiet)
        case Name.ORIGIN:
            return Span(run.origin.value, quiet)
        case Name.ELAPSED:
            return Span(elapsed(look.elapsed_ms(run)) if run.sent else glyphs.none, quiet)
        case Name.UNITS:
            return Span(units(run.used) if run.usage_known or run.used else glyphs.none, quiet)
        case Name.NOTE:
            return Span(_note(run), Tone.MUTED)
        case _:
            assert_never(column.name)


def _when(wall_ms: int, look: ViewState) -> str:
    """`Mon 23 Nov 03:06`, from the last year `2025-11-23 03:06`: each in sixteen cells, so that days stand in line."""
    then = at(wall_ms, look.zone)
    if then.year == at(look.now_ms, look.zone).year:
        return f"{then:%a} {then.day:>2} {then:%b %H:%M}"
    return f"{then:%Y-%m-%d %H:%M}"


def _note(run: Run) -> str:
    text = run.note or run.trouble
    return sanitize_cell(text or (run.result if run.outcome is not Outcome.OK else ""), limit=200)


def tries(run: Run, standing: KeyStatus, glyphs: Glyphs) -> str:
    """`1`, `2/3` for the second of three attempts; nothing for what was no attempt."""
    if run.attempt == 0:
        return glyphs.none
    return str(run.attempt) if standing.attempts <= 1 else f"{run.attempt}/{standing.attempts}"


_STANDING_TONES = {KeyState.DONE: Tone.OK, KeyState.HELD: Tone.WARN, KeyState.FREE: Tone.MUTED}


def standing_span(standing: KeyStatus, glyphs: Glyphs) -> Span:
    """`done`, `held`, `free`, each with its sign."""
    signs = {KeyState.DONE: glyphs.outcomes[Outcome.OK], KeyState.HELD: glyphs.full, KeyState.FREE: glyphs.dot}
    return Span(f"{signs[standing.state]} {standing.state.value}", _STANDING_TONES[standing.state])


def standing_sentence(standing: KeyStatus) -> Line:
    """What a launch of the key would meet now, and why."""
    holder = standing.holder
    match standing.state:
        case KeyState.FREE:
            why = "no run has it" if not standing.attempts else "no attempt of it did anything"
            return line(Span("free", Tone.STRONG), Span(f": {why}; a launch goes out", Tone.MUTED))
        case KeyState.DONE:
            by = f" by attempt {holder.attempt}, {holder.id}" if holder else ""
            return line(Span("done", Tone.OK), Span(f"{by}; r runs it again, with a reason", Tone.MUTED))
        case KeyState.HELD:
            return _held(holder)
        case _:
            assert_never(standing.state)


def _held(holder: Run | None) -> Line:
    if holder is None:
        return line(Span("held", Tone.WARN))
    if holder.outcome is not None:
        what, then = outcome_word(holder.outcome), "r runs it again, with a reason"
    elif holder.state is State.UNCONFIRMED:
        what, then = "unconfirmed", "s settles it"
    else:
        what, then = holder.state.value, "a launch is skipped while it is"
    by = f" by attempt {holder.attempt}, which is {what}" if holder.outcome is None else ""
    by = by or f" by attempt {holder.attempt}, which ended {what}"
    return line(Span("held", Tone.WARN), Span(f"{by}; {then}", Tone.MUTED))


def panel(entry: Entry, detail: RunDetail | None, look: ViewState, cells: int, rows: int, glyphs: Glyphs) -> list[Line]:
    """The entry under the cursor: its key's state, the attempts of that key, note and result."""
    run = entry.run
    lines = [
        labelled(
            "key",
            Span(run.key),
            Span(f"  {sanitize_cell(run.type)}:{sanitize_cell(run.target)}:{run.date}", Tone.MUTED),
        ),
        labelled("", *standing_sentence(entry.standing)),
        labelled("asked", f"{run.origin.value}, {sanitize_cell(run.requested_by)}, at stage {run.stage.label}"),
    ]
    if run.note:
        lines.append(labelled("note", sanitize_cell(run.note)))
    if detail is not None and detail.run.id == run.id:
        lines += _attempts(detail.attempts, run, look, glyphs)
        if detail.changed_since:
            lines.append(labelled("since then", Span(sanitize_cell("; ".join(detail.changed_since)), Tone.WARN)))
    result = result_lines(run, cells, glyphs)
    if result and len(lines) < rows:
        lines += result
    return [fit(each, cells, glyphs.ellipsis) for each in lines[:rows]]


def _attempts(attempts: Sequence[Run], shown: Run, look: ViewState, glyphs: Glyphs) -> list[Line]:
    if len(attempts) < 2:
        return []
    return [
        labelled("attempts" if not number else "", *_attempt(each, each.id == shown.id, look, glyphs))
        for number, each in enumerate(reversed(attempts))
    ]


def _attempt(run: Run, is_shown: bool, look: ViewState, glyphs: Glyphs) -> Line:
    state = state_span(run, glyphs)
    sign = glyphs.pointer if is_shown else " "
    figures = f"{_when(run.created_ms, look)}  {units(run.used):>5} units  {elapsed(look.elapsed_ms(run)):>7}"
    superseded = "  superseded" if run.superseded_by else ""
    return line(
        Span(f"{sign}{run.attempt:>2}  "),
        Span(f"{state.text:<15}", state.tone),
        Span(f"{figures}  {run.id}{superseded}", Tone.MUTED),
    )


def what_is_shown(text: str, count: int | None, most: int, folded: bool, cells: int, glyphs: Glyphs) -> Line:
    """The line above the table: the filter, and how much fits it, or that it is more than `most`."""
    more = "+" if count is not None and count > most else ""
    number = "counting" if count is None else f"{min(count, most):,}{more}".replace(",", " ")
    noun = "entry" if count == 1 else "entries"
    ending = (Span(f"{number} {noun}", Tone.STRONG), Span(", attempts of a key folded " if folded else " ", Tone.MUTED))
    room = max(0, cells - width(ending) - 12)
    shown = (
        Span(clip(sanitize_cell(text), room, glyphs.ellipsis)) if text else Span("everything, newest first", Tone.MUTED)
    )
    start = line(Span(" history  ", Tone.MUTED), shown)
    return (*fit(start, cells - width(ending), glyphs.ellipsis), *ending)
