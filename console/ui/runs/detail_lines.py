"""Everything that is known about one run as lines, in sections: facts, timeline, attempts, steps and result."""

from __future__ import annotations

from dataclasses import replace

from console.domain.run import Run, RunId, StepRecord
from console.engine.models import RunDetail
from console.ui.format import clock, elapsed, units, when
from console.ui.glyphs import Glyphs, state_span
from console.ui.runs.lines import LABEL, facts, labelled, result_lines, step_line
from console.ui.spans import Line, Span, Tone, cell_width, fit, line, sanitize_cell, wrap, wrapped
from console.ui.state.view_state import ViewState

MAX_STEP = 2_000
"""Characters of a step that are shown; the store keeps fewer."""
STEP_HEAD = 27
"""The cells before the text of a step."""
UNITS_CELLS = 7
WHOLE_INDENT = 4
"""The cells before the text of a step that stands below its head."""


def detail_lines(
    run: Run,
    detail: RunDetail | None,
    view: ViewState,
    cells: int,
    glyphs: Glyphs,
    *,
    whole: bool = False,
    wraps: bool = False,
) -> list[Line]:
    """Everything that is known about a run, in sections; each line at most `cells` wide.

    The steps come last, so that the end of the text is the newest one; below them only the result of an ended run.
    `whole` shows each step with its whole text, `wraps` breaks every other line that is too long rather than cut it.
    """
    sections: list[tuple[str, list[Line]]] = [("", facts(run, view, cells, glyphs, detail=detail, uncut=wraps))]
    if detail is not None:
        sections.append(("timeline", _timeline(detail, view)))
        if len(detail.attempts) > 1:
            attempts = [_attempt(each, view, run.id, glyphs) for each in detail.attempts]
            sections.append(("attempts of this key", attempts))
        sections.append(("what was launched", _fingerprint(run)))
        newest = sorted(detail.steps, key=lambda step: step.index)
        make = _whole_step if whole or wraps else _one_line_step
        steps = [each for step in newest for each in make(step, cells, glyphs, view)]
        sections.append(("steps, newest last", steps))
        sections.append(("result", result_lines(run, cells, glyphs)[1:]))
    lines = [each for title, body in sections for each in _section(title, body)]
    if wraps:
        return [piece for each in lines for piece in wrap(each, cells, indent=LABEL)]
    return [fit(each, cells, glyphs.ellipsis) for each in lines]


def _one_line_step(step: StepRecord, cells: int, glyphs: Glyphs, view: ViewState) -> list[Line]:
    """A step as the one line that has room."""
    return [step_line(step, cells, glyphs, view)]


def _whole_step(step: StepRecord, cells: int, glyphs: Glyphs, view: ViewState) -> list[Line]:
    """A step with its whole text: the kind and the figures in one line, the text below where it has no room beside."""
    head = step_line(step, cells, glyphs, view)
    text = sanitize_cell(step.text, limit=MAX_STEP)
    if cell_width(text) <= cells - STEP_HEAD - UNITS_CELLS:
        return [head]
    title = step_line(replace(step, text=""), cells, glyphs, view)
    return [title, *(line(Span(" " * WHOLE_INDENT), piece) for piece in wrapped(text, max(8, cells - WHOLE_INDENT)))]


def _section(title: str, lines: list[Line]) -> list[Line]:
    if not title:
        return lines
    return [(), line(Span(title, Tone.STRONG)), *lines] if lines else []


FIELD_LABELS = {"prompt_sha256": "prompt", "prompt_length": "characters", "system_sha256": "system"}
"""How fields of the fingerprint are called where their names are too long; the hashes show which text it was."""


def _fingerprint(run: Run) -> list[Line]:
    """The fields of the fingerprint, which show whether an attempt launched something else than another one."""
    fields = run.fingerprint.as_fields()
    return [
        labelled(
            FIELD_LABELS.get(name, name.replace("_", " ")[:10]), Span(sanitize_cell(str(value)) or "none", Tone.MUTED)
        )
        for name, value in fields.items()
    ]


def _timeline(detail: RunDetail, view: ViewState) -> list[Line]:
    first = detail.timeline[0].at_ms if detail.timeline else 0
    return [
        line(
            Span(f"{clock(event.at_ms, view.zone)}  +{elapsed(event.at_ms - first):<9}", Tone.MUTED),
            Span(f"{sanitize_cell(event.kind.replace('sandbox', detail.prepared), limit=14):<15}"),
            Span(sanitize_cell(event.text), Tone.MUTED),
        )
        for event in detail.timeline
    ]


def _attempt(run: Run, view: ViewState, shown: RunId, glyphs: Glyphs) -> Line:
    here = "  this one" if run.id == shown else ""
    state = state_span(run, glyphs)
    return line(
        Span(f"{run.attempt:>3}  ", Tone.MUTED),
        Span(f"{state.text:<15}", state.tone),
        f"{when(run.created_ms, view.now_ms, view.zone)}  {units(run.used)} units",
        Span(f"  {run.id}{here}", Tone.MUTED),
    )
