"""The rows and the panel of the history: what happened, and what a launch of that key would meet now."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import assert_never

from console.domain.run import Outcome, Run, State
from console.engine.models import KeyState, KeyStatus, RunDetail
from console.tables import Column, PlacedColumn, layout_columns
from console.ui.format import at, elapsed, money, units
from console.ui.glyphs import Glyphs, state_span
from console.ui.history.pages import Entry
from console.ui.runs.lines import labelled, result_lines
from console.ui.spans import Line, Span, Tone, clip, fit, left, line, middle, right, sanitize_cell, width, wrap_facts
from console.ui.state.view_state import ViewState
from console.ui.words import ending_text, task_text, user_text


class ColumnName(StrEnum):
    """The columns from left to right."""

    WHEN = "when"
    OUTCOME = "outcome"
    TASK = "task"
    TARGET = "target"
    DATE = "date"
    TRIES = "try"
    KEY = "key"
    KEY_STATE = "key is"
    STAGE = "stage"
    ORIGIN = "by"
    ELAPSED = "elapsed"
    UNITS = "units"
    COST = "cost"
    NOTE = "note"


COLUMNS = (
    Column(name=ColumnName.WHEN, least=16, most=16),
    Column(name=ColumnName.OUTCOME, least=13, most=13),
    Column(name=ColumnName.TASK, least=18, most=72, turn=2),
    Column(name=ColumnName.TARGET, least=16, most=16, from_width=144),
    Column(name=ColumnName.DATE, least=14, most=14, from_width=130),
    Column(name=ColumnName.KEY, least=8, most=8, from_width=108),
    Column(name=ColumnName.KEY_STATE, least=7, most=7),
    Column(name=ColumnName.TRIES, least=5, most=5, flush_right=True),
    Column(name=ColumnName.STAGE, least=10, most=10, from_width=150),
    Column(name=ColumnName.ORIGIN, least=8, most=8, from_width=170),
    Column(name=ColumnName.ELAPSED, least=8, most=8, from_width=100, flush_right=True),
    Column(name=ColumnName.UNITS, least=6, most=6, flush_right=True),
    Column(name=ColumnName.COST, least=10, most=10, from_width=116, flush_right=True),
    Column(name=ColumnName.NOTE, least=12, most=1_000, priority=0, turn=1),
)
NARROW = 72
SHORT_WHEN = 9
"""The width of `Sat 06:15`."""
NARROW_COLUMNS = (
    Column(name=ColumnName.WHEN, least=SHORT_WHEN, most=SHORT_WHEN, priority=40),
    Column(name=ColumnName.OUTCOME, least=13, most=13),
    Column(name=ColumnName.TASK, least=10, most=72),
    Column(name=ColumnName.KEY_STATE, least=7, most=7, priority=10),
    Column(name=ColumnName.TRIES, least=5, most=5, priority=20, flush_right=True),
    Column(name=ColumnName.UNITS, least=6, most=6, priority=30, flush_right=True),
)
"""For tables of less than NARROW cells: the task's name keeps ten cells, and other columns are left out instead."""


@lru_cache(maxsize=8)
def placed_columns(cells: int) -> tuple[PlacedColumn[ColumnName], ...]:
    """The columns of a table that is `cells` wide."""
    return layout_columns(NARROW_COLUMNS if cells < NARROW else COLUMNS, cells)


def head(cells: int) -> Line:
    """The header of the table."""
    names = (
        (right if each.column.flush_right else left)(each.column.name, each.cells) for each in placed_columns(cells)
    )
    return (Span(" ".join(names), Tone.MUTED),)


def row(entry: Entry, view: ViewState, cells: int, glyphs: Glyphs, *, below: bool = False) -> Line:
    """One entry; `below` is true for another attempt of the key whose newest attempt stands above."""
    spans: list[Span] = []
    for placed in placed_columns(cells):
        span = _cell(placed, entry, view, glyphs)
        if below and placed.column.name is ColumnName.TASK:
            span = Span(f" {glyphs.branch} attempt {entry.run.attempt}", Tone.MUTED)
        align = right if placed.column.flush_right else left
        spans += [Span(align(span.text, placed.cells, glyphs.ellipsis), span.tone), Span(" ")]
    return tuple(spans[:-1])


