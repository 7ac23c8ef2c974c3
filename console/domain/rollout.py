"""Rollout rules: a task is promoted stage by stage on recorded evidence, and demoted immediately. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from console.domain.run import RunId
from console.domain.task import Origin, Stage
from console.domain.text import is_blank

AUTOMATIC = "nightdesk"
"""Recorded as the author of a demotion by the rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRules:
    """The criteria for promotion and demotion."""

    manual_clean_runs: int = 1
    """Runs launched by hand that must end ok before promotion to semi."""
    semi_clean_runs: int = 3
    """Approved runs that must end ok before promotion to unattended."""
    demote_on: tuple[str, ...] = ("timeout", "budget", "failed", "unconfirmed")
    """Outcomes (and `unconfirmed`) that demote a task."""
    approval_ms: int = 43_200_000
    """How long a proposal waits for a decision, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """One promotion or demotion of a task."""

    at_ms: int
    before: Stage
    after: Stage
    by: str
    """AUTOMATIC for a demotion by the rules."""
    reason: str
    forced: bool
    """Promoted by a person although criteria were not met."""
    evidence: Mapping[str, object] = field(default_factory=dict)
    """What the change rested on, as it was recorded."""
    run_id: RunId | None = None
    """The run whose ending demoted the task; None for a change by a person."""


class LaunchPath(StrEnum):
    """What happens to a launch request at a stage."""

    RUN = "run"
    PROPOSE = "propose"
    REFUSE = "refuse"


def effective_stage(stage: Stage, *, unconfirmed: bool) -> Stage:
    """Return the task's stage, or the stage below while a run of the task is unconfirmed."""
    return Stage(max(Stage.MANUAL, stage - 1)) if unconfirmed else stage


def launch_path(origin: Origin, stage: Stage) -> LaunchPath:
    """A launch by hand always runs; a scheduled one is refused at manual, proposed at semi and run at unattended."""
    if origin is Origin.MANUAL:
        return LaunchPath.RUN
    return {
        Stage.MANUAL: LaunchPath.REFUSE,
        Stage.SEMI: LaunchPath.PROPOSE,
        Stage.UNATTENDED: LaunchPath.RUN,
    }[stage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Counts over the runs of one task since its last stage change, or since one of its runs was last unconfirmed."""

    since_ms: int | None
    """Start of the period in UTC milliseconds; None counts every run."""
    ran: int = 0
    """Runs that launched an agent and have ended."""
    manual_ok: int = 0
    """Runs that were launched by hand and ended ok."""
    approved_ok: int = 0
    """Runs that were proposed, approved by a person and ended ok."""
    observed: int = 0
    """Of `ran`: runs during which a console was open."""
    guards_held: int = 0
    """Of `ran`: runs whose agent was stopped by a timeout, a budget or a cancel, as the service confirmed."""
    unconfirmed: int = 0
    """Runs that are unconfirmed now."""
    p95_units: int | None = None
    """95th percentile of used milli-units; None if nothing ran."""
    p95_ms: int | None = None
    """95th percentile of run time in milliseconds; None if nothing ran."""
    budget: int | None = None
    """Budget of the newest run in milli-units, to compare `p95_units` with."""
    max_ms: int | None = None
    """Time limit of the newest run in milliseconds, to compare `p95_ms` with."""


def unmet_criteria(stage: Stage, evidence: Evidence, rules: RolloutRules) -> tuple[str, ...]:
    """Return what a task at `stage` still needs for promotion, one phrase each.

    Empty if the task may be promoted, and for the highest stage.
    """
    unmet: list[str] = []
    if stage is Stage.UNATTENDED:
        return ()
    if stage is Stage.MANUAL and (few := rules.manual_clean_runs - evidence.manual_ok) > 0:
        unmet.append(f"{few} more successful manual {_runs(few)}")
    if stage is Stage.SEMI and (few := rules.semi_clean_runs - evidence.approved_ok) > 0:
        unmet.append(f"{few} more successful approved {_runs(few)}")
    if evidence.unconfirmed:
        unmet.append(f"{evidence.unconfirmed} unconfirmed {_runs(evidence.unconfirmed)} to settle")
    return tuple(unmet)


def _runs(count: int) -> str:
    return "run" if count == 1 else "runs"


class PromotionDenied(ValueError):
    """The stage change is not allowed; `str()` is one line that says why."""


def check_step(now: Stage, to: Stage, evidence: Evidence, rules: RolloutRules, *, forced: bool, reason: str) -> None:
    """Raise PromotionDenied unless the change from `now` to `to` is allowed.

    A change moves one stage. Demotion needs a reason; promotion needs the evidence, or `forced` with a reason.
    """
    if to == now:
        raise PromotionDenied(f"the task is already at {now.label}")
    if abs(to - now) != 1:
        raise PromotionDenied(f"the task is at {now.label}; move one stage at a time: manual -> semi -> unattended")
    if to < now:
        if is_blank(reason):
            raise PromotionDenied("a reason is required to demote")
        return
    unmet = unmet_criteria(now, evidence, rules)
    if unmet and not forced:
        raise PromotionDenied(f"not ready for {to.label}: {'; '.join(unmet)}")
    if unmet and is_blank(reason):
        raise PromotionDenied("a reason is required to promote without the evidence")
