"""A task's way to running alone, as lines: where it stands, what it has shown, what it lacks, when it is due next."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from console.domain.rollout import RolloutRules
from console.domain.task import Stage
from console.engine.snapshot import Instant, Rung, StageStep
from console.ui.format import at, elapsed, units, zone_name
from console.ui.glyphs import ASCII, Glyphs, gauge
from console.ui.look import Look
from console.ui.spans import Line, Span, Tone, fit, foreign, left, line, right

NAME = 24
BAR = 16


def header(cells: int) -> Line:
    """The names of the columns."""
    text = f" {left('task', NAME)} {left('stage', 33)} {left('evidence', 12)} next launch"
    return fit((Span(text, Tone.MUTED),), cells)


def rung_line(rung: Rung, look: Look, rules: RolloutRules, cells: int, glyphs: Glyphs) -> Line:
    """One task in one line."""
    done, needed = progress(rung, rules)
    if rung.stage is Stage.UNATTENDED:
        earned, tone = "at the top", Tone.OK
    elif rung.missing:
        earned, tone = f"{done} of {needed}", Tone.MUTED
    else:
        earned, tone = "earned", Tone.OK
    spans = (
        Span(f" {left(foreign(rung.task.name), NAME, glyphs.ellipsis)} "),
        *ladder(rung, glyphs),
        Span(f" {left(earned, 12)} ", tone),
        Span(_next(rung, look), Tone.MUTED),
    )
    return fit(spans, cells, glyphs.ellipsis)


def ladder(rung: Rung, glyphs: Glyphs) -> Line:
    """`✓ manual ── ● semi ── ○ unattended`, 33 cells; a stage that counts lower for now is loud."""
    here, behind, ahead = ("*", "+", ".") if glyphs is ASCII else ("●", "✓", "○")
    spans: list[Span] = []
    for stage in Stage:
        if stage == rung.effective:
            tone = Tone.LOUD if rung.effective < rung.stage else (Tone.OK if stage is Stage.UNATTENDED else Tone.BUSY)
            spans.append(Span(f"{here} {stage.word}", tone))
        elif stage < rung.effective:
            spans.append(Span(f"{behind} {stage.word}", Tone.MUTED))
        else:
            spans.append(Span(f"{ahead} {stage.word}", Tone.FAINT))
        if stage is not Stage.UNATTENDED:
            spans.append(Span(f" {glyphs.rule} ", Tone.FAINT))
    return fit(tuple(spans), 33)


def progress(rung: Rung, rules: RolloutRules) -> tuple[int, int]:
    """Clean runs that count for the next rung, and how many it takes; both 0 at the top."""
    match rung.stage:
        case Stage.MANUAL:
            return rung.evidence.manual_ok, rules.manual_clean_runs
        case Stage.SEMI:
            return rung.evidence.approved_ok, rules.semi_clean_runs
        case Stage.UNATTENDED:
            return 0, 0


def details(rung: Rung, look: Look, rules: RolloutRules, cells: int, glyphs: Glyphs) -> list[Line]:
    """Everything about one task: evidence as bars, what is missing, the next launches, the last step down."""
    half = cells // 2 if cells >= 100 else cells
    one = [*_evidence(rung, rules, glyphs), (), *_verdict(rung)]
    other = [*_coming(rung, look), (), *_demotion(rung, look)]
    if half == cells:
        return [fit(each, cells, glyphs.ellipsis) for each in (*one, (), *other)]
    rows = max(len(one), len(other))
    return [
        (
            *fit(one[row] if row < len(one) else (), half, glyphs.ellipsis),
            *fit(other[row] if row < len(other) else (), cells - half, glyphs.ellipsis),
        )
        for row in range(rows)
    ]


def _evidence(rung: Rung, rules: RolloutRules, glyphs: Glyphs) -> list[Line]:
    found = rung.evidence
    done, needed = progress(rung, rules)
    what = {Stage.MANUAL: "clean by hand", Stage.SEMI: "clean, approved"}.get(rung.stage, "")
    lines = []
    if needed:
        bar = gauge(BAR, ((min(done, needed), Tone.OK),), needed, glyphs)
        lines.append(line(Span(f" {left(what, 16)}", Tone.MUTED), *bar, f"  {done} of {needed}"))
    lines.append(_share("p95 units", found.p95_units, found.budget, units, glyphs))
    lines.append(_share("p95 time", found.p95_ms, found.max_ms, elapsed, glyphs))
    watched = f"{found.observed} of {found.ran} with a console open"
    lines.append(line(Span(f" {left('watched', 16)}", Tone.MUTED), watched))
    held = f"{found.guards_held} cut off, with proof" if found.guards_held else "none had to fire yet"
    lines.append(line(Span(f" {left('guards', 16)}", Tone.MUTED), held))
    return lines


def _share(name: str, value: int | None, limit: int | None, text: object, glyphs: Glyphs) -> Line:
    written = text if callable(text) else str
    label = Span(f" {left(name, 16)}", Tone.MUTED)
    if value is None or not limit:
        return line(label, Span("nothing ran since the last step", Tone.FAINT))
    tone = Tone.WARN if value * 10 > limit * 8 else Tone.BUSY
    return line(label, *gauge(BAR, ((value, tone),), limit, glyphs), f"  {written(value)} of {written(limit)}")


def _verdict(rung: Rung) -> list[Line]:
    if rung.stage is Stage.UNATTENDED:
        return [line(Span(" runs by itself", Tone.OK))]
    higher = Stage(rung.stage + 1).word
    if not rung.missing:
        return [line(Span(f" {higher} is earned: ", Tone.OK), Span("p", Tone.KEY), " promotes")]
    return [
        line(Span(f" {higher} takes ", Tone.MUTED), Span(missing, Tone.WARN)) for missing in map(foreign, rung.missing)
    ]


def _coming(rung: Rung, look: Look) -> list[Line]:
    if rung.task.schedule is None:
        return [line(Span("no schedule: launched by hand or from outside", Tone.MUTED))]
    zone = ZoneInfo(rung.task.time_zone)
    title = f"next launches, {foreign(rung.task.schedule)} in {rung.task.time_zone}"
    return [line(Span(title, Tone.MUTED)), *(_instant(instant, zone) for instant in rung.next)]


def _instant(instant: Instant, zone: ZoneInfo) -> Line:
    local, utc = at(instant.at_ms, zone), at(instant.at_ms, ZoneInfo("UTC"))
    shift = Span("  clocks change before", Tone.WARN) if instant.shifts else Span("")
    return line(
        f"{local:%a %d %b %H:%M} {zone_name(instant.at_ms, zone)}", Span(f"   {utc:%d %b %H:%M} UTC", Tone.MUTED), shift
    )


def _demotion(rung: Rung, look: Look) -> list[Line]:
    step = rung.last_demotion
    if step is None:
        return [line(Span("never demoted", Tone.MUTED))]
    return [line(Span("last step down ", Tone.MUTED), Span(_when(step, look), Tone.BAD)), line(foreign(step.reason))]


def _when(step: StageStep, look: Look) -> str:
    return f"{at(step.at_ms, look.zone):%a %d %b %H:%M}"


def history_lines(rung: Rung, look: Look, cells: int, glyphs: Glyphs) -> list[Line]:
    """Every step of the task, newest first."""
    if not rung.steps:
        return [line(Span("at manual since ever: no step was taken yet", Tone.MUTED))]
    return [fit(_step(step, look, glyphs), cells, glyphs.ellipsis) for step in rung.steps]


def _step(step: StageStep, look: Look, glyphs: Glyphs) -> Line:
    up = step.after > step.before
    forced = Span(" forced", Tone.WARN) if step.forced else Span("")
    return line(
        Span(f"{_when(step, look)}  ", Tone.MUTED),
        Span(f"{right(step.before.word, 10)} {glyphs.to} {left(step.after.word, 10)}", Tone.OK if up else Tone.BAD),
        forced,
        Span(f"  {foreign(step.by, limit=24)}: ", Tone.MUTED),
        foreign(step.reason),
    )


def _next(rung: Rung, look: Look) -> str:
    if not rung.next:
        return "by hand"
    first = at(rung.next[0].at_ms, look.zone)
    return f"{first:%a %H:%M}"