def _cell(placed: PlacedColumn[ColumnName], entry: Entry, view: ViewState, glyphs: Glyphs) -> Span:
    run, key_status = entry.run, entry.key_status
    quiet = Tone.MUTED if run.attempt == 0 else Tone.PLAIN
    match placed.column.name:
        case ColumnName.WHEN:
            return Span(_when(run.created_ms, view, short=placed.cells == SHORT_WHEN), quiet)
        case ColumnName.OUTCOME:
            return state_span(run, glyphs)
        case ColumnName.TASK:
            return Span(task_text(run), Tone.MUTED if run.attempt == 0 else Tone.STRONG)
        case ColumnName.TARGET:
            return Span(middle(sanitize_cell(run.target), placed.cells, glyphs.ellipsis), quiet)
        case ColumnName.DATE:
            return Span(sanitize_cell(run.date), quiet)
        case ColumnName.KEY:
            return Span(run.key[: placed.cells], Tone.MUTED)
        case ColumnName.KEY_STATE:
            return key_state_span(key_status, glyphs)
        case ColumnName.TRIES:
            return Span(attempt_text(run, key_status, glyphs), quiet)
        case ColumnName.STAGE:
            return Span(run.stage.label, quiet)
        case ColumnName.ORIGIN:
            return Span(run.origin.value, quiet)
        case ColumnName.ELAPSED:
            return Span(elapsed(view.elapsed_ms(run)) if run.sent else glyphs.none, quiet)
        case ColumnName.UNITS:
            return Span(units(run.used) if run.usage_known or run.used else glyphs.none, quiet)
        case ColumnName.COST:
            return Span(money(run.cost_micro, run.currency) if run.sent else glyphs.none, quiet)
        case ColumnName.NOTE:
            return Span(_note(run), Tone.MUTED)
        case _:
            assert_never(placed.column.name)


def _when(wall_ms: int, view: ViewState, *, short: bool) -> str:
    """`Mon 23 Nov 03:06`; in another year `2025-11-23 03:06`. Both take sixteen cells: the columns stay aligned.

    Short: `Mon 03:06` within a week, else the day.
    """
    then = at(wall_ms, view.zone)
    if short:
        near = abs((then.date() - at(view.now_ms, view.zone).date()).days) < 7
        return f"{then:%a %H:%M}" if near else f"{then.day:>2} {then:%b %y}"
    if then.year == at(view.now_ms, view.zone).year:
        return f"{then:%a} {then.day:>2} {then:%b %H:%M}"
    return f"{then:%Y-%m-%d %H:%M}"


def _note(run: Run) -> str:
    text = run.note or run.trouble
    return sanitize_cell(text or (run.result if run.outcome is not Outcome.OK else ""), limit=200)


def attempt_text(run: Run, key_status: KeyStatus, glyphs: Glyphs) -> str:
    """`1`, or `2/3` for the second of three attempts; the sign for no value if nothing was attempted."""
    if run.attempt == 0:
        return glyphs.none
    return str(run.attempt) if key_status.attempts <= 1 else f"{run.attempt}/{key_status.attempts}"


_KEY_STATE_TONES = {KeyState.DONE: Tone.OK, KeyState.HELD: Tone.WARN, KeyState.FREE: Tone.MUTED}


def key_state_span(key_status: KeyStatus, glyphs: Glyphs) -> Span:
    """The state of a key with its sign: `done`, `held`, `free`."""
    signs = {KeyState.DONE: glyphs.outcomes[Outcome.OK], KeyState.HELD: glyphs.full, KeyState.FREE: glyphs.dot}
    return Span(f"{signs[key_status.state]} {key_status.state.value}", _KEY_STATE_TONES[key_status.state])


def key_state_line(key_status: KeyStatus) -> Line:
    """What a launch of the key would meet now, and why."""
    holder = key_status.holder
    match key_status.state:
        case KeyState.FREE:
            why = "never launched" if not key_status.attempts else "no attempt launched anything"
            return line(Span("free", Tone.STRONG), Span(f": {why}; a launch is possible", Tone.MUTED))
        case KeyState.DONE:
            by = f" by attempt {holder.attempt}, {holder.id}" if holder else ""
            return line(Span("done", Tone.OK), Span(f"{by}; press r to run it again, with a reason", Tone.MUTED))
        case KeyState.HELD:
            return _held(holder)
        case _:
            assert_never(key_status.state)


