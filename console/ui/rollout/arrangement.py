"""Which tasks the list of stages shows and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from console.domain.rollout import RolloutRules
from console.domain.task import Stage
from console.engine.models import TaskRollout
from console.ui.filtering.controls import Order
from console.ui.filtering.rows import FieldNames, RowFields, RowFilter
from console.ui.rollout.lines import progress

CONFIG = Order("config", "as in the config", "as in the config, from its end")
TASK = Order("task", "by task", "by task, from Z to A")
STAGE = Order("stage", "highest stage first", "lowest stage first")
NEXT = Order("next", "next launch first", "next launch last")
EVIDENCE = Order("evidence", "nearest to promotion first", "farthest from promotion first")
DEMOTED = Order("demoted", "last demotion first", "last demotion last")
ORDERS = (CONFIG, TASK, STAGE, NEXT, EVIDENCE, DEMOTED)

NAMES = FieldNames(
    texts=("task", "stage", "target", "earned"),
    values={"stage": tuple(stage.label for stage in Stage), "earned": ("yes", "no")},
)


def row_fields(rollout: TaskRollout) -> RowFields:
    """What a task offers to a filter; `earned:yes` has the evidence for the next stage."""
    task = rollout.task
    earned = rollout.stage is not Stage.UNATTENDED and not rollout.unmet_criteria
    return RowFields(
        named={
            "task": task.name,
            "stage": rollout.effective.label,
            "target": task.target,
            "earned": "yes" if earned else "no",
        },
        text=" ".join((task.name, task.target, task.type, task.schedule or "by hand", rollout.effective.label)),
    )


def arranged(
    rollouts: Sequence[TaskRollout], rules: RolloutRules, wanted: RowFilter, order: Order, *, reverse: bool
) -> list[TaskRollout]:
    """The tasks that fit, in this order; those without a value stay last either way."""
    found = [rollout for rollout in rollouts if wanted.fits(row_fields(rollout))]
    if order is CONFIG:
        return found[::-1] if reverse else found
    key = _keys(rules)[order]
    valued = sorted((each for each in found if key(each) is not None), key=key, reverse=reverse)
    return [*valued, *(each for each in found if key(each) is None)]


def _keys(rules: RolloutRules) -> dict[Order, Callable[[TaskRollout], Any]]:
    """By order: what comes first has the smallest value; None for what has none."""

    def missing(rollout: TaskRollout) -> float | None:
        done, needed = progress(rollout, rules)
        return None if not needed else (needed - done) / needed

    return {
        TASK: lambda rollout: rollout.task.name,
        STAGE: lambda rollout: -rollout.effective,
        NEXT: lambda rollout: rollout.scheduled[0].at_ms if rollout.scheduled else None,
        EVIDENCE: missing,
        DEMOTED: lambda rollout: -rollout.last_demotion.at_ms if rollout.last_demotion else None,
    }
