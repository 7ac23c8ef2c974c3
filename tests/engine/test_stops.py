"""A stop is stored once, its cancel is repeated, and the run ends only when the provider reports an end."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.domain.caps import is_over_budget
from console.domain.run import Outcome, State, StopReason
from console.domain.task import CutOff, Guardrails, Stage
from console.domain.usage import Usage
from console.engine.errors import OperationRefused
from console.engine.models import LaunchKind
from console.journal.launch_journal import LaunchJournal
from console.journal.runs_log import LogWriter
from console.provider.contract import NotFound, StreamEvent, Unavailable, Unknown
from tests.clock import ManualClock
from tests.engine.building import BY, QUICK, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.waiting import WITHIN_S, until


def spent(agent: FakeAgent) -> None:
    agent.usage = Usage(total=1_000)


async def test_the_time_limit_stops_an_agent_that_never_ends(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider, settings(a_task(max_ms=300))) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        assert run.outcome is Outcome.TIMEOUT
        assert provider.agents["v1_0001"].cancels >= 1
        assert run.stop is not None
        assert run.stop.reason is StopReason.TIMEOUT
        assert run.elapsed_ms >= 300
        assert here.statuses() == ["launched", "timeout"]


async def test_live_usage_stops_an_agent_over_its_budget(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider, settings(a_task(budget=2_000), poll_ms=3_600_000)) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        agent = provider.agents["v1_0001"]
        agent.events.put_nowait(StreamEvent(usage=Usage(total=19_980)))

        async def counted() -> bool:
            return (await here.run(run_id)).used == 1_998

        await until(counted)
        assert (await here.run(run_id)).state is State.RUNNING
        agent.usage = Usage(total=21_000)
        agent.events.put_nowait(StreamEvent(usage=Usage(total=20_001)))
        run = await here.engine.wait(run_id)
        assert (run.outcome, run.used) == (Outcome.BUDGET, 2_100), "usage above the budget is booked in full"


async def test_cut_off_before_stops_a_run_that_one_more_step_could_take_over_budget(tmp_path: Path) -> None:
    guardrails = Guardrails(max_ms=60_000, budget=2_000, cut_off=CutOff.BEFORE)
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider, settings(a_task(guardrails=guardrails), poll_ms=3_600_000)) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        provider.agents["v1_0001"].events.put_nowait(StreamEvent(usage=Usage(total=11_000)))
        run = await here.engine.wait(run_id)
        assert run.outcome is Outcome.BUDGET
        assert is_over_budget(used=run.used, largest_step=run.largest_step, budget=2_000, before=True)


async def test_an_operator_stops_a_run_at_once(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        await here.engine.operations.stop(run_id, by=BY)
        run = await here.engine.wait(run_id)
        assert (run.outcome, run.stop.by if run.stop else "") == (Outcome.CANCELLED, BY)


async def test_a_stop_during_the_launch_is_part_of_the_run_at_once(tmp_path: Path) -> None:
    """A caller never gets the run as it was before its request, whichever of launch and stop is stored first."""
    provider = FakeProvider()
    provider.hold_create.clear()
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await until(lambda: provider.orders)
        asked = await here.engine.operations.stop(run_id, by=BY)
        assert asked.stop is not None
        assert (asked.state, asked.stop.reason) == (State.SENDING, StopReason.OPERATOR)
        provider.hold_create.set()
        assert (await here.engine.wait(run_id)).outcome is Outcome.CANCELLED


async def test_the_first_reason_wins_and_a_stopped_run_is_not_stopped_again(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        provider.agents["v1_0001"].obeys = False
        await here.engine.operations.stop(run_id, by=BY)
        again = await here.engine.operations.stop(run_id, by="other", reason=StopReason.KILL_SWITCH)
        assert again.stop is not None
        assert (again.stop.reason, again.stop.by) == (StopReason.OPERATOR, BY)
        provider.agents["v1_0001"].status = "cancelled"
        ended = await here.engine.wait(run_id)
        assert (await here.engine.operations.stop(run_id, by="late")).outcome is ended.outcome


async def test_a_run_is_stopping_until_the_provider_reports_an_end(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        agent = provider.agents["v1_0001"]
        agent.obeys = False
        await here.engine.operations.stop(run_id, by=BY)
        await until(lambda: agent.cancels >= 4)
        run = await here.run(run_id)
        assert run.state is State.STOPPING
        assert run.stop is not None
        assert run.stop.tries >= 3
        assert run.stop.answer == "in_progress"
        assert "cancelled" not in here.statuses()
        agent.obeys = True
        assert (await here.engine.wait(run_id)).outcome is Outcome.CANCELLED


@pytest.mark.parametrize("error", [NotFound("404"), Unavailable("503")])
async def test_a_failed_cancel_is_repeated_and_a_404_does_not_end_the_run(
    tmp_path: Path, error: NotFound | Unavailable
) -> None:
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        agent = provider.agents["v1_0001"]
        agent.cancel_error = agent.get_error = error
        await here.engine.operations.stop(run_id, by=BY)
        await until(lambda: agent.cancels >= 3)
        run = await here.run(run_id)
        assert (run.state, run.trouble) == (State.STOPPING, str(error))
        agent.cancel_error = agent.get_error = None
        assert (await here.engine.wait(run_id)).outcome is Outcome.CANCELLED


async def test_a_run_that_finished_before_the_stop_keeps_its_outcome(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider, settings(poll_ms=3_600_000)) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        agent = provider.agents["v1_0001"]
        await until(lambda: agent.gets > 0)
        agent.status = "completed"
        await here.engine.operations.stop(run_id, by=BY)
        run = await here.engine.wait(run_id)
        assert run.outcome is Outcome.OK
        assert run.stop is not None


async def test_an_unproven_stop_deletes_the_sandbox_then_alarms_and_then_permits_a_write_off(tmp_path: Path) -> None:
    provider, clock = FakeProvider(spent), ManualClock()
    async with engine_harness(tmp_path, provider, clock=clock) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        provider.agents["v1_0001"].obeys = False
        await here.engine.operations.stop(run_id, by=BY)
        with pytest.raises(OperationRefused):
            await here.engine.operations.settle_write_off(run_id, by=BY, reason="too early")
        assert provider.deleted == []
        clock.advance(QUICK.sandbox_after_ms / 1000)
        await until(lambda: provider.deleted == ["box-1"])
        clock.advance(QUICK.alarm_after_ms / 1000)

        async def alarmed() -> bool:
            stop = (await here.run(run_id)).stop
            return stop is not None and stop.alarmed

        await until(alarmed)
        run = await here.run(run_id)
        assert (run.state, run.outcome) == (State.STOPPING, None)
        await here.engine.operations.settle_write_off(run_id, by=BY, reason="gone for good")
        run = await here.reaches(run_id, State.ENDED)
        assert (run.outcome, run.used) == (Outcome.WRITTEN_OFF, run.limits.budget)


async def test_a_clock_that_is_set_forward_deletes_no_sandbox_and_raises_no_alarm(tmp_path: Path) -> None:
    provider, clock = FakeProvider(spent), ManualClock()
    async with engine_harness(tmp_path, provider, clock=clock) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        agent = provider.agents["v1_0001"]
        agent.obeys = False
        await here.engine.operations.stop(run_id, by=BY)
        await until(lambda: agent.cancels >= 1)
        clock.step_wall(86_400)
        cancels = agent.cancels
        await until(lambda: agent.cancels >= cancels + 3)
        assert provider.deleted == []
        run = await here.run(run_id)
        assert run.stop is not None
        assert not run.stop.alarmed


async def test_an_agent_that_ends_with_its_deleted_sandbox_was_stopped_and_is_not_retried(tmp_path: Path) -> None:
    guardrails = Guardrails(max_ms=1_000, budget=50_000, max_attempts=3)
    provider, clock = FakeProvider(spent), ManualClock()
    async with engine_harness(tmp_path, provider, settings(a_task(guardrails=guardrails)), clock=clock) as here:
        for stage in (Stage.SEMI, Stage.UNATTENDED):
            await here.engine.rollout.move("report", stage, by=BY, reason="for this test", forced=True)
        run_id = (await here.launch(scheduled=True)).run.id
        await here.reaches(run_id, State.RUNNING)
        agent = provider.agents["v1_0001"]
        agent.obeys = False
        clock.advance(1)
        await here.reaches(run_id, State.STOPPING)
        clock.advance(QUICK.sandbox_after_ms / 1000)
        await until(lambda: provider.deleted == ["box-1"])
        agent.status = "failed"
        run = await here.engine.wait(run_id)
        assert (run.outcome, run.retry_at_ms) == (Outcome.TIMEOUT, None)
        assert "its sandbox was deleted" in run.note


async def test_a_stop_right_after_the_launch_is_sent_although_the_log_is_locked(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    provider.hold_create.clear()
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await until(lambda: provider.orders)
        with closing(LogWriter(tmp_path / "runs.log")) as other:
            # Not `locked`: the engine may be writing, and gives the lock back on the loop that `locked` would stop.
            async with other.locked_async(wait=WITHIN_S):
                provider.hold_create.set()
                await here.reaches(run_id, State.RUNNING)
                asked = await here.engine.operations.stop(run_id, by=BY)
                assert asked.state is State.STOPPING
                await until(lambda: provider.agents["v1_0001"].status == "cancelled", within=2)
        assert (await here.engine.wait(run_id)).outcome is Outcome.CANCELLED


@pytest.mark.parametrize("file", [LogWriter, LaunchJournal])
async def test_a_disk_that_does_not_answer_holds_up_no_cut_off(
    file: type[LogWriter] | type[LaunchJournal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, answers, given_up = FakeProvider(), threading.Event(), list[str]()
    append = file.append

    def frozen(*arguments: Any, **more: Any) -> None:
        if not answers.wait(10):
            given_up.append("nothing else went on meanwhile")
        append(*arguments, **more)

    use = settings(a_task("first", max_ms=1_500), a_task("second"))
    async with engine_harness(tmp_path, provider, use) as here:
        first = (await here.launch("first")).run
        await here.reaches(first.id, State.RUNNING)
        monkeypatch.setattr(file, "append", frozen)
        launching = asyncio.create_task(here.launch("second"))
        await until(lambda: provider.agents["v1_0001"].cancels >= 1)
        answers.set()
        assert (await here.engine.wait(first.id)).outcome is Outcome.TIMEOUT
        await here.reaches((await launching).run.id, State.RUNNING)
    assert not given_up
    assert sorted(here.statuses()) == ["launched", "launched", "timeout"]


async def test_a_deadline_reached_offline_is_stored_and_cancelled_when_online(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider, settings(a_task(max_ms=400))) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        provider.offline = True
        run = await here.reaches(run_id, State.STOPPING)
        assert run.stop is not None
        assert run.stop.reason is StopReason.TIMEOUT
        provider.offline = False
        assert (await here.engine.wait(run_id)).outcome is Outcome.TIMEOUT


async def test_a_lost_launch_reply_blocks_the_key_and_keeps_the_hold(tmp_path: Path) -> None:
    provider = FakeProvider()
    provider.verdicts.append(Unknown(why="the connection broke"))
    async with engine_harness(tmp_path, provider) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        assert (run.state, here.statuses()) == (State.UNCONFIRMED, ["unconfirmed"])
        assert (await here.launch()).kind is LaunchKind.REFUSED
        assert len(provider.orders) == 1
        held = {s.cap.value: s.held for s in (await here.engine.queries.snapshot()).cap_usages}
        assert held["daily_units"] == 50_000


@pytest.mark.parametrize("how", ["deadline", "operator"])
async def test_an_unconfirmed_run_loses_its_sandbox_but_keeps_key_and_hold(tmp_path: Path, how: str) -> None:
    provider = FakeProvider()
    provider.verdicts.append(Unknown(why="silence"))
    task = a_task(max_ms=300 if how == "deadline" else 60_000)
    async with engine_harness(tmp_path, provider, settings(task)) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        if how == "operator":
            await here.engine.operations.stop(run.id, by=BY)
        await until(lambda: provider.deleted == ["box-1"])

        async def recorded() -> bool:
            return (await here.run(run.id)).sandbox_deleted_ms is not None

        await until(recorded)
        assert (await here.run(run.id)).state is State.UNCONFIRMED
        assert (await here.launch()).kind is LaunchKind.REFUSED


async def test_an_unconfirmed_run_is_adopted_only_by_its_label(tmp_path: Path) -> None:
    provider = FakeProvider()
    provider.verdicts.append(Unknown(why="silence"))
    async with engine_harness(tmp_path, provider) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        other = provider.start_agent(replace(provider.orders[0], labels={"nightdesk-run": "another"}))
        mine = provider.start_agent(provider.orders[0])
        for remote_id, message in ((other.remote_id, "another launch"), ("v1_none", "does not show")):
            with pytest.raises(OperationRefused, match=message):
                await here.engine.operations.settle_adopt(run.id, remote_id, by=BY, reason="seen in the console")
        await here.engine.operations.settle_adopt(run.id, mine.remote_id, by=BY, reason="seen in the console")
        mine.status, mine.usage = "completed", Usage(total=10)
        run = await here.reaches(run.id, State.ENDED)
        assert (run.outcome, run.remote_id) == (Outcome.OK, mine.remote_id)


async def test_settling_as_not_launched_deletes_the_sandbox_first_and_releases_the_key(tmp_path: Path) -> None:
    provider = FakeProvider(lambda agent: setattr(agent, "status", "completed"))
    provider.verdicts.append(Unknown(why="silence"))
    async with engine_harness(tmp_path, provider) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        provider.delete_error = Unavailable("503")
        with pytest.raises(OperationRefused, match="could not be deleted"):
            await here.engine.operations.settle_not_launched(run.id, by=BY, reason="nothing in the provider's log")
        assert (await here.run(run.id)).state is State.UNCONFIRMED
        provider.delete_error = None
        await here.engine.operations.settle_not_launched(run.id, by=BY, reason="nothing in the provider's log")
        assert provider.deleted == ["box-1"]
        assert (await here.run(run.id)).outcome is Outcome.NOT_SENT
        assert (await here.launch()).kind is LaunchKind.LAUNCHED


async def test_the_kill_switch_stops_all_runs_and_refuses_launches(tmp_path: Path) -> None:
    provider = FakeProvider(spent)
    tasks = (a_task("a"), a_task("b"))
    async with engine_harness(tmp_path, provider, settings(*tasks)) as here:
        runs = [(await here.launch(name)).run.id for name in ("a", "b")]
        for run_id in runs:
            await here.reaches(run_id, State.RUNNING)
        await here.engine.operations.pause(by=BY, cancel=True)
        outcomes = [(await here.engine.wait(run_id)).outcome for run_id in runs]
        assert outcomes == [Outcome.CANCELLED, Outcome.CANCELLED]
        refused = await here.launch("a", rerun=True, reason="now")
        assert refused.kind is LaunchKind.REFUSED
        await here.engine.operations.resume(by=BY)
        assert (await here.launch("a", rerun=True, reason="now")).kind is LaunchKind.LAUNCHED


async def test_a_stall_is_logged_before_the_timeout(tmp_path: Path) -> None:
    guardrails = Guardrails(max_ms=60_000, budget=50_000, stall_ms=200)
    async with engine_harness(tmp_path, FakeProvider(spent), settings(a_task(guardrails=guardrails))) as here:
        run_id = (await here.launch()).run.id
        await until(lambda: "note" in here.statuses())
        assert (await here.run(run_id)).stalled
        assert here.log()[-1].fields["event"] == "stall"


def test_the_short_timings_keep_the_order_of_the_real_ones() -> None:
    assert QUICK.sandbox_after_ms < QUICK.alarm_after_ms


async def test_a_stop_ends_the_wait_after_an_error(tmp_path: Path) -> None:
    """Supervision keeps raising, so its next try is up to half a minute away; the stop does not wait for it."""
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        supervised = here.engine._supervisor._runs[run_id].supervisor
        await until(lambda: supervised._monitor is not None)
        monitor = supervised._monitor
        assert monitor is not None
        failing = True

        def raises() -> None:
            if failing:
                raise ValueError("nobody expected this")

        monitor._raise_failed = raises  # type: ignore[method-assign]  # an error in the middle of supervision
        await until(lambda: any("nobody expected" in problem.text for problem in here.engine.problems.entries()))
        failing = False
        await here.engine.operations.stop(run_id, by=BY)
        assert (await here.engine.wait(run_id)).outcome is Outcome.CANCELLED
