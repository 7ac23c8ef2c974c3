"""The parts of one run as lines of text: an event of its timeline, a step, and its result.

Kept apart because the command that shows a run and the one that follows it print the same lines.
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from console.domain.fact_text import time_text, words_of
from console.domain.run import Run, StepRecord
from console.domain.text import sanitize
from console.engine.models import TimelineEvent

_SANDBOX_FACT = re.compile(r"(?:^|(?<=; ))sandbox(?=: )")
"""The name of that fact; the values of facts stay as they are."""


def event_line(event: TimelineEvent, zone: ZoneInfo, prepared: str) -> str:
    """One event with its time in `zone`, its kind and its facts; `prepared` is what the service calls a sandbox."""
    kind, text = event.kind.replace("sandbox", prepared), _SANDBOX_FACT.sub(prepared, event.text)
    return f"{time_text(event.at_ms, zone)}  {kind:<12}  {sanitize(text)}".rstrip()


def step_line(step: StepRecord) -> str:
    """One step with its number, its kind and its text."""
    return f"{step.index:>4}  {sanitize(words_of(step.kind), limit=30):<22}  {sanitize(step.text)}".rstrip()


def result_lines(run: Run) -> list[str]:
    """The result below its title; empty while there is none."""
    if not run.result:
        return []
    text = sanitize(run.result, newlines=True)
    return ["", "result, as the agent wrote it:", *(f"  | {line}" for line in text.splitlines())]
