"""One sign per state beside its word, so that no meaning needs a colour; a second set where there is no Unicode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.domain.run import Outcome, Run, State
from console.ui.spans import Span, Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """Every sign that is not a letter or a digit. Each takes one cell."""

    states: Mapping[State, str]
    outcomes: Mapping[Outcome, str]
    stalled: str
    alarm: str
    """A stop that is not proven."""
    full: str
    half: str
    """Half a cell of a gauge; empty where there is none."""
    held: str
    empty: str
    rule: str
    cursor: str
    mark: str
    done: str
    """A step that is over."""
    doing: str
    """A step that goes on."""
    near: str
    """Before a countdown that nears its end."""
    dot: str
    """Between two facts in one line."""
    none: str
    """No value."""
    ellipsis: str
    pointer: str
    """Before the chosen entry of a list."""
    to: str
    """From one thing to another."""
    branch: str
    """Before what belongs to the line above."""


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
    """`not sent`, `written off`: the word without its underscore."""
    return outcome.value.replace("_", " ")


def state_span(run: Run, glyphs: Glyphs) -> Span:
    """`● running`: sign and word of where a run stands, ended ones by their outcome."""
    if run.outcome is not None:
        tone = _OUTCOME_TONES.get(run.outcome, Tone.MUTED)
        return Span(f"{glyphs.outcomes[run.outcome]} {outcome_word(run.outcome)}", tone)
    if run.stop is not None and run.stop.alarmed:
        return Span(f"{glyphs.alarm} no proof", Tone.LOUD)
    if run.stalled and run.state is State.RUNNING:
        return Span(f"{glyphs.stalled} stalled", Tone.WARN)
    return Span(f"{glyphs.states[run.state]} {run.state.value}", _STATE_TONES[run.state])


def gauge(cells: int, parts: tuple[tuple[int, Tone], ...], whole: int | None, glyphs: Glyphs) -> tuple[Span, ...]:
    """A bar of exactly `cells`: each part with its tone, the rest of `whole` faint; no limit is an empty bar.

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
    """Half cells from `start` (even) to `end`, in one tone."""
    if end <= start:
        return ()
    whole, odd = divmod(end - start, 2)
    sign = glyphs.held if tone is Tone.HELD else glyphs.full
    return (Span(sign * whole + (glyphs.half if odd else ""), tone),)
