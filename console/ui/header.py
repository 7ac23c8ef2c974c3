"""The two header lines and the alarms below them. In a narrow terminal facts are shortened or left out."""

from __future__ import annotations

from dataclasses import dataclass

from console.domain.caps import Cap, CapUsage
from console.domain.run import HOLDING, State
from console.engine.models import Owner, Snapshot
from console.engine.reachability import OFFLINE
from console.ui.context import SessionInfo
from console.ui.format import age, clock, countdown, percent, units, when, zone_name
from console.ui.glyphs import Glyphs, gauge
from console.ui.runs.cells import budget_tone
from console.ui.spans import Line, Span, Tone, cell_width, clip, fit, line, middle, sanitize_cell, spread, width
from console.ui.state.view_state import ViewState, can_settle
from console.ui.words import owner_name, user_text

GAP = 3
"""The number of cells between two facts."""
LETTERS, SHORT_LETTERS = 20, 4
"""Letters of the name of a tab that is not shown, in the long and in the short form."""
FOLDER, SHORT_SESSION = 32, 10
"""The cells of the state folder, and of the shortest name of the session."""
LEAST_WITH_SESSION = 56
"""A narrower header has room for the figures alone."""


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
    view: ViewState, cells: int, glyphs: Glyphs, *, session: SessionInfo, tabs: tuple[Tab, ...] = ()
) -> tuple[Line, Line]:
    """Two lines of exactly `cells`, with a blank at each end."""
    facts = (*(_session(session) if cells >= LEAST_WITH_SESSION else ()), *_cap_facts(view, glyphs))
    for end in (_clock(view), _clock(view)[:1]):
        room = max(0, cells - 2 - width(end) - GAP)
        start = shorten(facts, room)
        if width(start) <= room:
            break
    # Where even the clock without its zone leaves too little room, the figures are cut.
    start = start if width(start) <= room else fit(start, room, glyphs.ellipsis)
    first = spread(start, end, cells - 2, glyphs.ellipsis)
    second = _second_line(view, cells - 2, glyphs, session, tabs)
    return (Span(" "), *first, Span(" ")), (Span(" "), *second, Span(" "))


def _second_line(view: ViewState, cells: int, glyphs: Glyphs, session: SessionInfo, tabs: tuple[Tab, ...]) -> Line:
    """Tabs and schedule at the left, badges at the right; the badges have fewer words where the tabs need the room."""
    named = _tabs(tabs)
    facts = (*named, *_schedule_facts(view, glyphs))

    def joined(badges: Line) -> tuple[Line, Line]:
        return shorten(facts, max(0, cells - width(badges) - (GAP if badges else 0))), badges

    start, end = joined(_badges(view, glyphs, session, is_brief=False))
    if named and not any(start[: len(tabs)] == form for fact in named for form in fact.forms[:2]):
        start, end = joined(_badges(view, glyphs, session, is_brief=True))
    return spread(start, end, cells, glyphs.ellipsis)


def _tabs(tabs: tuple[Tab, ...]) -> tuple[Fact, ...]:
    """The tabs `1 runs  2 history  3 rollout  4 usage`.

    In the short forms they are closer to each other, or those that are not shown have shorter names or none.
    """
    if not tabs:
        return ()

    def form(letters: int, between: str = " ") -> Line:
        spans: list[Span] = []
        for tab in tabs:
            name = tab.name if tab.is_shown else tab.name[:letters]
            tone = Tone.PICK if tab.is_shown else Tone.MUTED
            spans += [Span(f" {tab.key} {name}".rstrip() + (" " if tab.is_shown else between), tone)]
        return tuple(spans)

    return (Fact(forms=(form(LETTERS), form(LETTERS, ""), form(SHORT_LETTERS, ""), form(0), ()), priority=6),)


def _session(session: SessionInfo) -> tuple[Fact, ...]:
    """Which machine, user and ledger this is, at last only the name that tells it from others."""
    if not session.label:
        return ()
    folder = "" if session.is_default_folder else middle(session.folder, FOLDER)
    full = "  ".join(filter(None, (session.who_where, session.ledger)))
    forms = [f"{full}  {folder}"] if folder else []
    forms += [full, *([f"{session.host} {session.label}"] if session.ledger and session.host else []), session.label]
    clipped = (*forms, clip(session.label, SHORT_SESSION))
    return (Fact(forms=tuple(line(Span(form, Tone.STRONG)) for form in clipped), priority=5),)


def _cap_facts(view: ViewState, glyphs: Glyphs) -> tuple[Fact, ...]:
    facts = [_slots(view.snapshot)]
    for cap_usage in view.snapshot.cap_usages:
        if cap_usage.cap is Cap.DAILY_UNITS:
            facts.append(_today(cap_usage, glyphs))
        elif cap_usage.cap is Cap.MONTHLY_UNITS:
            facts.append(_month(cap_usage, glyphs))
    return (*facts, *_database(view))


def _database(view: ViewState) -> tuple[Fact, ...]:
    """How far the database of several hosts is away; nothing on one machine, and where an alarm says it."""
    if view.snapshot.round_trip_ms is None or view.is_cut_off:
        return ()
    text = line(Span("db ", Tone.MUTED), Span(f"{view.snapshot.round_trip_ms or '<1'} ms"))
    return (Fact(forms=(text, ()), priority=2),)


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


