"""The columns of the live table and the cells of a run.

In a narrow table the columns that a decision needs stay; columns that the panel repeats are left out."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import assert_never

from console.domain.run import Outcome, Run, State
from console.tables import Column, PlacedColumn, layout_columns
from console.ui.format import age, countdown, elapsed, units, when
from console.ui.glyphs import Glyphs, gauge, state_span
from console.ui.spans import Line, Span, Tone, fit, left, merged, middle, right, sanitize_cell
from console.ui.state.view_state import ViewState
from console.ui.words import task_text


class ColumnName(StrEnum):
    """The columns from left to right."""

    STATE = "state"
    TASK = "task"
    TARGET = "target"
    KEY = "key"
    STAGE = "stage"
    ATTEMPT = "try"
    CUTOFF = "cut-off"
    ELAPSED = "elapsed"
    BUDGET = " budget"
    STEP = "last step"


COLUMNS = (
    Column(name=ColumnName.STATE, least=13, most=13),
    Column(name=ColumnName.TASK, least=16, most=32, weight=3),
    Column(name=ColumnName.TARGET, least=12, most=30, priority=40, weight=2),
    Column(name=ColumnName.KEY, least=8, most=16, priority=50, weight=8, whole=True),
    Column(name=ColumnName.STAGE, least=10, most=10, priority=20),
    Column(name=ColumnName.ATTEMPT, least=3, most=3, priority=25, flush_right=True),
    Column(name=ColumnName.CUTOFF, least=9, most=9, flush_right=True),
    Column(name=ColumnName.ELAPSED, least=8, most=8, priority=30, flush_right=True),
    Column(name=ColumnName.BUDGET, least=18, most=28, weight=1),
    Column(name=ColumnName.STEP, least=16, most=200, priority=60, weight=3),
)
"""With 80 cells state, task, cut-off, budget and last step are shown; with 120 all columns but the stage."""

GUTTER = 2
"""The cells before the first column, for the cursor and the mark."""
ROOMY = 132
"""From this width on two cells are left between columns, below it one."""


def gap(total: int) -> int:
    """The cells between two columns of a table that is `total` cells wide."""
    return 2 if total >= ROOMY else 1


@lru_cache(maxsize=8)
def placed_columns(total: int) -> tuple[PlacedColumn[ColumnName], ...]:
    """The columns of a table that is `total` cells wide, gutter included."""
    return layout_columns(COLUMNS, max(0, total - GUTTER), gap=gap(total))


NEAR_MS = 60_000
"""A countdown is near its end in the last minute, or in the last tenth of the limit."""
BUDGET_TEXT = 11
"""The width of `38.2/80` beside its gauge. The slash is always in the same column."""


def row(
    run: Run,
    view: ViewState,
    placed: tuple[PlacedColumn[ColumnName], ...],
    total: int,
    glyphs: Glyphs,
    *,
    budget_ends: int | None = None,
) -> Line:
    """The row of a run without the gutter; each column is padded to its width.

    `budget_ends`: the milliseconds until its budget ends it, where that is shown because it comes before the deadline.
    """
    spans: list[Span] = []
    for index, place in enumerate(placed):
        if index:
            spans.append(Span(" " * gap(total)))
        if budget_ends is not None and place.column.name is ColumnName.CUTOFF:
            sign = glyphs.outcomes[Outcome.BUDGET]
            spans.append(Span(right(f"{sign} {countdown(budget_ends)}", place.cells, glyphs.ellipsis), Tone.WARN))
        else:
            spans.extend(cell(place, run, view, glyphs))
    return merged(spans)


def header(placed: tuple[PlacedColumn[ColumnName], ...], total: int) -> Line:
    """The header of the table."""
    # The gauge leaves one blank to the column at its left, so its name does too.
    names = (
        right(place.column.name.value, place.cells)
        if place.column.flush_right
        else left(place.column.name, place.cells)
        for place in placed
    )
    return (Span((" " * gap(total)).join(names), Tone.MUTED),)


def cell(place: PlacedColumn[ColumnName], run: Run, view: ViewState, glyphs: Glyphs) -> Line:
    """One column of a run in exactly `place.cells` cells."""
    ended = run.state is State.ENDED
    quiet = Tone.MUTED if ended else Tone.PLAIN
    match place.column.name:
        case ColumnName.STATE:
            spans: Line = (state_span(run, glyphs),)
        case ColumnName.TASK:
            spans = (Span(task_text(run), Tone.MUTED if ended else Tone.STRONG),)
        case ColumnName.TARGET:
            spans = (Span(middle(sanitize_cell(run.target), place.cells, glyphs.ellipsis), quiet),)
        case ColumnName.KEY:
            spans = (Span(run.key[: place.cells], Tone.MUTED),)
        case ColumnName.STAGE:
            spans = (Span(run.stage.label, quiet),)
        case ColumnName.ATTEMPT:
            spans = (Span(str(run.attempt), quiet),)
        case ColumnName.CUTOFF:
            spans = (cut_off(run, view, glyphs),)
        case ColumnName.ELAPSED:
            spans = (Span(elapsed(view.elapsed_ms(run)) if run.sent else glyphs.none, quiet),)
        case ColumnName.BUDGET:
            spans = budget(run, place.cells, glyphs)
        case ColumnName.STEP:
            spans = (last_step(run, view),)
        case _:
            assert_never(place.column.name)
    if place.column.flush_right:
        return tuple(Span(right(span.text, place.cells, glyphs.ellipsis), span.tone) for span in spans)
    return fit(spans, place.cells, glyphs.ellipsis)


def cut_off(run: Run, view: ViewState, glyphs: Glyphs) -> Span:
    """The time left until the deadline, `+0:15` behind it; for an ended run the time of its end."""
    if run.state is State.ENDED:
        return Span(when(run.ended_ms, view.now_ms, view.zone) if run.ended_ms else glyphs.none, Tone.MUTED)
    if run.deadline_ms is None:
        return Span(glyphs.none, Tone.MUTED)
    left_ms = run.deadline_ms - view.now_ms
    if left_ms <= 0:
        return Span(f"+{elapsed(-left_ms)}", Tone.BAD)
    if left_ms <= max(NEAR_MS, run.limits.max_ms // 10):
        return Span(f"{glyphs.near} {countdown(left_ms)}", Tone.WARN)
    return Span(countdown(left_ms), Tone.PLAIN)


def budget_tone(used: int, cap: int) -> Tone:
    """The tone of a gauge: BUSY below three quarters of the cap, WARN below the cap, BAD from the cap on."""
    if used >= cap:
        return Tone.BAD
    return Tone.WARN if 4 * used >= 3 * cap else Tone.BUSY


def budget(run: Run, cells: int, glyphs: Glyphs) -> Line:
    """A gauge and `38.2/80` in exactly `cells`; without the gauge for an ended run."""
    cap = run.limits.budget
    known = run.usage_known or run.used > 0 or run.launched_nothing
    used = units(run.used) if known else glyphs.none
    text = left(f"{used:>5}/{units(cap)}", BUDGET_TEXT, glyphs.ellipsis)
    bar = max(0, cells - BUDGET_TEXT - 2)
    if run.state is State.ENDED:
        return (Span(" " * (bar + 2)), Span(text, Tone.MUTED))
    tone = budget_tone(run.used, cap)
    text_tone = Tone.PLAIN if tone is Tone.BUSY else tone
    return (Span(" "), *gauge(bar, ((run.used, tone),), cap, glyphs), Span(" "), Span(text, text_tone))


def last_step(run: Run, view: ViewState) -> Span:
    """What the run does now, or what it waits for. Text of the agent is sanitized."""
    match run.state:
        case State.PROPOSED:
            until = (
                f"expires {when(run.expires_ms, view.now_ms, view.zone)}" if run.expires_ms else "waits for approval"
            )
            return Span(until, Tone.WAIT)
        case State.CLAIMED:
            before = view.snapshot.queued.get(run.id)
            return Span("starting" if before is None else f"queued, {before} before it", Tone.MUTED)
        case State.SENDING:
            return Span("sent, no id yet", Tone.WAIT)
        case State.UNCONFIRMED:
            return Span("may be running: settle it", Tone.WARN)
        case State.STOPPING:
            return Span(_stopping(run, view), Tone.WARN)
        case State.RUNNING:
            return _running(run, view)
        case State.ENDED:
            return Span(sanitize_cell(run.note) or step_text(run.last_step), Tone.MUTED)
        case _:
            assert_never(run.state)


def _stopping(run: Run, view: ViewState) -> str:
    if run.stop is None:
        return "stop requested"
    reason = run.stop.reason.value.replace("_", " ")
    trouble = f"; {sanitize_cell(run.trouble)}" if run.trouble else ""
    return f"{reason}, requested {elapsed(view.now_ms - run.stop.at_ms)} ago{trouble}"


def _running(run: Run, view: ViewState) -> Span:
    if run.trouble:
        return Span(sanitize_cell(run.trouble), Tone.WARN)
    if run.stalled and run.last_step_ms is not None:
        return Span(f"no new step for {age(view.now_ms - run.last_step_ms)}", Tone.WARN)
    return Span(step_text(run.last_step), Tone.PLAIN)


def step_text(step: str) -> str:
    """A step without its kind, for which the table has no room: `ls logs/` of `code_execution_call: ls logs/`."""
    kind, _, text = sanitize_cell(step).partition(":")
    if not re.fullmatch(r"[a-z_]+", kind):
        return sanitize_cell(step)
    return text.strip() or kind_word(kind)


def kind_word(kind: str) -> str:
    """The provider's name of a kind of step, shortened: `code result` for `code_execution_result`."""
    return sanitize_cell(kind.replace("code_execution", "code").replace("_", " ").strip(), limit=40)
