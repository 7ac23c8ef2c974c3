"""Trust is earned on recorded evidence, one rung at a time, and lost at once. Pure: what may happen, not what did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from console.domain.task import Origin, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRules:
    """The whole criterion for promotion and demotion."""

    manual_clean_runs: int = 1
    """Ended ok, launched by hand."""
    semi_clean_runs: int = 3
    """Approved by a person and ended ok."""
    demote_on: tuple[str, ...] = ("timeout", "budget", "failed", "unconfirmed")
    approval_ms: int = 43_200_000


class Admission(StrEnum):
    """What a stage makes of a launch."""

    RUN = "run"
    PROPOSE = "propose"
    REFUSE = "refuse"


def effective_stage(stage: Stage, *, unconfirmed: bool) -> Stage:
    """The task's stage, or one lower while a run of the same task is unconfirmed."""
    return Stage(max(Stage.MANUAL, stage - 1)) if unconfirmed else stage


def admission(origin: Origin, stage: Stage) -> Admission:
    """By hand always runs; a schedule is refused at manual, proposed at semi, runs at unattended."""
    if origin is Origin.MANUAL:
        return Admission.RUN
    return {
        Stage.MANUAL: Admission.REFUSE,
        Stage.SEMI: Admission.PROPOSE,
        Stage.UNATTENDED: Admission.RUN,
    }[stage]
