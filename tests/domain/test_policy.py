"""What two configs are compared by, and how a difference is told."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from console.domain.caps import Caps
from console.domain.policy import SCHEDULES, Policy, policy_of, policy_refusal
from console.domain.rollout import RolloutRules
from console.domain.task import MissedPolicy
from console.domain.usage import Units
from tests.engine.building import CAPS, a_task

UNITS, ROLLOUT = Units(), RolloutRules()
NIGHTLY = replace(a_task(), schedule="0 3 * * *")
OURS = policy_of(CAPS, UNITS, ROLLOUT, (NIGHTLY, a_task("by hand")))


def test_every_cap_unit_and_rule_is_compared() -> None:
    compared = {name for kind in (Caps, Units, RolloutRules) for name in (each.name for each in fields(kind))}
    renamed = {"cached_weight_milli": "cached_weight", "approval_ms": "approval_seconds"}
    assert set(OURS.values) == {renamed.get(name, name) for name in compared} | {SCHEDULES}


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (policy_of(replace(CAPS, daily_units=1_500), UNITS, ROLLOUT, (NIGHTLY,)), "daily_units is 1.5 here and 2000"),
        (policy_of(replace(CAPS, daily_runs=None), UNITS, ROLLOUT, (NIGHTLY,)), "daily_runs is unlimited here and 100"),
        (policy_of(CAPS, Units(cached_weight_milli=0), ROLLOUT, (NIGHTLY,)), "cached_weight is 0 here and 0.1"),
        (policy_of(CAPS, UNITS, RolloutRules(approval_ms=1_000), (NIGHTLY,)), "approval_seconds is 1 here and 43200"),
        (
            policy_of(CAPS, UNITS, RolloutRules(demote_on=()), (NIGHTLY,)),
            "demote_on is nothing here and budget,",
        ),
    ],
)
def test_a_difference_is_named_with_both_values(other: Policy, sentence: str) -> None:
    refusal = policy_refusal(other, OURS, scheduled=False)
    assert refusal is not None
    assert refusal.sentence.startswith(sentence)
    assert refusal.sentence.endswith(" in the fleet; nightdesk store policy shows both")


def test_schedules_concern_launches_on_schedule_and_their_order_does_not_count() -> None:
    second = replace(a_task("second"), schedule="0 4 * * *")
    both = policy_of(CAPS, UNITS, ROLLOUT, (NIGHTLY, second))
    assert policy_of(CAPS, UNITS, ROLLOUT, (second, NIGHTLY)) == both
    assert policy_refusal(both, OURS, scheduled=False) is None
    refusal = policy_refusal(both, OURS, scheduled=True)
    assert refusal is not None
    assert refusal.sentence.startswith("schedules are 2 (")
    for edited in (
        replace(NIGHTLY, schedule="1 3 * * *"),
        replace(NIGHTLY, time_zone="Asia/Tokyo"),
        replace(NIGHTLY, window="slot"),
        replace(NIGHTLY, missed=MissedPolicy.ALL),
    ):
        assert policy_of(CAPS, UNITS, ROLLOUT, (edited,)).differences(OURS), edited
    assert not policy_of(CAPS, UNITS, ROLLOUT, (replace(NIGHTLY, agent="another"),)).differences(OURS)


def test_several_differences_are_counted_and_unknown_keys_are_none() -> None:
    other = policy_of(replace(CAPS, daily_runs=1, time_zone="UTC"), UNITS, ROLLOUT, (NIGHTLY,))
    refusal = policy_refusal(other, OURS, scheduled=True)
    assert refusal is not None
    assert ", and 1 more differ; nightdesk store" in refusal.sentence
    assert not OURS.differences(Policy(values={**OURS.values, "a_key_to_come": "1"}))
    assert not Policy(values={**OURS.values, "a_key_to_come": "1"}).differences(OURS)
