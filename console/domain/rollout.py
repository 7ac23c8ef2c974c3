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


class LaunchPath(StrEnum):
    """What a stage makes of a launch."""

    RUN = "run"
    PROPOSE = "propose"
    REFUSE = "refuse"


def effective_stage(stage: Stage, *, unconfirmed: bool) -> Stage:
    """The task's stage, or one lower while a run of the same task is unconfirmed."""
    return Stage(max(Stage.MANUAL, stage - 1)) if unconfirmed else stage


def launch_path(origin: Origin, stage: Stage) -> LaunchPath:
    """By hand always runs; a schedule is refused at manual, proposed at semi, runs at unattended."""
    if origin is Origin.MANUAL:
        return LaunchPath.RUN
    return {
        Stage.MANUAL: LaunchPath.REFUSE,
        Stage.SEMI: LaunchPath.PROPOSE,
        Stage.UNATTENDED: LaunchPath.RUN,
    }[stage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the runs of one task show since its last step, or since one of its runs was last unconfirmed."""

    since_ms: int | None
    """UTC wall milliseconds; None: all that ever ran."""
    ran: int = 0
    """Runs that ended and in which an agent was launched."""
    manual_ok: int = 0
    """Launched by hand and ended ok."""
    approved_ok: int = 0
    """Proposed, approved by a person and ended ok."""
    observed: int = 0
    """Of `ran`: a console was open while they ran."""
    guards_held: int = 0
    """Of `ran`: a timeout, a budget or a cancel that stopped the agent, with proof."""
    unconfirmed: int = 0
    """Unconfirmed right now."""
    p95_units: int | None = None
    """Milli-units; None while nothing ran."""
    p95_ms: int | None = None
    budget: int | None = None
    """Milli-units: the limit that `p95_units` stands against, of the newest run."""
    max_ms: int | None = None
    """The limit that `p95_ms` stands against, of the newest run."""


def unmet_criteria(stage: Stage, evidence: Evidence, rules: RolloutRules) -> tuple[str, ...]:
    """What a task at `stage` lacks for the next rung, one phrase each; empty: it may be promoted, or is at the top."""
    lacks: list[str] = []
    if stage is Stage.UNATTENDED:
        return ()
    if stage is Stage.MANUAL and (few := rules.manual_clean_runs - evidence.manual_ok) > 0:
        lacks.append(f"{few} more {_runs(few)} by hand that {_ends(few)} ok")
    if stage is Stage.SEMI and (few := rules.semi_clean_runs - evidence.approved_ok) > 0:
        lacks.append(f"{few} more approved {_runs(few)} that {_ends(few)} ok")
    if evidence.unconfirmed:
        count = evidence.unconfirmed
        lacks.append(f"{count} unconfirmed {_runs(count)} to be settled")
    return tuple(lacks)


def _runs(count: int) -> str:
    return "run" if count == 1 else "runs"


def _ends(count: int) -> str:
    return "ends" if count == 1 else "end"


class PromotionDenied(ValueError):
    """The step is not one that may be taken; `str()` is one clear line."""


def check_step(now: Stage, to: Stage, evidence: Evidence, rules: RolloutRules, *, forced: bool, reason: str) -> None:
    """Raises NotEarned unless `now` to `to` is one rung, and up only on evidence or forced with a reason."""
    if abs(to - now) != 1:
        raise PromotionDenied(f"the task is at {now.label}; one rung at a time, {to.label} is not next to it")
    if to < now:
        if not reason.strip():
            raise PromotionDenied("a step down takes a reason")
        return
    lacks = unmet_criteria(now, evidence, rules)
    if lacks and not forced:
        raise PromotionDenied(f"not earned yet: {'; '.join(lacks)}")
    if lacks and not reason.strip():
        raise PromotionDenied("a forced step takes a reason")
