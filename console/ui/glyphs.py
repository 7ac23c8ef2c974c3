"""The signs of states and outcomes, and gauges. Each sign stands beside its word, so no meaning depends on colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.domain.run import Outcome, Run, State
from console.ui.spans import Span, Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """A set of signs: one for Unicode terminals, one for ASCII. Each sign takes one cell."""

    states: Mapping[State, str]
    outcomes: Mapping[Outcome, str]
    stalled: str
    alarm: str
    """A stop that is overdue and not proven."""
    full: str
    half: str
    """Half a cell of a gauge; empty if the set has no such sign."""
    held: str
    empty: str
    rule: str
    cursor: str
    mark: str
    done: str
    """A finished step."""
    doing: str
    """A step in progress."""
    near: str
    """Before a countdown that is near its end."""
    dot: str
    """Between two facts on one line."""
    none: str
    """In place of a missing value."""
    ellipsis: str
    pointer: str
    """Before the selected entry of a list."""
    to: str
    """An arrow from one thing to another."""
    branch: str
    """Before an entry that belongs to the line above."""


UNICODE = Glyphs(
    states={
        State.PROPOSED: "◇",
        State.CLAIMED: "○",
        State.SENDING: "◔",
        State.RUNNING: "●",
        State.STOPPING: "◑",
        State.UNCONFIRMED: "▲",
        State.ENDED: "·",
    },
    outcomes={
        Outcome.OK: "✓",
        Outcome.FAILED: "✗",
        Outcome.INCOMPLETE: "◒",
        Outcome.BUDGET: "▣",
        Outcome.TIMEOUT: "◷",
        Outcome.CANCELLED: "■",
        Outcome.REJECTED: "⊘",
        Outcome.NOT_SENT: "↺",
        Outcome.DECLINED: "⊖",
        Outcome.EXPIRED: "◌",
        Outcome.WRITTEN_OFF: "⊗",
        Outcome.SKIPPED: "→",
        Outcome.REFUSED: "⊘",
    },
    stalled="◍",
    alarm="▲",
    full="━",
    half="╸",
    held="╍",
    empty="─",
    rule="─",
    cursor="▌",
    mark="◆",
    done="✓",
    doing="\u203a",
    near="!",
    dot="·",
    none="\u2013",
    ellipsis="…",
    pointer="\u203a",
    to="→",
    branch="└",
)

ASCII = Glyphs(
    states={
        State.PROPOSED: "?",
        State.CLAIMED: "o",
        State.SENDING: ">",
        State.RUNNING: "*",
        State.STOPPING: "~",
        State.UNCONFIRMED: "!",
        State.ENDED: ".",
    },
    outcomes={
        Outcome.OK: "+",
        Outcome.FAILED: "x",
        Outcome.INCOMPLETE: "/",
        Outcome.BUDGET: "$",
        Outcome.TIMEOUT: "@",
        Outcome.CANCELLED: "#",
        Outcome.REJECTED: "-",
        Outcome.NOT_SENT: "<",
        Outcome.DECLINED: "n",
        Outcome.EXPIRED: "e",
        Outcome.WRITTEN_OFF: "w",
        Outcome.SKIPPED: "s",
        Outcome.REFUSED: "r",
    },
    stalled="z",
    alarm="!",
    full="#",
    half="",
    held="=",
    empty=".",
    rule="-",
    cursor=">",
    mark="+",
    done="+",
    doing=">",
    near="!",
    dot="|",
    none="-",
    ellipsis="~",
    pointer=">",
    to=">",
    branch="`",
)

_STATE_TONES = {
    State.PROPOSED: Tone.WAIT,
    State.CLAIMED: Tone.WAIT,
    State.SENDING: Tone.WAIT,
    State.RUNNING: Tone.BUSY,
    State.STOPPING: Tone.WARN,
    State.UNCONFIRMED: Tone.LOUD,
    State.ENDED: Tone.MUTED,
}

_OUTCOME_TONES = {
    Outcome.OK: Tone.OK,
    Outcome.FAILED: Tone.BAD,
    Outcome.INCOMPLETE: Tone.WARN,
    Outcome.BUDGET: Tone.BAD,
    Outcome.TIMEOUT: Tone.BAD,
    Outcome.REJECTED: Tone.BAD,
    Outcome.NOT_SENT: Tone.WARN,
    Outcome.REFUSED: Tone.BAD,
}


def outcome_word(outcome: Outcome) -> str:
    """The outcome as it is shown: `not sent`, `written off`."""
    return outcome.value.replace("_", " ")


def state_span(run: Run, glyphs: Glyphs) -> Span:
    """The sign and word of a run's state, `● running`; of an ended run those of its outcome."""
    if run.outcome is not None:
        tone = _OUTCOME_TONES.get(run.outcome, Tone.MUTED)
        return Span(f"{glyphs.outcomes[run.outcome]} {run.outcome_words}", tone)
    if run.stop is not None and run.stop.alarmed:
        return Span(f"{glyphs.alarm} no proof", Tone.LOUD)
    if run.stalled and run.state is State.RUNNING:
        return Span(f"{glyphs.stalled} stalled", Tone.WARN)
    return Span(f"{glyphs.states[run.state]} {run.state.value}", _STATE_TONES[run.state])


def gauge(cells: int, parts: tuple[tuple[int, Tone], ...], whole: int | None, glyphs: Glyphs) -> tuple[Span, ...]:
    """A bar of exactly `cells`: the parts in their tones, the rest of `whole` faint; empty if `whole` is None or 0.

    Parts of tone HELD get their own sign. What is not zero shows at least half a cell where there are halves,
    and the bar is only full where the parts reach the whole.
    """
    if cells <= 0:
        return ()
    if not whole or whole <= 0:
        return (Span(glyphs.empty * cells, Tone.FAINT),)
    spans: list[Span] = []
    drawn = total = 0
    for amount, tone in parts:
        total += max(0, amount)
        end = min(2 * cells, -(-total * 2 * cells // whole) if total < whole else 2 * cells)
        end = min(end, 2 * cells - 1) if total < whole else end
        if not glyphs.half:
            end = min(2 * (end // 2 + end % 2), 2 * cells if total >= whole else 2 * cells - 2)
        spans.extend(_bar(drawn, end, tone, glyphs))
        drawn = max(drawn, end + end % 2)
    rest = cells - drawn // 2
    return (*spans, Span(glyphs.empty * rest, Tone.FAINT)) if rest > 0 else tuple(spans)


def _bar(start: int, end: int, tone: Tone, glyphs: Glyphs) -> tuple[Span, ...]:
    """The half cells from `start` (an even number) to `end` in one tone."""
    if end <= start:
        return ()
    whole, odd = divmod(end - start, 2)
    sign = glyphs.held if tone is Tone.HELD else glyphs.full
    return (Span(sign * whole + (glyphs.half if odd else ""), tone),)
