"""Proves what each stage makes of a launch, and that trust never rises by itself."""

from __future__ import annotations

from itertools import product

import pytest

from console.domain.rollout import Admission, admission, effective_stage
from console.domain.task import Origin, Stage


@pytest.mark.parametrize(
    ("origin", "stage", "answer"),
    [
        (Origin.MANUAL, Stage.MANUAL, Admission.RUN),
        (Origin.MANUAL, Stage.SEMI, Admission.RUN),
        (Origin.MANUAL, Stage.UNATTENDED, Admission.RUN),
        (Origin.SCHEDULE, Stage.MANUAL, Admission.REFUSE),
        (Origin.SCHEDULE, Stage.SEMI, Admission.PROPOSE),
        (Origin.SCHEDULE, Stage.UNATTENDED, Admission.RUN),
    ],
)
def test_what_a_stage_makes_of_a_launch(origin: Origin, stage: Stage, answer: Admission) -> None:
    assert admission(origin, stage) is answer


def test_one_rung_is_lost_while_a_run_is_unconfirmed_and_none_below_the_first() -> None:
    lowered = {stage: effective_stage(stage, unconfirmed=True) for stage in Stage}
    assert lowered == {Stage.MANUAL: Stage.MANUAL, Stage.SEMI: Stage.MANUAL, Stage.UNATTENDED: Stage.SEMI}


@pytest.mark.parametrize(("stage", "unconfirmed"), list(product(Stage, [False, True])))
def test_the_effective_stage_is_never_higher(stage: Stage, unconfirmed: bool) -> None:
    assert effective_stage(stage, unconfirmed=unconfirmed) <= stage
    assert effective_stage(stage, unconfirmed=False) is stage


def test_stages_are_known_by_their_words() -> None:
    assert [stage.word for stage in sorted(Stage)] == ["manual", "semi", "unattended"]
    assert all(Stage.of(stage.word) is stage for stage in Stage)
    with pytest.raises(ValueError, match="'auto' is none of manual, semi, unattended"):
        Stage.of("auto")
