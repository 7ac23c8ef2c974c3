"""A process that hands over sends nothing after it releases its lock, and never under the fence of its successor."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.domain.caps import Cap
from console.domain.run import Outcome, State
from console.domain.usage import Usage
from console.engine import concerns
from console.engine.errors import OwnershipLost
from console.engine.run.launch import Launcher
from console.engine.run.supervisor import RunSupervisor
from console.journal.runs_log import LogWriter
from console.provider.contract import LaunchOrder, NotSent, RateLimited, Verdict
from tests.clock import ManualClock
from tests.engine.building import BY, QUICK, a_task, engine_context, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.store.harness import open_harness
from tests.waiting import until

NEXT_OWNER = "b" * 32
SHORT_HANDOVER = replace(QUICK, handover_s=0.05)


def done(agent: FakeAgent) -> None:
    agent.status, agent.usage = "completed", Usage(total=1_000)


async def test_a_launch_without_a_reply_at_hand_over_is_cancelled_and_becomes_unconfirmed(tmp_path: Path) -> None:
    provider = FakeProvider(done)
    provider.hold_create.clear()
    async with engine_harness(tmp_path, provider, timings=SHORT_HANDOVER) as first:
        run_id = (await first.launch()).run.id
        await until(lambda: provider.orders)
        assert await first.engine.hand_over() == 1
        provider.hold_create.set()
        await asyncio.sleep(0)
        assert not provider.agents, "the POST is cancelled before the lock is released"
        assert (await first.run(run_id)).state is State.SENDING
    async with engine_harness(tmp_path, provider) as second:
        await second.reaches(run_id, State.UNCONFIRMED)
    assert len(provider.orders) == 1


async def test_a_run_that_is_prepared_while_others_are_waited_for_is_not_sent_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, asked, wait_sent = FakeProvider(done), set[str](), RunSupervisor.wait_sent

    async def noted(run: RunSupervisor, seconds: float) -> None:
        asked.add(run.run_id)
        await wait_sent(run, seconds)

    monkeypatch.setattr(RunSupervisor, "wait_sent", noted)
    provider.hold_create.clear()
    use = settings(a_task("sent"), a_task("prepared"))
    async with engine_harness(tmp_path, provider, use=use) as first:
        sent = (await first.launch("sent")).run.id
        await until(lambda: provider.orders)
        provider.hold_prepare.clear()
        prepared = (await first.launch("prepared")).run.id
        await until(lambda: len(provider.sandboxes) == 2)
        leaving = asyncio.create_task(first.engine.hand_over())
        await until(lambda: asked == {sent, prepared})

        provider.hold_prepare.set()

        async def is_prepared() -> bool:
            return (await first.run(prepared)).sandbox_id is not None

        await until(is_prepared)
        provider.hold_create.set()
        await leaving

        assert len(provider.orders) == 1
        assert (await first.run(prepared)).state is State.CLAIMED
        async with engine_harness(tmp_path, provider, use=use) as second:
            for run_id in (sent, prepared):
                assert (await second.engine.wait(run_id)).outcome is Outcome.OK
    assert len(provider.orders) == 2


async def test_a_launch_that_waits_for_a_retry_is_continued_by_the_successor(tmp_path: Path) -> None:
    provider = FakeProvider(done)
    provider.verdicts.append(RateLimited(why="429", retry_after_s=30.0))
    async with engine_harness(tmp_path, provider, timings=SHORT_HANDOVER) as first:
        run_id = (await first.launch()).run.id
        await until(lambda: provider.orders)
        await first.reaches(run_id, State.CLAIMED)
        await first.engine.hand_over()
        async with engine_harness(tmp_path, provider) as second:
            assert (await second.engine.wait(run_id)).outcome is Outcome.OK
    assert len(provider.orders) == 2


async def test_a_launcher_that_lost_ownership_while_it_waited_does_not_send(tmp_path: Path) -> None:
    """The lock file was removed: the successor has the next fence, and only the successor may send."""
    harness = await open_harness(tmp_path / "state", ManualClock())
    provider = FakeProvider(done)
    provider.verdicts.append(NotSent(why="refused"))
    run = await harness.claimed(harness.task)
    context = engine_context(
        harness.store,
        tmp_path,
        clock=harness.clock,
        provider=provider,
        use=settings(harness.task),
        owner=run.owner or "",
        timings=replace(QUICK, not_sent_waits_s=(1.0, 1.0)),
    )
    launching = asyncio.create_task(Launcher(context, run).launch())
    await until(lambda: provider.orders)

    async def taken_over() -> bool:
        row = await harness.run(run)
        return (
            row.state is State.CLAIMED
            and await harness.store.runs.take_over(row, owner=NEXT_OWNER, now=harness.clock.now()) is not None
        )

    await until(taken_over, within=5)
    with pytest.raises(OwnershipLost):
        await launching
    assert len(provider.orders) == 1
    await harness.store.close()


async def test_a_process_whose_lock_file_was_removed_launches_nothing(tmp_path: Path) -> None:
    """Other processes consider it dead and may settle its run, so it ends the run as not sent."""
    provider = FakeProvider(done)
    async with engine_harness(tmp_path, provider) as here:
        (lock,) = (tmp_path / "owners").iterdir()
        lock.unlink()
        answer = await here.launch()
        assert (await here.engine.wait(answer.run.id)).outcome is Outcome.NOT_SENT
        assert not provider.orders


async def test_a_claim_that_is_not_sent_yet_is_left_to_the_successor(tmp_path: Path) -> None:
    provider = FakeProvider(done)
    async with engine_harness(tmp_path, provider) as first:
        run_id = (await first.launch()).run.id
        await first.engine.hand_over()
        if not provider.orders:
            assert (await first.run(run_id)).state is State.CLAIMED
        async with engine_harness(tmp_path, provider) as second:
            assert (await second.engine.wait(run_id)).outcome is Outcome.OK
    assert len(provider.orders) == 1


async def test_a_log_that_does_not_answer_delays_no_hand_over_and_has_each_line_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, begun, answers, given_up = FakeProvider(), threading.Event(), threading.Event(), list[str]()
    append = LogWriter.append

    def frozen(*arguments: Any, **more: Any) -> None:
        begun.set()
        if not answers.wait(10):
            given_up.append("the hand-over waited for the log")
        append(*arguments, **more)

    async with engine_harness(tmp_path, provider, timings=SHORT_HANDOVER) as here:
        monkeypatch.setattr(LogWriter, "append", frozen)
        raising = asyncio.create_task(
            here.engine.operations.raise_cap(Cap.DAILY_RUNS, 1, task=None, by=BY, reason="one more")
        )
        await until(begun.is_set)
        raising.cancel()
        await here.engine.hand_over()
        assert raising.cancelled()
        assert not here.log()
        answers.set()

        await until(here.log)
        assert not given_up
        assert [record.fields.get("event") for record in here.log()] == ["raise"]


class StubbornProvider(FakeProvider):
    """Takes a first cancellation of a launch for an error that it handles, and goes on."""

    async def create(self, order: LaunchOrder) -> Verdict:
        self.orders.append(order)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        raise AssertionError("nothing sets it")


async def test_a_launch_that_survives_a_cancellation_does_not_hold_up_the_hand_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concerns, "CANCEL_AGAIN_S", 0.01)
    provider = StubbornProvider()
    async with asyncio.timeout(30):
        async with engine_harness(tmp_path, provider, timings=SHORT_HANDOVER) as here:
            run_id = (await here.launch()).run.id
            await until(lambda: provider.orders)
            await here.reaches(run_id, State.SENDING)
