"""Each bug planted in the model is refuted by a shortest counter-example."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.model.search import Walk, Walked
from tests.model.world import Bounds, Mutations
from tests.reporting import report

DEEP = Bounds(attempts=1, deaths=2)
AGAIN = Bounds(processes=2, tries=1, deaths=1)
PROMPTS = Bounds(processes=2, tries=1, deaths=0, retries=True, prompts=("a", "b"), operator=False)
ROOM = Bounds(keys=2, processes=2, attempts=1, deaths=0, cap=1)
HOSTS = replace(AGAIN, lost_locks=False, hosts=True)

BUGS = {
    "the POST leaves before its record": (DEEP, Mutations(intent_after_post=True), "I2"),
    "a missing answer is tried again": (DEEP, Mutations(resend_after_unknown=True), "I1"),
    "a missing answer is taken for a refusal": (DEEP, Mutations(lost_reply_is_rejected=True), "I3"),
    "a missing answer gives the hold back": (DEEP, Mutations(release_on_unknown=True), "I7"),
    "writes compare no fence": (DEEP, Mutations(no_fence=True), "I9"),
    "a run is taken from a living owner": (DEEP, Mutations(rob_the_living=True), "2.2"),
    "recovery sends what was being sent": (DEEP, Mutations(recovery_resends=True), "I14"),
    "a 200 on a cancel is taken for an end": (DEEP, Mutations(settle_on_cancel=True), "I10"),
    "ruled not launched, the sandbox left": (AGAIN, Mutations(rule_without_sandbox=True), "K17"),
    "a key is free again after its end": (AGAIN, Mutations(key_expires=True), "I8"),
    "another prompt is taken for the same": (PROMPTS, Mutations(any_prompt=True), "I13"),
    "what a session does not show yet is taken for not launched": (
        replace(AGAIN, can_find=True),
        Mutations(absent_is_not_launched=True),
        "I3",
    ),
    "who has a lease compares no fence": (
        replace(HOSTS, attempts=1, tries=1),
        Mutations(lease_for_fence=True),
        "I9",
    ),
    "a host adopts the id of another run": (HOSTS, Mutations(adopts_foreign_id=True), "I4"),
    "who takes a run over sends it again": (replace(HOSTS, tries=2), Mutations(recovery_resends=True), "I14"),
    "a commit in doubt is taken for stored": (HOSTS, Mutations(doubt_is_stored=True), "I2"),
    "the hold is taken after the cap is checked": (ROOM, Mutations(judge_then_take=True), "I6"),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_refuted(name: str) -> None:
    bounds, mutations, property_name = BUGS[name]
    found = refuted(name, bounds, mutations)
    assert found.broken is not None
    assert found.broken.startswith(property_name)


def test_without_a_sandbox_of_its_own_a_ruling_may_overlap_with_a_late_launch() -> None:
    """The known limit: only a sandbox that can be deleted makes the settlement safe."""
    found = refuted("no sandbox of its own", replace(AGAIN, own_sandbox=False), Mutations())
    assert found.broken == "I1: two agents of key 0 work at once"
    assert any("rule_not_launched" in line for line in found.trace)


def refuted(name: str, bounds: Bounds, mutations: Mutations) -> Walked:
    """The exploration up to the counter-example, which is printed."""
    found = Walk(bounds, mutations).run()
    report(f"{name}: {found.broken}", *(f"  {line}" for line in found.trace))
    assert found.broken is not None, "the bug was not found"
    return found
