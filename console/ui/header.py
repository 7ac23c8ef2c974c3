"""The two header lines and the alarms below them. In a narrow terminal facts are shortened or left out."""

from __future__ import annotations

from dataclasses import dataclass

from console.domain.limits import Cap, CapUsage
from console.domain.run import HOLDING, State
from console.engine.models import Snapshot
from console.ui.format import age, clock, countdown, percent, units, when, zone_name
from console.ui.glyphs import Glyphs, gauge
from console.ui.runs.cells import budget_tone
from console.ui.spans import Line, Span, Tone, line, sanitize_cell, spread, width
from console.ui.state.view_state import ViewState, can_settle
from console.ui.words import process_name, user_text

GAP = 3
"""The number of cells between two facts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact in several lengths, the longest first. An empty last form means that the fact may be left out."""

    forms: tuple[Line, ...]
    priority: int
    """The fact with the lowest number is shortened first."""


def shorten(facts: tuple[Fact, ...], room: int) -> Line:
    """The facts on one line of at most `room` cells, each in the longest form that fits."""
    chosen = [0] * len(facts)

    def joined() -> Line:
        forms = [fact.forms[index] for fact, index in zip(facts, chosen, strict=True) if fact.forms[index]]
        return tuple(span for at, form in enumerate(forms) for span in ((Span(" " * GAP),) if at else ()) + form)

    while width(joined()) > room:
        shorter = [at for at, fact in enumerate(facts) if chosen[at] + 1 < len(fact.forms)]
        if not shorter:
            break
        chosen[min(shorter, key=lambda at: (facts[at].priority, -at))] += 1
    return joined()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A full screen as the header names it."""

    key: str
    name: str
    is_shown: bool


def header_lines(
    view: ViewState, cells: int, glyphs: Glyphs, *, title: str, tabs: tuple[Tab, ...] = ()
) -> tuple[Line, Line]:
    """Two lines of exactly `cells`, with a blank at each end."""
    end = _clock(view)
    room = max(0, cells - 2 - width(end) - GAP)
    first = spread(shorten(_cap_facts(view.snapshot, glyphs, title), room), end, cells - 2, glyphs.ellipsis)
    badges = _badges(view, glyphs)
    room = max(0, cells - 2 - width(badges) - (GAP if badges else 0))
    second = spread(shorten((*_tabs(tabs), *_schedule_facts(view)), room), badges, cells - 2, glyphs.ellipsis)
    return (Span(" "), *first, Span(" ")), (Span(" "), *second, Span(" "))


def _tabs(tabs: tuple[Tab, ...]) -> tuple[Fact, ...]:
    """The tabs `1 runs  2 history  3 rollout  4 usage`; in the short form only the shown one has its name."""
    if not tabs:
        return ()

    def form(named: bool) -> Line:
        spans: list[Span] = []
        for tab in tabs:
            name = f" {tab.name}" if named or tab.is_shown else ""
            tone = Tone.PICK if tab.is_shown else Tone.MUTED
            spans += [Span(f" {tab.key}{name} ", tone)]
        return tuple(spans)

    return (Fact(forms=(form(True), form(False)), priority=4),)


def _cap_facts(snapshot: Snapshot, glyphs: Glyphs, title: str) -> tuple[Fact, ...]:
    facts = [Fact(forms=(line(Span(title, Tone.STRONG)), ()), priority=1), _slots(snapshot)]
    for cap_usage in snapshot.cap_usages:
        if cap_usage.cap is Cap.DAILY_UNITS:
            facts.append(_today(cap_usage, glyphs))
        elif cap_usage.cap is Cap.MONTHLY_UNITS:
            facts.append(_month(cap_usage, glyphs))
    return tuple(facts)


def _slots(snapshot: Snapshot) -> Fact:
    live = sum(run.state in HOLDING for run in snapshot.live)
    limit = next((each.limit for each in snapshot.cap_usages if each.cap is Cap.CONCURRENT_RUNS), None)
    slots = str(limit) if limit is not None else "unlimited"
    tone = Tone.WARN if limit is not None and live >= limit else Tone.STRONG
    return Fact(
        forms=(
            line(Span(str(live), tone), Span(f" live of {slots}", Tone.MUTED)),
            line(Span(str(live), tone), Span(f"/{slots} live", Tone.MUTED)),
        ),
        priority=9,
    )


def _today(cap_usage: CapUsage, glyphs: Glyphs) -> Fact:
    taken, limit = cap_usage.held + cap_usage.spent, cap_usage.limit
    label, tone = Span("today ", Tone.MUTED), _cap_tone(cap_usage)
    if limit is None:
        text = line(label, Span(units(taken), tone), Span(" units, no cap", Tone.MUTED))
        return Fact(forms=(text, line(label, Span(units(taken), tone))), priority=8)
    parts = ((cap_usage.spent, Tone.BUSY), (cap_usage.held, Tone.HELD))
    words = line(
        Span(units(cap_usage.spent), tone),
        Span(" spent + ", Tone.MUTED),
        Span(units(cap_usage.held), tone),
        Span(f" held of {units(limit)}", Tone.MUTED),
    )
    sums = line(Span(units(taken), tone), Span(f"/{units(limit)}", Tone.MUTED))
    bars = [(*gauge(cells, parts, limit, glyphs), Span(" ")) for cells in (20, 12, 8)]
    return Fact(
        forms=(
            (label, *bars[0], *words),
            (label, *bars[1], *words),
            (label, *bars[1], *sums),
            (label, *bars[2], *sums),
            (label, *sums),
        ),
        priority=8,
    )


def _month(cap_usage: CapUsage, glyphs: Glyphs) -> Fact:
    taken, limit = cap_usage.held + cap_usage.spent, cap_usage.limit
    label, tone = Span("month ", Tone.MUTED), _cap_tone(cap_usage)
    if limit is None:
        return Fact(forms=(line(label, Span(units(taken), tone), Span(", no cap", Tone.MUTED)), ()), priority=4)
    share = line(Span(percent(taken, limit), tone))
    bar = (*gauge(8, ((taken, Tone.BUSY),), limit, glyphs), Span(" "))
    return Fact(
        forms=(
            (label, *bar, *share, Span(f" of {units(limit)}", Tone.MUTED)),
            (label, *bar, *share),
            (label, *share),
            (),
        ),
        priority=4,
    )


def _cap_tone(cap_usage: CapUsage) -> Tone:
    if cap_usage.limit is None:
        return Tone.PLAIN
    tone = budget_tone(cap_usage.held + cap_usage.spent, cap_usage.limit)
    return Tone.PLAIN if tone is Tone.BUSY else tone


def _clock(view: ViewState) -> Line:
    where = view.zone
    return line(Span(clock(view.now_ms, where), Tone.STRONG), Span(f" {zone_name(view.now_ms, where)}", Tone.MUTED))


def _schedule_facts(view: ViewState) -> tuple[Fact, ...]:
    """The next scheduled launch, and the process that schedules."""
    ahead, scheduler = view.snapshot.next_launch, view.snapshot.scheduler
    if ahead is None:
        forms: tuple[Line, ...] = (line(Span("nothing scheduled", Tone.MUTED)), ())
    else:
        left = Span(f" in {countdown(ahead.at_ms - view.now_ms)}", Tone.PLAIN)
        at = Span(f", {when(ahead.at_ms, view.now_ms, view.zone)}", Tone.MUTED)
        named = line(Span("next ", Tone.MUTED), Span(sanitize_cell(ahead.task)), left)
        forms = ((*named, at), named, line(Span("next", Tone.MUTED), left))
    if scheduler is None:
        who = line(Span("nobody schedules", Tone.WARN if ahead else Tone.MUTED))
    else:
        name = "this console" if scheduler.mine else f"{process_name(scheduler.kind)} (pid {scheduler.pid})"
        who = line(Span("scheduled by ", Tone.MUTED), Span(sanitize_cell(name)))
    return (Fact(forms=forms, priority=5), Fact(forms=(who, ()), priority=3))


def _badges(view: ViewState, glyphs: Glyphs) -> Line:
    snapshot = view.snapshot
    unsettled = sum(can_settle(run) for run in snapshot.live)
    proposed = sum(run.state is State.PROPOSED for run in snapshot.live)
    badges: list[Span] = []
    if proposed:
        badges.append(Span(f"{glyphs.states[State.PROPOSED]} {proposed} to approve", Tone.WAIT))
    if unsettled:
        badges.append(Span(f" {glyphs.alarm} {unsettled} to settle ", Tone.LOUD))
    if snapshot.read_only:
        badges.append(Span("read-only", Tone.WARN))
    return tuple(span for at, badge in enumerate(badges) for span in ((Span("  "), badge) if at else (badge,)))


def alarm_lines(view: ViewState, glyphs: Glyphs) -> tuple[tuple[Span, str], ...]:
    """The alarms, the most urgent first: a word to be shown loudly, and a sentence."""
    alarms: list[tuple[Span, str]] = []
    if view.trouble:
        text = f"this is the state of {age(view.stale_ms)} ago: {view.trouble}"
        alarms.append((Span(f" {glyphs.alarm} STALE ", Tone.LOUD), text))
    paused = view.snapshot.paused
    if paused is not None:
        since = when(paused.since_ms, view.now_ms, view.zone)
        # A read-only console has no key for it.
        resume = "" if view.snapshot.read_only else "; press X to resume"
        text = f"launches paused since {since} by {user_text(paused.by)}{resume}"
        alarms.append((Span(f" {glyphs.alarm} PAUSED ", Tone.LOUD), text))
    lasting = (problem for problem in view.snapshot.problems if problem.over_ms is None)
    alarms.extend(
        (Span(f" {glyphs.alarm} ", Tone.LOUD), sanitize_cell(problem.line(view.now_ms), limit=200))
        for problem in lasting
    )
    return tuple(alarms)
