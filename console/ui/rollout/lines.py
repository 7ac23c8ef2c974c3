"""The stage of a task as lines: its row, and the panel with evidence, next launches and last demotion."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from console.domain.rollout import RolloutRules, StageChange
from console.domain.run import State
from console.domain.task import Stage
from console.engine.models import ScheduledTime, TaskRollout
from console.ui.format import at, elapsed, units, when, zone, zone_name
from console.ui.glyphs import ASCII, Glyphs, gauge
from console.ui.spans import Line, Span, Tone, fit, left, line, right, sanitize_cell, wrap_facts, wrapped
from console.ui.state.view_state import ViewState
from console.ui.words import user_text

WIDE = 100
"""From this width on stages are written out and bars are long."""
NARROW = 66
"""Below this width names of tasks are shortened, so that the next launch has its room."""
STAGES, SHORT_STAGES = 33, 16
EVIDENCE, SHORT_EVIDENCE, NEXT = 16, 13, 10
LABEL = 12
COLUMN_GAP = 2
"""The cells between the two columns of the panel."""
UPCOMING = 42
"""The width of a coming launch, with its mark and in both time zones."""


def _name_cells(cells: int) -> int:
    return 24 if cells >= WIDE else 18 if cells >= NARROW else 14


def _evidence_cells(cells: int) -> int:
    return EVIDENCE if cells >= NARROW else SHORT_EVIDENCE


def header(cells: int) -> Line:
    """The header of the list; the last demotion has a column only where there is room."""
    stage = STAGES if cells >= WIDE else SHORT_STAGES
    names = f" {left('task', _name_cells(cells))} {left('stage', stage)} {left('evidence', _evidence_cells(cells))} "
    down = " stepped down" if cells >= NARROW else ""
    return fit((Span(f"{names}{left('next', NEXT)}{down}", Tone.MUTED),), cells)


def rollout_line(rollout: TaskRollout, view: ViewState, rules: RolloutRules, cells: int, glyphs: Glyphs) -> Line:
    """One task as a row."""
    down = rollout.last_demotion
    when_down = Span(when(down.at_ms, view.now_ms, view.zone), Tone.BAD) if down else Span(glyphs.none, Tone.FAINT)
    spans = (
        Span(f" {left(sanitize_cell(rollout.task.name), _name_cells(cells), glyphs.ellipsis)} "),
        *(stages_line(rollout, glyphs) if cells >= WIDE else short_stages_line(rollout, glyphs)),
        Span(" "),
        *fit(_evidence_bar(rollout, rules, glyphs, _evidence_cells(cells)), _evidence_cells(cells), glyphs.ellipsis),
        Span(f" {left(_next(rollout, view, glyphs), NEXT)} ", Tone.MUTED),
        *((when_down,) if cells >= NARROW else ()),
    )
    return fit(spans, cells, glyphs.ellipsis)


def _signs(glyphs: Glyphs) -> tuple[str, str, str]:
    """The signs of the present, the earlier and the later stages."""
    return ("*", "+", ".") if glyphs is ASCII else ("●", "✓", "○")


def _stage_tone(rollout: TaskRollout) -> Tone:
    if rollout.effective < rollout.stage:
        return Tone.LOUD
    return Tone.OK if rollout.stage is Stage.UNATTENDED else Tone.BUSY


def stages_line(rollout: TaskRollout, glyphs: Glyphs) -> Line:
    """`✓ manual ─ ● semi ─ ○ unattended` in 33 cells; loud while the task counts as being at a lower stage."""
    here, behind, ahead = _signs(glyphs)
    spans: list[Span] = []
    for stage in Stage:
        if stage == rollout.effective:
            spans.append(Span(f"{here} {stage.label}", _stage_tone(rollout)))
        elif stage < rollout.effective:
            spans.append(Span(f"{behind} {stage.label}", Tone.MUTED))
        else:
            spans.append(Span(f"{ahead} {stage.label}", Tone.MUTED))
        if stage is not Stage.UNATTENDED:
            spans.append(Span(f" {glyphs.rule} ", Tone.FAINT))
    return fit(tuple(spans), STAGES)


def short_stages_line(rollout: TaskRollout, glyphs: Glyphs) -> Line:
    """`✓─●─○ semi` in 16 cells."""
    here, behind, ahead = _signs(glyphs)
    signs = [here if each == rollout.effective else behind if each < rollout.effective else ahead for each in Stage]
    tone = _stage_tone(rollout)
    return fit((Span(f"{glyphs.rule.join(signs)} ", tone), Span(rollout.effective.label, tone)), SHORT_STAGES)


def _evidence_bar(rollout: TaskRollout, rules: RolloutRules, glyphs: Glyphs, cells: int) -> Line:
    done, needed = progress(rollout, rules)
    if rollout.stage is Stage.UNATTENDED:
        return line(Span("last stage", Tone.OK))
    bar = gauge(cells - 10, ((min(done, needed), Tone.OK),), needed, glyphs)
    if rollout.unmet_criteria:
        return (*bar, Span(f" {done} of {needed}", Tone.MUTED))
    return (*bar, Span(" earned", Tone.OK))


def progress(rollout: TaskRollout, rules: RolloutRules) -> tuple[int, int]:
    """The clean runs that count for the next stage, and how many are needed; both 0 at the last stage."""
    match rollout.stage:
        case Stage.MANUAL:
            return rollout.evidence.manual_ok, rules.manual_clean_runs
        case Stage.SEMI:
            return rollout.evidence.approved_ok, rules.semi_clean_runs
        case Stage.UNATTENDED:
            return 0, 0


def details(rollout: TaskRollout, view: ViewState, rules: RolloutRules, cells: int, glyphs: Glyphs) -> list[Line]:
    """The panel of a task: evidence as bars, what is missing, the next launches, the last demotion."""
    first = cells // 2 if cells >= WIDE else cells - UPCOMING
    if first < 30:
        lines = [
            *_evidence(rollout, view, rules, cells, glyphs),
            (),
            *_upcoming(rollout, view, cells, glyphs),
        ]
        return wrap_facts(lines, cells)
    one, other = (
        _evidence(rollout, view, rules, first - COLUMN_GAP, glyphs),
        _upcoming(rollout, view, cells - first, glyphs),
    )
    rows = max(len(one), len(other))
    one, other = one + [()] * (rows - len(one)), other + [()] * (rows - len(other))
    pairs = zip(one, other, strict=True)
    gap = Span(" " * COLUMN_GAP)
    return [
        (*fit(a, first - COLUMN_GAP, glyphs.ellipsis), gap, *fit(b, cells - first, glyphs.ellipsis)) for a, b in pairs
    ]


def _label(name: str) -> Span:
    return Span(f" {left(name, LABEL)}", Tone.MUTED)


def _evidence(rollout: TaskRollout, view: ViewState, rules: RolloutRules, cells: int, glyphs: Glyphs) -> list[Line]:
    """What is needed for the next stage, and the evidence so far."""
    found = rollout.evidence
    done, needed = progress(rollout, rules)
    bar = 16 if cells >= 45 else 6
    lines = [*_stage_lines(rollout, cells)]
    if needed:
        shown = gauge(bar, ((min(done, needed), Tone.OK),), needed, glyphs)
        asked = f" {done} of {needed}" if done <= needed else f" {done}, {needed} needed"
        lines.append(line(_label("by hand ok" if rollout.stage is Stage.MANUAL else "approved ok"), *shown, asked))
    lines.append(_share("p95 units", found.p95_units, found.budget, units, bar, glyphs))
    lines.append(_share("p95 time", found.p95_ms, found.max_ms, elapsed, bar, glyphs))
    lines.append(line(_label("watched"), f"{found.observed} of {found.ran} with a console"))
    held = f"{found.guards_held} cut off, with proof" if found.guards_held else "not needed so far"
    lines.append(line(_label("guards"), held))
    since = f"since {at(found.since_ms, view.zone):%d %b %Y %H:%M}" if found.since_ms else "of all its runs"
    lines.append(line(_label("counted"), Span(since, Tone.MUTED)))
    return lines


def _share(
    name: str, value: int | None, limit: int | None, written: Callable[[int], str], bar: int, glyphs: Glyphs
) -> Line:
    if value is None or not limit:
        return line(_label(name), Span("no run yet", Tone.MUTED))
    tone = Tone.WARN if value * 10 > limit * 8 else Tone.BUSY
    return line(_label(name), *gauge(bar, ((value, tone),), limit, glyphs), f" {written(value)} of {written(limit)}")


def _stage_lines(rollout: TaskRollout, cells: int) -> list[Line]:
    lines: list[Line] = []
    if rollout.effective < rollout.stage:
        lines.append(line(Span(f" counts as {rollout.effective.label} while a run is unconfirmed ", Tone.LOUD)))
    if rollout.stage is Stage.UNATTENDED:
        return [*lines, line(Span(" Unattended: runs without approval", Tone.OK))]
    higher = Stage(rollout.stage + 1).label
    if not rollout.unmet_criteria:
        return [*lines, line(Span(" Evidence complete: ", Tone.OK), Span("p", Tone.KEY), " promotes")]
    pieces = wrapped(f"To reach {higher}: {'; '.join(map(sanitize_cell, rollout.unmet_criteria))}", cells - 1)
    return [*lines, *(line(Span(f" {piece}", Tone.WARN)) for piece in pieces)]


def _upcoming(rollout: TaskRollout, view: ViewState, cells: int, glyphs: Glyphs) -> list[Line]:
    return [*_schedule_lines(rollout, glyphs), (), *_demotion(rollout, view, cells)]


def _schedule_lines(rollout: TaskRollout, glyphs: Glyphs) -> list[Line]:
    if rollout.task.schedule is None:
        return [line(Span("no schedule: launched by hand or by another program", Tone.MUTED))]
    where = zone(rollout.task.time_zone)
    effect = {
        Stage.MANUAL: (", refused at stage manual", Tone.WARN),
        Stage.SEMI: (", to approve", Tone.WAIT),
        Stage.UNATTENDED: ("", Tone.MUTED),
    }
    title = line(
        Span(f"{sanitize_cell(rollout.task.schedule)} in {rollout.task.time_zone}", Tone.MUTED),
        Span(*effect[rollout.effective]),
    )
    shift = next((instant for instant in rollout.next if instant.shifts), None)
    lines = [title, *(_launch_line(instant, where, glyphs) for instant in rollout.next)]
    if shift is not None:
        name = zone_name(shift.at_ms, where)
        lines.append(line(Span(f"{glyphs.near} the clocks change before it, to {name}", Tone.WARN)))
    return lines


def _launch_line(instant: ScheduledTime, where: ZoneInfo, glyphs: Glyphs) -> Line:
    local, utc = at(instant.at_ms, where), at(instant.at_ms, ZoneInfo("UTC"))
    mark = Span(f"{glyphs.near} " if instant.shifts else "  ", Tone.WARN)
    here = f"{local:%a %d %b %H:%M} {zone_name(instant.at_ms, where)}"
    if here.endswith(" UTC"):
        return line(mark, here)
    return line(mark, left(here, 23), Span(f"{utc:%d %b %H:%M} UTC", Tone.MUTED))


def _demotion(rollout: TaskRollout, view: ViewState, cells: int) -> list[Line]:
    step = rollout.last_demotion
    if step is None:
        return [line(Span("never demoted", Tone.MUTED))]
    head = line(
        Span("last demotion ", Tone.MUTED),
        Span(f"{at(step.at_ms, view.zone):%a %d %b %H:%M}", Tone.BAD),
        Span(f" to {step.after.label}", Tone.MUTED),
    )
    return [
        head,
        *(line(Span(piece)) for piece in wrapped(sanitize_cell(f"{user_text(step.by)}: {step.reason}"), cells)),
    ]


def history_lines(rollout: TaskRollout, view: ViewState, cells: int, glyphs: Glyphs) -> list[Line]:
    """Every promotion and demotion of the task, newest first."""
    if not rollout.changes:
        return [line(Span("always at manual: not promoted yet", Tone.MUTED))]
    return [fit(_change_line(step, view, glyphs), cells, glyphs.ellipsis) for step in rollout.changes]


def _change_line(step: StageChange, view: ViewState, glyphs: Glyphs) -> Line:
    up = step.after > step.before
    forced = Span(" forced", Tone.WARN) if step.forced else Span("")
    return line(
        Span(f"{at(step.at_ms, view.zone):%Y-%m-%d %H:%M}  ", Tone.MUTED),
        Span(f"{right(step.before.label, 10)} {glyphs.to} {left(step.after.label, 10)}", Tone.OK if up else Tone.BAD),
        forced,
        Span(f"  {sanitize_cell(user_text(step.by), limit=60)}: ", Tone.MUTED),
        sanitize_cell(step.reason),
    )


def _next(rollout: TaskRollout, view: ViewState, glyphs: Glyphs) -> str:
    """When the schedule launches or proposes it next, the latter with the sign of a proposal."""
    if not rollout.scheduled:
        return "by hand"
    sign = glyphs.states[State.PROPOSED] if rollout.effective is Stage.SEMI else ""
    return f"{sign}{at(rollout.scheduled[0].at_ms, view.zone):%a %H:%M}"
