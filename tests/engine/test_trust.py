"""Random lives of one task on the real store: trust rises one rung on evidence or a reason, and falls with a run."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as examples_of
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from console.domain.launch import LaunchKind
from console.domain.rollout import RolloutRules
from console.domain.run import Outcome, Run
from console.domain.task import Origin, Stage
from console.engine.errors import OperationRefused
from console.engine.rollout import Rollout
from console.journal.runs_log import LogWriter
from console.store.store import Store
from tests.clock import ManualClock
from tests.engine.building import a_task, engine_context, settings
from tests.engine.fake_provider import FakeProvider
from tests.store.harness import BY, StoreHarness

T = TypeVar("T")
RULES = RolloutRules()
ENDINGS = (Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.TIMEOUT, Outcome.BUDGET, Outcome.CANCELLED)
TASK = a_task()


class Trust(RuleBasedStateMachine):
    """Runs, approvals, steps and doubts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="trust-"))
        self.clock = ManualClock()
        self.store = self.do(Store.open(self.folder / "state", now=self.clock.now()))
        self.log = LogWriter(self.folder / "state" / "runs.log")
        context = engine_context(
            self.store,
            self.folder / "state",
            clock=self.clock,
            provider=FakeProvider(),
            use=settings(TASK),
            owner="owner-1",
        )
        self.rollout = Rollout(context)
        self.stage = Stage.MANUAL
        self.clean = {Origin.MANUAL: 0, Origin.SCHEDULE: 0}
        """Since the last step or doubt: by hand, and approved."""
        self.doubts: list[Run] = []
        self.number = 0

    def teardown(self) -> None:
        self.log.close()
        self.do(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def moved(self, to: Stage) -> None:
        self.stage = to
        self.clean = dict.fromkeys(self.clean, 0)

    def lost(self, what: str) -> None:
        if what in RULES.demote_on and self.stage is not Stage.MANUAL:
            self.moved(Stage(self.stage - 1))

    async def sending(self, origin: Origin) -> Run | None:
        """A launch on its way, through a proposal where the stage asks for one; None where it is refused."""
        self.clock.advance(5)
        self.number += 1
        harness = StoreHarness(self.store, self.clock, task=TASK)
        answer = await harness.claim(
            date=f"2026-{self.number // 28 + 1:02d}-{self.number % 28 + 1:02d}", scheduled=origin is Origin.SCHEDULE
        )
        assert answer.kind is self.expected(origin)
        if answer.kind is LaunchKind.REFUSED:
            return None
        run = answer.run
        if answer.kind is LaunchKind.PROPOSED:
            approved = await self.store.claims.approve(
                run.id, by=BY, owner="owner-1", task=TASK, caps=harness.caps, expires_ms=10**15, now=harness.now
            )
            run = approved.run
        return await self.store.runs.mark_sending(run, harness.now)

    def expected(self, origin: Origin) -> LaunchKind:
        counts_as = max(Stage.MANUAL, self.stage - 1) if self.doubts else self.stage
        if origin is Origin.MANUAL or counts_as is Stage.UNATTENDED:
            return LaunchKind.LAUNCHED
        return LaunchKind.PROPOSED if counts_as == Stage.SEMI else LaunchKind.REFUSED

    @rule(origin=st.sampled_from(Origin), outcome=st.sampled_from(ENDINGS))
    def run_ends(self, origin: Origin, outcome: Outcome) -> None:
        was_proposed = self.expected(origin) is LaunchKind.PROPOSED
        run = self.do(self.sending(origin))
        if run is None:
            return
        harness = StoreHarness(self.store, self.clock, task=TASK)
        self.do(harness.settle(self.do(harness.launch(run)), outcome))
        if outcome is Outcome.OK and (origin is Origin.MANUAL or was_proposed):
            self.clean[origin] += 1
        self.lost(outcome.value)

    @precondition(lambda self: not self.doubts)
    @rule(origin=st.sampled_from(Origin))
    def reply_is_lost(self, origin: Origin) -> None:
        run = self.do(self.sending(origin))
        if run is not None:
            self.doubts.append(self.do(self.store.runs.record_unconfirmed(run, why="silence", now=self.clock.now())))
            self.lost("unconfirmed")
            self.clean = dict.fromkeys(self.clean, 0)

    @precondition(lambda self: self.doubts)
    @rule()
    def somebody_rules(self) -> None:
        run = self.doubts.pop()
        self.do(self.store.runs.rule_not_launched(run, by=BY, reason="looked", now=self.clock.now()))

    @rule(to=st.sampled_from(Stage), forced=st.booleans(), reason=st.sampled_from(["", "  ", "because"]))
    def somebody_steps(self, to: Stage, forced: bool, reason: str) -> None:
        self.clock.advance(5)
        needed = {
            Stage.MANUAL: self.clean[Origin.MANUAL] >= RULES.manual_clean_runs,
            Stage.SEMI: self.clean[Origin.SCHEDULE] >= RULES.semi_clean_runs,
            Stage.UNATTENDED: False,
        }
        earned = needed[self.stage] and not self.doubts
        given = bool(reason.strip())
        allowed = (to - self.stage == 1 and (earned or (forced and given))) or (to - self.stage == -1 and given)
        if allowed:
            assert self.do(self.rollout.move(TASK.name, to, by=BY, reason=reason, forced=forced)).stage is to
            self.moved(to)
        else:
            with pytest.raises(OperationRefused):
                self.do(self.rollout.move(TASK.name, to, by=BY, reason=reason, forced=forced))

    @invariant()
    def the_rung_is_as_told(self) -> None:
        rung = self.do(self.rollout.task(TASK.name))
        assert (rung.stage, rung.evidence.manual_ok, rung.evidence.approved_ok, rung.evidence.unconfirmed) == (
            self.stage,
            self.clean[Origin.MANUAL],
            self.clean[Origin.SCHEDULE],
            len(self.doubts),
        )

    @invariant()
    def no_two_rungs_and_no_rise_without_a_ground(self) -> None:
        at = Stage.MANUAL
        for change in self.do(self.store.stages.changes(TASK.name)):
            assert change.before is at
            assert abs(change.after - change.before) == 1
            at = change.after
            if change.after > change.before:
                evidence = change.evidence if isinstance(change.evidence, dict) else json.loads(str(change.evidence))
                assert change.by == BY, "nobody rises by itself"
                assert change.forced or evidence["missing"] == []
                assert change.reason.strip()
            elif change.run_id is not None:
                run = self.do(self.store.runs.get(change.run_id))
                assert run is not None
                assert change.by == "nightdesk"
                assert change.reason.startswith(f"run {run.id} of key {run.key}: ")
                assert change.reason.rpartition(": ")[2] in RULES.demote_on
            else:
                assert (change.by, bool(change.reason.strip())) == (BY, True)


def _lives(examples: int, steps: int) -> None:
    checks = examples_of(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(Trust, settings=checks)


def test_trust_is_earned_and_lost_through_any_life() -> None:
    _lives(examples=15, steps=30)


@pytest.mark.soak
def test_trust_is_earned_and_lost_through_very_many_lives() -> None:
    _lives(examples=500, steps=50)
