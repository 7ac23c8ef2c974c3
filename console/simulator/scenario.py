"""What one simulated run does: how many steps, how fast, at what price, how it ends and which faults it meets.

Chosen per prompt, by a first line `#sim {"steps": 3, "ending": "failed"}` or `#sim {"preset": "greedy", "scale": 0.1}`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from console.simulator.faults import Fault, FaultSpec, parse_faults, plain_faults

MARK = "#sim "
TERMINAL = frozenset({"completed", "failed", "cancelled", "incomplete", "budget_exceeded"})
"""Statuses that never change again."""
PARKED = frozenset({"requires_action", "requires_continuation"})
"""Statuses that wait for a client and spend nothing."""


class Ending(StrEnum):
    """How the last step leaves the run."""

    COMPLETED = "completed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    BUDGET_EXCEEDED = "budget_exceeded"
    REQUIRES_ACTION = "requires_action"
    """Waits for a client's function result; moves no more."""
    REQUIRES_CONTINUATION = "requires_continuation"
    UNKNOWN = "unknown"
    """The status becomes `unknown_word` and stays so until a cancel."""
    NEVER = "never"
    """Step after step, for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run's course. Seconds are those of the world's clock."""

    steps: int = 6
    """The last one is the model's output."""
    step_seconds: float = 0.05
    """0 is allowed: such a run has ended when the create is answered."""
    tokens_per_step: int = 2000
    """In all: input, cached input included, plus output plus thinking."""
    jitter: float = 0.0
    """Seconds and tokens of a step vary by up to this share, by the seed."""
    cached_share: float = 0.0
    """Share of a step's tokens that are cached input."""
    ending: Ending = Ending.COMPLETED
    text: str = ""
    """Text of every step; empty: the report agent's own words."""
    result: str = ""
    """The model's output; empty: the report agent's own words."""
    queued_seconds: float = 0.0
    """The run is `queued` for so long first."""
    stall_after: int | None = None
    """After so many steps nothing moves any more; None is never."""
    cancel_seconds: float = 0.05
    """A cancel takes effect so much later."""
    live_status: str = "in_progress"
    """The status while it works; another word stands for a service newer than its clients."""
    unknown_word: str = "paused_for_review"
    error_code: str = "api_error"
    """Of the ending `failed`."""
    error_message: str = "The agent stopped after repeated tool failures."
    faults: FaultSpec = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ending", Ending(self.ending))
        if self.steps < 1 or self.tokens_per_step < 0 or (self.stall_after or 0) < 0:
            raise ValueError("steps is at least 1, tokens_per_step and stall_after at least 0")
        if min(self.step_seconds, self.queued_seconds, self.cancel_seconds) < 0:
            raise ValueError("step_seconds, queued_seconds and cancel_seconds are never negative")
        if self.ending is Ending.NEVER and self.step_seconds == 0:
            raise ValueError("a run without an end needs step_seconds above 0")
        if not (0 <= self.jitter <= 1 and 0 <= self.cached_share <= 1):
            raise ValueError("jitter and cached_share lie between 0 and 1")
        parse_faults(self.faults)

    @property
    def parsed_faults(self) -> tuple[Fault, ...]:
        """The faults of `faults`, ready to be put on a board."""
        return parse_faults(self.faults)

    def to_json(self) -> dict[str, object]:
        """Only what differs from the default; `from_json` reads it back."""
        shown: dict[str, object] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                shown[field.name] = value
        if self.faults:
            shown["faults"] = plain_faults(self.faults)
        return shown

    def prompt(self, text: str = "Write the nightly report.") -> str:
        """A prompt that plays this scenario."""
        return f"{MARK}{json.dumps(self.to_json())}\n{text}"


def good(scale: float = 1.0) -> Scenario:
    """Comes home in about a minute with a report."""
    return Scenario(
        steps=18, step_seconds=3.5 * scale, tokens_per_step=9000, jitter=0.4, cached_share=0.55, cancel_seconds=scale
    )


def slow(scale: float = 1.0) -> Scenario:
    """Comes home too, but late: the one that meets its timeout."""
    return Scenario(
        steps=60, step_seconds=12 * scale, tokens_per_step=4000, jitter=0.3, cached_share=0.6, cancel_seconds=2 * scale
    )


def greedy(scale: float = 1.0) -> Scenario:
    """Spends fast: the one that meets its budget."""
    return Scenario(
        steps=80, step_seconds=2 * scale, tokens_per_step=45_000, jitter=0.5, cached_share=0.35, cancel_seconds=scale
    )


def never_ending(scale: float = 1.0) -> Scenario:
    """Works and works and never says that it is done."""
    return Scenario(
        step_seconds=4 * scale,
        tokens_per_step=3000,
        jitter=0.5,
        cached_share=0.6,
        ending=Ending.NEVER,
        cancel_seconds=2 * scale,
    )


def failing(scale: float = 1.0) -> Scenario:
    """Gives up after a few steps."""
    return Scenario(
        steps=7,
        step_seconds=3 * scale,
        tokens_per_step=7000,
        jitter=0.4,
        cached_share=0.5,
        cancel_seconds=scale,
        ending=Ending.FAILED,
        error_code="tool_execution_error",
        error_message="The sandbox could not reach the database: connection refused on port 5432.",
    )


def stalling(scale: float = 1.0) -> Scenario:
    """Starts well, then shows no sign of life while it stays in_progress."""
    return Scenario(
        steps=24,
        step_seconds=3 * scale,
        tokens_per_step=6000,
        jitter=0.4,
        cached_share=0.5,
        stall_after=5,
        cancel_seconds=scale,
    )


PRESETS: Mapping[str, Callable[[float], Scenario]] = {
    preset.__name__: preset for preset in (good, slow, greedy, never_ending, failing, stalling)
}
"""By name; the argument scales all times."""


def from_json(data: Mapping[str, object], base: Scenario | None = None) -> Scenario:
    """The scenario that `data` describes, over `base` or the preset it names.

    Raises ValueError for unknown names and for values that are no values of theirs.
    """
    named = dict(data)
    scale = named.pop("scale", 1.0)
    preset = named.pop("preset", None)
    if not isinstance(scale, int | float) or scale < 0:
        raise ValueError(f"scale is a number of at least 0: {scale!r}")
    if preset is not None:
        if not isinstance(preset, str) or preset not in PRESETS:
            raise ValueError(f"no preset is called {preset!r}; there are {', '.join(PRESETS)}")
        base = PRESETS[preset](float(scale))
    known = [field.name for field in dataclasses.fields(Scenario)]
    for name in named:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ValueError(f"a scenario has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    merged = {**(base.to_json() if base is not None else {}), **named}
    try:
        return msgspec.convert(merged, Scenario)
    except msgspec.ValidationError as exc:
        raise ValueError(str(exc)) from exc


def from_prompt(prompt: str, default: Scenario) -> Scenario:
    """The scenario of a prompt's first line, over `default`; `default` where that line is no `#sim`.

    Raises ValueError for a `#sim` line that says nothing sensible.
    """
    first = prompt.split("\n", 1)[0]
    if not first.startswith(MARK):
        return default
    try:
        data = json.loads(first[len(MARK) :])
    except ValueError as exc:
        raise ValueError(f"the line {MARK.strip()} carries no JSON: {exc}") from exc
    if not isinstance(data, dict):
        raise ValueError(f"the line {MARK.strip()} carries a JSON object")
    return from_json(data, default)
