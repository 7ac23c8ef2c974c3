"""One run as labelled facts, for the panel below the table and the full screen. What is urgent comes first."""

from __future__ import annotations

from collections.abc import Iterator

from console.domain.fact_text import stop_text
from console.domain.formatting import counted
from console.domain.run import Run, State, StepRecord
from console.domain.server_limit import NO_SERVER_LIMIT
from console.domain.task import DEFAULT_PROVIDER, CutOff, Origin
from console.engine.models import RunDetail
from console.ui.format import age, clock, count, countdown, elapsed, format_duration, money, percent, units, when
from console.ui.glyphs import Glyphs, gauge, state_span
from console.ui.runs.arrangement import budget_in_ms
from console.ui.runs.cells import budget_tone, cut_off, kind_word
from console.ui.spans import (
    Line,
    Span,
    Tone,
    clip,
    fit,
    left,
    line,
    middle,
    right,
    sanitize_cell,
    width,
    wrap_facts,
    wrapped,
)
from console.ui.state.view_state import ViewState
from console.ui.words import owner_name, user_text

PREPARED = "sandbox or session"
"""What a service makes for a run in advance, while it is not known which."""
KIND = 11
"""The width of the kind of a step."""
LABEL = 11
"""The width of the labels at the left of the facts."""


def labelled(name: str, *value: Span | str) -> Line:
    """A fact with its label at the left."""
    return line(Span(f"{name:<{LABEL}}", Tone.MUTED), *value)


def facts(
    run: Run, view: ViewState, cells: int, glyphs: Glyphs, *, detail: RunDetail | None = None, uncut: bool = False
) -> list[Line]:
    """The facts about a run, the urgent ones first, without its steps, in lines of exactly `cells`.

    Note and trouble have at most MOST_LINES, unless `uncut`.
    """
    lines = [
        *_state(run, view, cells, glyphs, uncut=uncut),
        *_unconfirmed(run, view, detail, cells),
        *_stop(run, view),
        *_limits(run, view, cells, glyphs),
        *_usage(run, detail),
        *_provider(run, view, detail, cells, glyphs),
        *_launch(run, view, glyphs),
        *_changes(detail),
    ]
    return wrap_facts(lines, cells)


def _state(run: Run, view: ViewState, cells: int, glyphs: Glyphs, *, uncut: bool) -> Iterator[Line]:
    state = state_span(run, glyphs)
    more = ""
    if run.state is State.ENDED and run.ended_ms is not None:
        more = f" at {clock(run.ended_ms, view.zone)} after {elapsed(run.elapsed_ms)}" if run.sent else ""
    elif run.state is State.PROPOSED:
        still = f", {countdown(run.expires_ms - view.now_ms)} left" if run.expires_ms else ""
        more = (
            f": waits for approval{still}" if view.snapshot.read_only else f": press a to approve, d to decline{still}"
        )
    elif run.owner is not None:
        more = f", supervised by {_owner(run, view)}"
    elif run.state is not State.UNCONFIRMED:
        more = ", not supervised yet"
    yield labelled("state", state, more)
    if run.note:
        tone = Tone.BAD if run.state is State.ENDED else Tone.PLAIN
        yield from _free_text("note", run.note, tone, cells, glyphs, uncut=uncut)
    if run.trouble:
        yield from _free_text("trouble", run.trouble, Tone.WARN, cells, glyphs, uncut=uncut)


MOST_LINES = 3
"""Lines of one fact of free text."""


def _free_text(name: str, text: str, tone: Tone, cells: int, glyphs: Glyphs, *, uncut: bool) -> Iterator[Line]:
    """A fact of free text, wrapped."""
    room = max(16, cells - LABEL)
    pieces = wrapped(sanitize_cell(text), room)
    if len(pieces) > MOST_LINES and not uncut:
        rest = " ".join(pieces[MOST_LINES - 1 :])
        pieces = [*pieces[: MOST_LINES - 1], clip(rest, room, glyphs.ellipsis)]
    for number, piece in enumerate(pieces):
        yield labelled("" if number else name, Span(piece, tone))


def _owner(run: Run, view: ViewState) -> str:
    if run.id in view.guarded:
        return "this console"
    owner = view.snapshot.owners.get(run.owner or "")
    if owner is None:
        return "a process that has ended"
    name = owner_name(owner)
    return name if owner.alive else f"{name}, which has ended"


