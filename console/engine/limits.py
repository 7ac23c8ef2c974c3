"""The limits of one run, as its task and the config stand at the claim."""

from __future__ import annotations

from console.domain.run import Limits
from console.domain.task import Task
from console.domain.usage import Units


def limits_of(task: Task, units: Units) -> Limits:
    """What the run is held to from its claim to its end, whatever is edited meanwhile."""
    guardrails = task.guardrails
    return Limits(
        max_ms=guardrails.max_ms,
        budget=guardrails.budget,
        belt_tokens=units.belt_tokens(guardrails.budget),
        tokens_per_unit=units.tokens_per_unit,
        cached_weight_milli=units.cached_weight_milli,
        cut_off=guardrails.cut_off,
        stall_ms=guardrails.stall_ms,
    )