def _held(holder: Run | None) -> Line:
    if holder is None:
        return line(Span("held", Tone.WARN))
    if holder.outcome is not None:
        what, then = ending_text(holder.outcome), "press r to run it again, with a reason"
    elif holder.state is State.UNCONFIRMED:
        what, then = "is unconfirmed", "press s to settle it"
    else:
        what, then = f"is {holder.state.value}", "a launch is skipped while it is"
    return line(Span("held", Tone.WARN), Span(f": attempt {holder.attempt} {what}; {then}", Tone.MUTED))


def panel(entry: Entry, detail: RunDetail | None, view: ViewState, cells: int, rows: int, glyphs: Glyphs) -> list[Line]:
    """The selected entry: the state of its key, the attempts of that key, note and result."""
    run = entry.run
    lines = [
        labelled(
            "key",
            Span(run.key),
            Span(f"  {sanitize_cell(run.type)}:{sanitize_cell(run.target)}:{run.date}", Tone.MUTED),
        ),
        labelled("", *key_state_line(entry.key_status)),
        labelled("asked", f"{run.origin.value}, {user_text(run.requested_by)}, at stage {run.stage.label}"),
    ]
    if run.note:
        lines.append(labelled("note", sanitize_cell(run.note)))
    if detail is not None and detail.run.id == run.id:
        # A table: its columns stay in place, and the end is cut.
        lines += [fit(each, cells, glyphs.ellipsis) for each in _attempts(detail.attempts, run, view, glyphs)]
        if detail.changed_since:
            lines.append(labelled("since then", Span(sanitize_cell("; ".join(detail.changed_since)), Tone.WARN)))
    result = result_lines(run, cells, glyphs)
    if result and len(lines) < rows:
        lines += result
    return wrap_facts(lines, cells)[:rows]


def _attempts(attempts: Sequence[Run], shown: Run, view: ViewState, glyphs: Glyphs) -> list[Line]:
    if len(attempts) < 2:
        return []
    return [
        labelled("attempts" if not number else "", *_attempt(each, each.id == shown.id, view, glyphs))
        for number, each in enumerate(reversed(attempts))
    ]


def _attempt(run: Run, is_shown: bool, view: ViewState, glyphs: Glyphs) -> Line:
    state = state_span(run, glyphs)
    sign = glyphs.pointer if is_shown else " "
    figures = (
        f"{_when(run.created_ms, view, short=False)}  {units(run.used):>5} units  {elapsed(view.elapsed_ms(run)):>7}"
    )
    superseded = "  superseded" if run.superseded_by else ""
    return line(
        Span(f"{sign}{run.attempt:>2}  "),
        Span(f"{state.text:<15}", state.tone),
        Span(f"{figures}  {run.id}{superseded}", Tone.MUTED),
    )


WITH_FOLDING = 56
"""The cells from which on the title has room to say that retries are collapsed."""


def title_line(
    text: str, count: int | None, most: int, folded: bool, cells: int, glyphs: Glyphs, *, order: str = "newest first"
) -> Line:
    """The line above the table: filter, order, and the number of matching entries, which is counted up to `most`."""
    more = "+" if count is not None and count > most else ""
    number = "counting" if count is None else f"{min(count, most):,}{more}".replace(",", " ")
    noun = "entry" if count == 1 else "entries"
    collapsed = ", retries collapsed" if folded and cells >= WITH_FOLDING else ""
    ending = (Span(f"  {number} {noun}", Tone.STRONG), Span(f"{collapsed} ", Tone.MUTED))
    sorted_by = Span(f", {order}", Tone.MUTED)
    room = max(8, cells - width(ending) - width((sorted_by,)) - 12)
    shown = Span(clip(sanitize_cell(text), room, glyphs.ellipsis)) if text else Span("everything", Tone.MUTED)
    start = line(Span(" history  ", Tone.MUTED), shown, sorted_by)
    return (*fit(start, cells - width(ending), glyphs.ellipsis), *ending)