def _unconfirmed(run: Run, view: ViewState, detail: RunDetail | None, cells: int) -> Iterator[Line]:
    if run.state is not State.UNCONFIRMED:
        return
    yield line(Span(" IT MAY BE RUNNING ", Tone.LOUD))
    # A read-only console has no key for it; other consoles and the command line have.
    by_key, sooner = ("", "") if view.snapshot.read_only else (" (press s)", "; press x to delete it now")
    words = f"The launch was sent and no id came back. Its key and hold stay taken until it is settled{by_key}."
    if run.deadline_ms is not None and run.sandbox_own:
        what = detail.prepared if detail is not None else PREPARED
        words += f" Its {what} will be deleted at {clock(run.deadline_ms, view.zone)}{sooner}."
    yield from (line(Span(piece)) for piece in wrapped(words, cells))


def _stop(run: Run, view: ViewState) -> Iterator[Line]:
    stop = run.stop
    if stop is None:
        return
    reason = sanitize_cell(stop_text(stop))
    if run.state is State.ENDED:
        cancels = f", {counted(stop.tries, 'cancel')} sent" if stop.tries else ""
        yield labelled("stopped", f"{reason}, asked at {clock(stop.at_ms, view.zone)}{cancels}")
        return
    cancels = f"{counted(stop.tries, 'cancel')} sent"
    since = f"since {clock(stop.at_ms, view.zone)} ({elapsed(view.now_ms - stop.at_ms)}), {cancels}"
    if stop.alarmed:
        yield line(
            Span(" STOP NOT PROVEN ", Tone.LOUD),
            *(() if view.snapshot.read_only else (Span("  press s to settle it"),)),
        )
        yield labelled("", Span(since, Tone.BAD))
    else:
        yield labelled("stopping", Span(since, Tone.WARN))
    yield labelled("", reason)
    if stop.answer:
        yield labelled("", Span("last answer of the provider: ", Tone.MUTED), sanitize_cell(stop.answer))


def _limits(run: Run, view: ViewState, cells: int, glyphs: Glyphs) -> Iterator[Line]:
    limits = run.limits
    if run.deadline_ms is not None and run.state is not State.ENDED:
        at = f" at {clock(run.deadline_ms, view.zone)}, limit {format_duration(limits.max_ms)}"
        yield labelled("cut-off", cut_off(run, view, glyphs), Span(at, Tone.MUTED))
    else:
        yield labelled("time", f"limit {format_duration(limits.max_ms)}")
    tone = budget_tone(run.used, limits.budget)
    known = run.usage_known or run.used > 0 or run.launched_nothing
    used = units(run.used) if known else "unknown"
    words = line(
        Span(used, Tone.PLAIN if tone is Tone.BUSY else tone),
        Span(f" of {units(limits.budget)} units", Tone.MUTED),
        Span(f", {percent(run.used, limits.budget)}" if known else "", Tone.MUTED),
    )
    bar = min(16, max(0, cells - LABEL - width(words) - 1))
    yield labelled("budget", *gauge(bar, ((run.used, tone),), limits.budget, glyphs), Span(" " if bar else ""), *words)
    if ahead := projection(run, view):
        yield labelled("", ahead)
    if run.limits.server_limit is None and run.state is not State.ENDED:
        yield labelled("", Span(NO_SERVER_LIMIT, Tone.WARN))


def projection(run: Run, view: ViewState) -> Span | None:
    """A forecast of the budget at the rate of the run so far; None while the run is too young for one."""
    passed, reached_ms = view.elapsed_ms(run), budget_in_ms(run, view)
    if reached_ms is None:
        return None
    left_ms = run.limits.max_ms - passed
    if reached_ms < left_ms:
        return Span(f"at this rate the budget is reached in {countdown(reached_ms)}", Tone.WARN)
    end = run.used + run.used * max(0, left_ms) // passed
    return Span(f"at this rate {units(end)} units at the time limit", Tone.MUTED)


def _usage(run: Run, detail: RunDetail | None) -> Iterator[Line]:
    usage = run.usage
    if usage.total:
        cached = f" ({count(usage.cached)} cached)" if usage.cached else ""
        parts = f"{count(usage.input)} in{cached}, {count(usage.output + usage.thought + usage.tool_use)} out"
        yield labelled("tokens", count(usage.total), Span(f"  {parts}", Tone.MUTED))
    if run.largest_step:
        rule = ", stopped before the budget" if run.limits.cut_off is CutOff.BEFORE else ""
        yield labelled("", Span(f"most expensive step {units(run.largest_step)} units{rule}", Tone.MUTED))
    worst = ""
    if detail is not None and detail.worst_case_micro is not None and run.state is not State.ENDED:
        worst = f", at most {money(detail.worst_case_micro, detail.currency)}"
    if not run.launched_nothing:
        yield labelled("cost", money(run.cost_micro, run.currency), Span(worst, Tone.MUTED))
    elif worst:
        yield labelled("cost", Span(worst.removeprefix(", "), Tone.PLAIN))


