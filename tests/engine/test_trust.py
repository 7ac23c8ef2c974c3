"""Random histories of one task on a real store: its stage and evidence match a model, and each change has a cause."""

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


class RolloutMachine(RuleBasedStateMachine):
    """Runs, approvals, stage changes and unconfirmed runs in any order, with a model of the expected stage."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="rollout-"))
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
        """Successful manual and approved runs since the last stage change or unconfirmed run."""
        self.unconfirmed: list[Run] = []
        self.number = 0

    def teardown(self) -> None:
        self.log.close()
        self.do(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def set_stage(self, to: Stage) -> None:
        self.stage = to
        self.clean = dict.fromkeys(self.clean, 0)

    def demote_on(self, cause: str) -> None:
        if cause in RULES.demote_on and self.stage is not Stage.MANUAL:
            self.set_stage(Stage(self.stage - 1))

    async def sending(self, origin: Origin) -> Run | None:
        """Claim a run, approve it if the stage requires that, and mark it as sending; None if the claim is refused."""
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
        effective = max(Stage.MANUAL, self.stage - 1) if self.unconfirmed else self.stage
        if origin is Origin.MANUAL or effective is Stage.UNATTENDED:
            return LaunchKind.LAUNCHED
        return LaunchKind.PROPOSED if effective == Stage.SEMI else LaunchKind.REFUSED

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
        self.demote_on(outcome.value)

    @precondition(lambda self: not self.unconfirmed)
    @rule(origin=st.sampled_from(Origin))
    def reply_is_lost(self, origin: Origin) -> None:
        run = self.do(self.sending(origin))
        if run is not None:
            self.unconfirmed.append(
                self.do(self.store.runs.record_unconfirmed(run, why="silence", now=self.clock.now()))
            )
            self.demote_on("unconfirmed")
            self.clean = dict.fromkeys(self.clean, 0)

    @precondition(lambda self: self.unconfirmed)
    @rule()
    def unconfirmed_run_is_settled(self) -> None:
        run = self.unconfirmed.pop()
        self.do(self.store.runs.rule_not_launched(run, by=BY, reason="looked", now=self.clock.now()))

    @rule(to=st.sampled_from(Stage), forced=st.booleans(), reason=st.sampled_from(["", "  ", "because"]))
    def stage_is_changed(self, to: Stage, forced: bool, reason: str) -> None:
        self.clock.advance(5)
        needed = {
            Stage.MANUAL: self.clean[Origin.MANUAL] >= RULES.manual_clean_runs,
            Stage.SEMI: self.clean[Origin.SCHEDULE] >= RULES.semi_clean_runs,
            Stage.UNATTENDED: False,
        }
        earned = needed[self.stage] and not self.unconfirmed
        has_reason = bool(reason.strip())
        allowed = (to - self.stage == 1 and (earned or (forced and has_reason))) or (
            to - self.stage == -1 and has_reason
        )
        if allowed:
            assert self.do(self.rollout.move(TASK.name, to, by=BY, reason=reason, forced=forced)).stage is to
            self.set_stage(to)
        else:
            with pytest.raises(OperationRefused):
                self.do(self.rollout.move(TASK.name, to, by=BY, reason=reason, forced=forced))

    @invariant()
    def the_rollout_matches_the_model(self) -> None:
        rollout = self.do(self.rollout.task(TASK.name))
        assert (
            rollout.stage,
            rollout.evidence.manual_ok,
            rollout.evidence.approved_ok,
            rollout.evidence.unconfirmed,
        ) == (
            self.stage,
            self.clean[Origin.MANUAL],
            self.clean[Origin.SCHEDULE],
            len(self.unconfirmed),
        )

    @invariant()
    def each_change_is_one_stage_and_has_a_cause(self) -> None:
        stage = Stage.MANUAL
        for change in self.do(self.store.stages.changes(TASK.name)):
            assert change.before is stage
            assert abs(change.after - change.before) == 1
            stage = change.after
            if change.after > change.before:
                evidence = change.evidence if isinstance(change.evidence, dict) else json.loads(str(change.evidence))
                assert change.by == BY, "only an operator promotes a task"
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


def _run_machine(examples: int, steps: int) -> None:
    checks = examples_of(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(RolloutMachine, settings=checks)


def test_the_rollout_matches_its_model() -> None:
    _run_machine(examples=15, steps=30)


@pytest.mark.soak
def test_the_rollout_matches_its_model_in_many_histories() -> None:
    _run_machine(examples=500, steps=50)
