"""What a simulated run does: its steps, their duration and cost, how it ends, and the faults it meets.

A prompt chooses its scenario by its first line: `#sim {"steps": 3, "ending": "failed"}` or
`#sim {"preset": "greedy", "scale": 0.1}`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from console.simulator.faults import Fault, FaultSpec, faults_to_json, parse_faults

MARK = "#sim "
TERMINAL = frozenset({"completed", "failed", "cancelled", "incomplete", "budget_exceeded"})
"""The statuses that never change again."""
PARKED = frozenset({"requires_action", "requires_continuation"})
"""The statuses of a run that waits for its client and spends nothing."""


class Ending(StrEnum):
    """The status of a run after its last step."""

    COMPLETED = "completed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    BUDGET_EXCEEDED = "budget_exceeded"
    REQUIRES_ACTION = "requires_action"
    """The run waits for a function result from its client."""
    REQUIRES_CONTINUATION = "requires_continuation"
    UNKNOWN = "unknown"
    """The status is `unknown_word` until a cancel."""
    NEVER = "never"
    """The run takes steps for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What one run does. Durations are in seconds of the simulator's clock."""

    steps: int = 6
    """The number of steps. The last one is the model's output."""
    step_seconds: float = 0.05
    """The duration of a step. With 0 the run has ended by the time its launch is answered."""
    tokens_per_step: int = 2000
    """Input (cached input included) plus output plus thinking."""
    jitter: float = 0.0
    """The duration and the tokens of a step vary by up to this share, chosen by the seed."""
    cached_share: float = 0.0
    """The share of the tokens of a step that are cached input."""
    tool_share: float = 0.0
    """The share of the uncached tokens of a step that are results of tools."""
    ending: Ending = Ending.COMPLETED
    text: str = ""
    """Replaces the text of every step, if not empty."""
    result: str = ""
    """Replaces the model's output, if not empty."""
    queued_seconds: float = 0.0
    """How long the run is `queued` first."""
    stall_after: int | None = None
    """The run takes no further step after this many; None is no limit."""
    cancel_seconds: float = 0.05
    """How long a cancel takes to have effect."""
    live_status: str = "in_progress"
    """The status of a working run. Another word simulates a service that is newer than its clients."""
    unknown_word: str = "paused_for_review"
    """The status after the ending `unknown`."""
    error_code: str = "api_error"
    """The error of a run that ends as `failed`."""
    error_message: str = "The agent stopped after repeated tool failures."
    faults: FaultSpec = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ending", Ending(self.ending))
        if self.steps < 1 or self.tokens_per_step < 0 or (self.stall_after or 0) < 0:
            raise ValueError("steps must be at least 1, tokens_per_step and stall_after at least 0")
        if min(self.step_seconds, self.queued_seconds, self.cancel_seconds) < 0:
            raise ValueError("step_seconds, queued_seconds and cancel_seconds must not be negative")
        if self.ending is Ending.NEVER and self.step_seconds == 0:
            raise ValueError("a run without an end needs step_seconds above 0")
        if not (0 <= self.jitter <= 1 and 0 <= self.cached_share <= 1 and 0 <= self.tool_share <= 0.8):
            raise ValueError("jitter and cached_share must be between 0 and 1, tool_share between 0 and 0.8")
        parse_faults(self.faults)

    @property
    def parsed_faults(self) -> tuple[Fault, ...]:
        """The faults of this scenario, parsed."""
        return parse_faults(self.faults)

    def to_json(self) -> dict[str, object]:
        """Return the fields that differ from their defaults; `from_json` reads them back."""
        shown: dict[str, object] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                shown[field.name] = value
        if self.faults:
            shown["faults"] = faults_to_json(self.faults)
        return shown

    def prompt(self, text: str = "Write the nightly report.") -> str:
        """Return a prompt that selects this scenario."""
        return f"{MARK}{json.dumps(self.to_json())}\n{text}"


def good(scale: float = 1.0) -> Scenario:
    """A run that ends well after about a minute."""
    return Scenario(
        steps=18, step_seconds=3.5 * scale, tokens_per_step=9000, jitter=0.4, cached_share=0.55, cancel_seconds=scale
    )


def slow(scale: float = 1.0) -> Scenario:
    """A run that ends well but late: it reaches its timeout."""
    return Scenario(
        steps=60, step_seconds=12 * scale, tokens_per_step=4000, jitter=0.3, cached_share=0.6, cancel_seconds=2 * scale
    )


def greedy(scale: float = 1.0) -> Scenario:
    """A run that spends fast: it reaches its budget."""
    return Scenario(
        steps=80, step_seconds=2 * scale, tokens_per_step=45_000, jitter=0.5, cached_share=0.35, cancel_seconds=scale
    )


def never_ending(scale: float = 1.0) -> Scenario:
    """A run that never ends."""
    return Scenario(
        step_seconds=4 * scale,
        tokens_per_step=3000,
        jitter=0.5,
        cached_share=0.6,
        ending=Ending.NEVER,
        cancel_seconds=2 * scale,
    )


def failing(scale: float = 1.0) -> Scenario:
    """A run that fails after a few steps."""
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
    """A run that takes five steps and then stays in_progress without another one."""
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
"""The presets by name; their argument scales all durations."""


def from_json(data: Mapping[str, object], base: Scenario | None = None) -> Scenario:
    """Return `base`, or the preset that `data` names, with the other values of `data` set.

    Raises ValueError for an unknown name or an unsuitable value.
    """
    named = dict(data)
    scale = named.pop("scale", 1.0)
    preset = named.pop("preset", None)
    if not isinstance(scale, int | float) or scale < 0:
        raise ValueError(f"scale must be a number of at least 0: {scale!r}")
    if preset is not None:
        if not isinstance(preset, str) or preset not in PRESETS:
            raise ValueError(f"no preset is called {preset!r}; there are {', '.join(PRESETS)}")
        base = PRESETS[preset](float(scale))
    known = [field.name for field in dataclasses.fields(Scenario)]
    for name in named:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            raise ValueError(f"a scenario has no {name!r}" + (f"; did you mean {nearest[0]!r}?" if nearest else ""))
    merged = {**(base.to_json() if base is not None else {}), **named}
    try:
        return msgspec.convert(merged, Scenario)
    except msgspec.ValidationError as exc:
        raise ValueError(str(exc)) from exc


def from_prompt(prompt: str, default: Scenario) -> Scenario:
    """Return the scenario that the first line of a prompt selects, or `default` if that is not a `#sim` line.

    Values that the line does not set come from `default`. Raises ValueError for an unusable `#sim` line.
    """
    first = prompt.split("\n", 1)[0]
    if not first.startswith(MARK):
        return default
    try:
        data = json.loads(first[len(MARK) :])
    except ValueError as exc:
        raise ValueError(f"the {MARK.strip()} line has no JSON: {exc}") from exc
    if not isinstance(data, dict):
        raise ValueError(f"the {MARK.strip()} line must have a JSON object")
    return from_json(data, default)