def _provider(run: Run, view: ViewState, detail: RunDetail | None, cells: int, glyphs: Glyphs) -> Iterator[Line]:
    if run.remote_id is None and run.sandbox_id is None:
        return
    status = sanitize_cell(run.remote_status or "no status yet", limit=40)
    asked = f", {age(view.now_ms - run.polled_ms)} ago" if run.polled_ms and run.state is not State.ENDED else ""
    yield labelled("provider", status, Span(asked, Tone.MUTED))
    room = cells - LABEL
    if run.remote_id is not None:
        yield labelled("", Span(middle(sanitize_cell(run.remote_id), room, glyphs.ellipsis), Tone.MUTED))
    if run.sandbox_id is not None:
        what = detail.prepared if detail is not None else PREPARED
        own = f"own {what} " if run.sandbox_own and what == "sandbox" else f"{what} "
        sandbox = middle(sanitize_cell(run.sandbox_id), max(8, room - len(own)), glyphs.ellipsis)
        yield labelled("", Span(own + sandbox, Tone.MUTED))


def _launch(run: Run, view: ViewState, glyphs: Glyphs) -> Iterator[Line]:
    asked = when(run.created_ms, view.now_ms, view.zone)
    how = "by hand" if run.origin is Origin.MANUAL else "by schedule"
    yield labelled(
        "launch", f"{how} at stage {run.stage.label}, {asked}", Span(f"  {user_text(run.requested_by)}", Tone.MUTED)
    )
    attempt = f"  attempt {run.attempt}" if run.attempt else ""
    yield labelled("key", run.key, Span(f"  {sanitize_cell(run.date)}{attempt}", Tone.MUTED))
    agent = f" {glyphs.dot} ".join(map(sanitize_cell, filter(None, (run.fingerprint.agent, run.fingerprint.model))))
    yield labelled("agent", Span(agent, Tone.MUTED))
    if run.fingerprint.provider != DEFAULT_PROVIDER:
        yield labelled("", Span(f"at {sanitize_cell(run.fingerprint.provider)}", Tone.MUTED))
    if run.host:
        yield labelled("host", Span(sanitize_cell(run.host), Tone.MUTED))
    if run.retry_at_ms is not None:
        yield labelled("again", f"automatically at {when(run.retry_at_ms, view.now_ms, view.zone)}")
    if run.superseded_by is not None:
        yield labelled("superseded", Span(f"by {run.superseded_by}", Tone.MUTED))


def _changes(detail: RunDetail | None) -> Iterator[Line]:
    for change in detail.changed_since if detail is not None else ():
        yield labelled("changed", Span(sanitize_cell(change), Tone.WARN))


def step_line(step: StepRecord, cells: int, glyphs: Glyphs, view: ViewState) -> Line:
    """One step: time, number, sign, kind, text, and the units used when it was last reported."""
    sign = Span(glyphs.done, Tone.MUTED) if step.done else Span(glyphs.doing, Tone.BUSY)
    amount = right(units(step.units), 6) if step.units else " " * 6
    head = line(
        Span(f"{clock(step.at_ms, view.zone)} {step.index:>3} ", Tone.MUTED),
        sign,
        Span(f" {left(kind_word(step.kind), KIND)} ", Tone.MUTED),
        Span(sanitize_cell(step.text), Tone.MUTED if step.done else Tone.PLAIN),
    )
    return (*fit(head, max(0, cells - 7), glyphs.ellipsis), Span(" "), Span(amount, Tone.MUTED))


def steps(detail: RunDetail, view: ViewState, cells: int, rows: int, glyphs: Glyphs) -> list[Line]:
    """The newest steps that fit into `rows`, oldest first, and the result of an ended run below them."""
    result = result_lines(detail.run, cells, glyphs)[: max(0, rows - 2)]
    room = rows - len(result)
    if not detail.steps:
        return [*([] if result else [(Span("no step yet", Tone.MUTED),)]), *result]
    newest = sorted(detail.steps, key=lambda step: step.index)[-room:] if room > 0 else []
    return [*(step_line(step, cells, glyphs, view) for step in newest), *result]


def result_lines(run: Run, cells: int, glyphs: Glyphs) -> list[Line]:
    """The result, which the agent wrote, sanitized and wrapped; empty while there is none."""
    if not run.result:
        return []
    lines: list[Line] = [(Span("result", Tone.MUTED),)]
    for paragraph in run.result.splitlines()[:200]:
        cleaned = sanitize_cell(paragraph, limit=2000)
        lines.extend((Span(piece),) for piece in wrapped(cleaned, cells))
    return [fit(each, cells, glyphs.ellipsis) for each in lines]
