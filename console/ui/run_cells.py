"""One run as one row of the live table: pure, so that what an operator reads is tested without a screen."""

from __future__ import annotations

import re
from typing import assert_never

from console.domain.run import Run, State
from console.ui.columns import Name, Placed, gap
from console.ui.format import age, countdown, elapsed, units, when
from console.ui.glyphs import Glyphs, gauge, state_span
from console.ui.look import Look
from console.ui.spans import Line, Span, Tone, fit, foreign, left, middle, right

NEAR_MS = 60_000
"""A countdown is near its end from here, or from the last tenth of the limit."""
BUDGET_TEXT = 11
"""Cells of `38.2/80` beside its gauge, the slash in one column."""


def row(run: Run, look: Look, placed: tuple[Placed, ...], total: int, glyphs: Glyphs) -> Line:
    """The row without its gutter, one span or more per column, filled to the width of the columns."""
    spans: list[Span] = []
    for index, place in enumerate(placed):
        if index:
            spans.append(Span(" " * gap(total)))
        spans.extend(cell(place, run, look, glyphs))
    return tuple(spans)


def header(placed: tuple[Placed, ...], total: int) -> Line:
    """The names of the columns over their cells."""
    # The gauge keeps one blank to the figure at its left, so its name does too.
    names = (
        right(place.column.name.value, place.cells)
        if place.column.flush_right
        else left(place.column.name, place.cells)
        for place in placed
    )
    return (Span((" " * gap(total)).join(names), Tone.MUTED),)


def cell(place: Placed, run: Run, look: Look, glyphs: Glyphs) -> Line:
    """Exactly `place.cells` cells of one column."""
    ended = run.state is State.ENDED
    quiet = Tone.MUTED if ended else Tone.PLAIN
    match place.column.name:
        case Name.STATE:
            spans: Line = (state_span(run, glyphs),)
        case Name.TASK:
            spans = (Span(foreign(run.task), Tone.MUTED if ended else Tone.STRONG),)
        case Name.TARGET:
            spans = (Span(middle(foreign(run.target), place.cells, glyphs.ellipsis), quiet),)
        case Name.KEY:
            spans = (Span(run.key[: place.cells], Tone.MUTED),)
        case Name.STAGE:
            spans = (Span(run.stage.word, quiet),)
        case Name.ATTEMPT:
            spans = (Span(str(run.attempt), quiet),)
        case Name.CUTOFF:
            spans = (cut_off(run, look, glyphs),)
        case Name.ELAPSED:
            spans = (Span(elapsed(look.elapsed_ms(run)) if run.sent else glyphs.none, quiet),)
        case Name.BUDGET:
            spans = budget(run, place.cells, glyphs)
        case Name.STEP:
            spans = (last_step(run, look),)
        case _:
            assert_never(place.column.name)
    if place.column.flush_right:
        return tuple(Span(right(span.text, place.cells, glyphs.ellipsis), span.tone) for span in spans)
    return fit(spans, place.cells, glyphs.ellipsis)


def cut_off(run: Run, look: Look, glyphs: Glyphs) -> Span:
    """Time left until the outside clock stops it; for ended runs when that was; `+0:15` past the deadline."""
    if run.state is State.ENDED:
        return Span(when(run.ended_ms, look.now_ms, look.zone) if run.ended_ms else glyphs.none, Tone.MUTED)
    if run.deadline_ms is None:
        return Span(glyphs.none, Tone.MUTED)
    left_ms = run.deadline_ms - look.now_ms
    if left_ms <= 0:
        return Span(f"+{elapsed(-left_ms)}", Tone.BAD)
    if left_ms <= max(NEAR_MS, run.limits.max_ms // 10):
        return Span(f"{glyphs.near} {countdown(left_ms)}", Tone.WARN)
    return Span(countdown(left_ms), Tone.PLAIN)


def budget_tone(used: int, cap: int) -> Tone:
    """Calm below three quarters of the cap, a warning up to it, bad from it on."""
    if used >= cap:
        return Tone.BAD
    return Tone.WARN if 4 * used >= 3 * cap else Tone.BUSY


def budget(run: Run, cells: int, glyphs: Glyphs) -> Line:
    """Gauge and `38.2/80`, in exactly `cells`; an ended run keeps its figures and loses the gauge."""
    cap = run.limits.budget
    known = run.usage_known or run.used > 0
    used = units(run.used) if known else glyphs.none
    text = left(f"{used:>5}/{units(cap)}", BUDGET_TEXT, glyphs.ellipsis)
    bar = max(0, cells - BUDGET_TEXT - 2)
    if run.state is State.ENDED:
        return (Span(" " * (bar + 2)), Span(text, Tone.MUTED))
    tone = budget_tone(run.used, cap)
    text_tone = Tone.PLAIN if tone is Tone.BUSY else tone
    return (Span(" "), *gauge(bar, ((run.used, tone),), cap, glyphs), Span(" "), Span(text, text_tone))


def last_step(run: Run, look: Look) -> Span:
    """What it does now, or what it waits for. Agent text comes out cleaned."""
    match run.state:
        case State.PROPOSED:
            until = f"waits till {when(run.expires_ms, look.now_ms, look.zone)}" if run.expires_ms else "waits for you"
            return Span(until, Tone.WAIT)
        case State.CLAIMED:
            return Span("about to be sent", Tone.MUTED)
        case State.SENDING:
            return Span("sent, no id yet", Tone.WAIT)
        case State.UNCONFIRMED:
            return Span("may be running: settle it", Tone.WARN)
        case State.STOPPING:
            return Span(_stopping(run, look), Tone.WARN)
        case State.RUNNING:
            return _running(run, look)
        case State.ENDED:
            return Span(foreign(run.note) or step_text(run.last_step), Tone.MUTED)
        case _:
            assert_never(run.state)


def _stopping(run: Run, look: Look) -> str:
    if run.stop is None:
        return "stop asked"
    reason = run.stop.reason.value.replace("_", " ")
    return f"{reason}, asked {elapsed(look.now_ms - run.stop.at_ms)} ago"


def _running(run: Run, look: Look) -> Span:
    if run.trouble:
        return Span(foreign(run.trouble), Tone.WARN)
    if run.stalled and run.last_step_ms is not None:
        return Span(f"no new step for {age(look.now_ms - run.last_step_ms)}", Tone.WARN)
    return Span(step_text(run.last_step), Tone.PLAIN)


def step_text(step: str) -> str:
    """`ls logs/` of `code_execution_call: ls logs/`: the table has no room for the kind; alone it stays."""
    kind, _, text = foreign(step).partition(":")
    if not re.fullmatch(r"[a-z_]+", kind):
        return foreign(step)
    return text.strip() or kind_word(kind)


def kind_word(kind: str) -> str:
    """`code result` for `code_execution_result`: the provider's word for a step, shorter."""
    return foreign(kind.replace("code_execution", "code").replace("_", " ").strip(), limit=40)