def _schedule_facts(view: ViewState, glyphs: Glyphs) -> tuple[Fact, ...]:
    """The next scheduled launch, and the process that schedules. That nobody does is never left out."""
    ahead, scheduler = view.snapshot.next_launch, view.snapshot.scheduler
    if ahead is None:
        return (Fact(forms=(line(Span("nothing scheduled", Tone.MUTED)), ()), priority=5), *_scheduled_by(scheduler))
    task, at = Span(sanitize_cell(ahead.task)), when(ahead.at_ms, view.now_ms, view.zone)
    if view.snapshot.nobody_schedules:
        loud = Span(f" {glyphs.alarm} NOBODY SCHEDULES ", Tone.LOUD)
        brief = line(Span(f" {glyphs.alarm} UNSCHEDULED ", Tone.LOUD))
        missed = line(loud, Span("  "), task, Span(f", due {at}, will be missed", Tone.WARN))
        return (Fact(forms=(missed, (loud, Span(f"  {at}", Tone.WARN)), (loud,), brief), priority=99),)
    if view.snapshot.paused is not None:
        due = Span(f" would be due at {at}", Tone.MUTED)
        forms: tuple[Line, ...] = (
            line(Span("paused: ", Tone.WARN), task, due),
            line(Span("paused: ", Tone.WARN), task),
            line(Span("paused", Tone.WARN)),
            (),  # an alarm says it as well
        )
        return (Fact(forms=forms, priority=5), *_scheduled_by(scheduler))
    asks = Span(" (to approve)" if ahead.proposes else "", Tone.WAIT)
    left = Span(f" in {countdown(ahead.at_ms - view.now_ms)}", Tone.PLAIN)
    named = line(Span("next ", Tone.MUTED), task, asks, left)
    short = line(Span("next ", Tone.MUTED), task, left)
    forms = ((*named, Span(f", {at}", Tone.MUTED)), named, short, line(Span("next", Tone.MUTED), left))
    return (Fact(forms=forms, priority=5), *_scheduled_by(scheduler))


def _scheduled_by(scheduler: Owner | None) -> tuple[Fact, ...]:
    if scheduler is None:
        return ()
    who = line(Span("scheduled by ", Tone.MUTED), Span(owner_name(scheduler)))
    return (Fact(forms=(who, ()), priority=3),)


def _badges(view: ViewState, glyphs: Glyphs, session: SessionInfo, *, is_brief: bool) -> Line:
    snapshot = view.snapshot
    unsettled = sum(can_settle(run) for run in snapshot.live)
    proposed = sum(run.state is State.PROPOSED for run in snapshot.live)
    badges: list[Span] = []
    if proposed:
        words = "" if is_brief else " to approve"
        badges.append(Span(f"{glyphs.states[State.PROPOSED]} {proposed}{words}", Tone.WAIT))
    if unsettled:
        badges.append(Span(f" {glyphs.alarm} {unsettled} to settle ", Tone.LOUD))
    if snapshot.read_only:
        badges.append(Span("read-only", Tone.WARN))
    if session.is_demo:
        badges.append(Span(" DEMO ", Tone.PICK))
    return tuple(span for at, badge in enumerate(badges) for span in ((Span("  "), badge) if at else (badge,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A word to be shown loudly, and a sentence."""

    word: Span
    text: str
    then: str = ""
    """What to do about it; never cut."""
    brief: str = ""
    """The sentence for a narrow terminal; empty where it has none."""
    if_cut: str = ""
    """What follows a sentence that is cut."""

    def line(self, cells: int, glyphs: Glyphs) -> Line:
        """The alarm on exactly `cells`."""
        room = cells - width((self.word,)) - 1
        for text in filter(None, (self.text, self.brief)):
            if cell_width(text + self.then) <= room:
                return fit((self.word, Span(f" {text}{self.then}")), cells, glyphs.ellipsis)
        end = self.then or self.if_cut
        return fit((self.word, Span(f" {clip(self.brief or self.text, room - len(end), glyphs.ellipsis)}{end}")), cells)


def alarm_lines(view: ViewState, glyphs: Glyphs) -> tuple[Alarm, ...]:
    """The alarms, the most urgent first."""
    alarms: list[Alarm] = []
    if view.trouble:
        text = f"this is the state of {age(view.stale_ms)} ago: {view.trouble}"
        since = when(view.snapshot.taken.wall_ms, view.now_ms, view.zone)
        what = f"NO DATABASE since {since}" if view.is_cut_off else "STALE"
        alarms.append(Alarm(word=Span(f" {glyphs.alarm} {what} ", Tone.LOUD), text=text))
    paused = view.snapshot.paused
    if paused is not None:
        since = when(paused.since_ms, view.now_ms, view.zone)
        # A read-only console has no key for it.
        resume = "" if view.snapshot.read_only else "; press X to resume"
        brief = f"since {since} by {user_text(paused.by)}"
        word = Span(f" {glyphs.alarm} PAUSED ", Tone.LOUD)
        alarms.append(Alarm(word=word, text=f"launches paused {brief}", then=resume, brief=brief))
    lasting = [problem for problem in view.snapshot.problems if problem.over_ms is None]
    for problem in sorted(lasting, key=lambda each: each.topic != OFFLINE):
        word = Span(f" {glyphs.alarm} OFFLINE " if problem.topic == OFFLINE else f" {glyphs.alarm} ", Tone.LOUD)
        text = sanitize_cell(problem.line(view.now_ms), limit=300)
        alarms.append(Alarm(word=word, text=text, if_cut="; press ! to read it"))
    return tuple(alarms)
