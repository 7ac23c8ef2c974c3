"""What happens to a launch at each stage, and that no stage rises by itself."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from itertools import product

import pytest

from console.domain.rollout import (
    Evidence,
    LaunchPath,
    PromotionDenied,
    RolloutRules,
    check_step,
    effective_stage,
    launch_path,
    unmet_criteria,
)
from console.domain.task import Origin, Stage

RULES = RolloutRules()


@pytest.mark.parametrize(
    ("origin", "stage", "answer"),
    [
        (Origin.MANUAL, Stage.MANUAL, LaunchPath.RUN),
        (Origin.MANUAL, Stage.SEMI, LaunchPath.RUN),
        (Origin.MANUAL, Stage.UNATTENDED, LaunchPath.RUN),
        (Origin.SCHEDULE, Stage.MANUAL, LaunchPath.REFUSE),
        (Origin.SCHEDULE, Stage.SEMI, LaunchPath.PROPOSE),
        (Origin.SCHEDULE, Stage.UNATTENDED, LaunchPath.RUN),
    ],
)
def test_what_happens_to_a_launch_at_each_stage(origin: Origin, stage: Stage, answer: LaunchPath) -> None:
    assert launch_path(origin, stage) is answer


def test_the_stage_counts_one_lower_while_a_run_is_unconfirmed() -> None:
    lowered = {stage: effective_stage(stage, unconfirmed=True) for stage in Stage}
    assert lowered == {Stage.MANUAL: Stage.MANUAL, Stage.SEMI: Stage.MANUAL, Stage.UNATTENDED: Stage.SEMI}


@pytest.mark.parametrize(("stage", "unconfirmed"), list(product(Stage, [False, True])))
def test_the_effective_stage_is_never_higher(stage: Stage, unconfirmed: bool) -> None:
    assert effective_stage(stage, unconfirmed=unconfirmed) <= stage
    assert effective_stage(stage, unconfirmed=False) is stage


def test_a_stage_is_found_by_its_label() -> None:
    assert [stage.label for stage in sorted(Stage)] == ["manual", "semi", "unattended"]
    assert all(Stage.of(stage.label) is stage for stage in Stage)
    with pytest.raises(ValueError, match="'auto' is none of manual, semi, unattended"):
        Stage.of("auto")


OK_BY_HAND, OK_APPROVED = Evidence(since_ms=None, manual_ok=1), Evidence(since_ms=None, approved_ok=3)
NOTHING = Evidence(since_ms=None)


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("trouble", [False, True])
@pytest.mark.parametrize("evidence", [NOTHING, OK_BY_HAND, OK_APPROVED])
def test_the_whole_policy_in_one_table(origin: Origin, stage: Stage, trouble: bool, evidence: Evidence) -> None:
    """Evidence alone changes no launch; an unconfirmed run lowers the stage; manual launches always run."""
    launch = launch_path(origin, effective_stage(stage, unconfirmed=trouble))
    table = {
        (Stage.MANUAL, False): LaunchPath.REFUSE,
        (Stage.SEMI, False): LaunchPath.PROPOSE,
        (Stage.UNATTENDED, False): LaunchPath.RUN,
        (Stage.MANUAL, True): LaunchPath.REFUSE,
        (Stage.SEMI, True): LaunchPath.REFUSE,
        (Stage.UNATTENDED, True): LaunchPath.PROPOSE,
    }
    assert launch is (LaunchPath.RUN if origin is Origin.MANUAL else table[stage, trouble])
    seen = replace(evidence, unconfirmed=int(trouble))
    earned = {
        Stage.MANUAL: evidence is OK_BY_HAND and not trouble,
        Stage.SEMI: evidence is OK_APPROVED and not trouble,
        Stage.UNATTENDED: True,
    }
    assert (unmet_criteria(stage, seen, RULES) == ()) is earned[stage]


@pytest.mark.parametrize("now", list(Stage))
@pytest.mark.parametrize("to", list(Stage))
@pytest.mark.parametrize("evidence", [NOTHING, OK_BY_HAND, OK_APPROVED])
@pytest.mark.parametrize(("forced", "reason"), [(False, ""), (False, "why"), (True, ""), (True, " "), (True, "why")])
def test_which_stage_changes_are_allowed(now: Stage, to: Stage, evidence: Evidence, forced: bool, reason: str) -> None:
    earned = not unmet_criteria(now, evidence, RULES)
    answered_for = forced and bool(reason.strip())
    allowed = (to - now == 1 and (earned or answered_for)) or (to - now == -1 and bool(reason.strip()))
    with nullcontext() if allowed else pytest.raises(PromotionDenied):
        check_step(now, to, evidence, RULES, forced=forced, reason=reason)
