"""A writer that lost ownership detects it at its next write, and never writes under the fence of its successor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.run import Run, State, StopReason
from console.engine.errors import OwnershipLost, StoreBusy
from console.engine.run.cancel import Canceller
from console.engine.run.writer import RunWriter, StoreChange, UnstoredChange
from console.provider.contract import LaunchOrder
from tests.clock import ManualClock
from tests.engine.building import QUICK, engine_context, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.store.harness import StoreHarness, open_harness
from tests.sync_database import memory_connection, sync_store
from tests.waiting import until

NEXT_OWNER = "b" * 32


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[StoreHarness]:
    harness = await open_harness(tmp_path / "state", ManualClock())
    yield harness
    await harness.store.close()


def writer_of(
    harness: StoreHarness, run: Run, folder: Path, *unstored: UnstoredChange, provider: FakeProvider | None = None
) -> RunWriter:
    context = engine_context(
        harness.store,
        folder,
        clock=harness.clock,
        provider=provider or FakeProvider(),
        use=settings(harness.task),
        owner=run.owner or "",
        timings=replace(QUICK, intent_wait_s=5.0),
    )
    return RunWriter(context, run, unstored)


def unstored(store: StoreChange, **changes: object) -> UnstoredChange:
    """Return a change that is not stored yet and sets the fields of the run to `changes`."""
    return UnstoredChange(store=store, is_stored=lambda row: False, project=lambda run: replace(run, **changes))  # type: ignore[arg-type]  # any field of a run


async def take_over(harness: StoreHarness, run: Run) -> None:
    assert await harness.store.runs.take_over(run, owner=NEXT_OWNER, now=harness.now) is not None


async def test_a_stop_that_is_stored_after_a_take_over_does_not_update_the_run_of_the_writer(
    harness: StoreHarness, tmp_path: Path
) -> None:
    """Any process can call `request_stop`, which returns the current row, here with the fence of the successor."""
    run = await harness.running()
    writer = writer_of(harness, run, tmp_path)
    await take_over(harness, run)
    writer.request_stop(StopReason.TIMEOUT, by="nightdesk")
    await writer.wait_stored(5)
    with pytest.raises(OwnershipLost):
        writer.keep_flushing()
    assert writer.run.fence == run.fence


async def test_a_cancel_attempt_after_a_take_over_does_not_update_the_run_of_the_writer(
    harness: StoreHarness, tmp_path: Path
) -> None:
    run = await harness.stopping()
    writer = writer_of(harness, run, tmp_path)
    await take_over(harness, run)
    with pytest.raises(OwnershipLost):
        await writer.write(lambda r: harness.store.runs.record_stop_try(r, answer="200", trouble="", now=harness.now))
    assert writer.run.fence == run.fence


async def test_a_pending_change_is_not_stored_after_a_take_over(harness: StoreHarness, tmp_path: Path) -> None:
    run = await harness.running()

    async def stop(row: Run) -> Run:
        return await harness.store.runs.request_stop(row.id, reason=StopReason.TIMEOUT, by="nightdesk", now=harness.now)

    writer = writer_of(harness, run, tmp_path, unstored(stop, state=State.STOPPING))
    await take_over(harness, run)
    with pytest.raises(OwnershipLost):
        await writer.write(lambda r: harness.store.runs.record_alarm(r, harness.now))
    assert (await harness.run(run)).state is State.RUNNING


async def test_pending_changes_are_stored_once_although_a_later_write_fails(tmp_path: Path) -> None:
    """The launch is stored first, then the stop; the store accepts one write and then fails."""
    succeeds = [True, True]
    connection = memory_connection()

    async def between(what: str) -> None:
        if what.startswith("before write") and not (succeeds.pop(0) if succeeds else True):
            raise StoreBusy("the state store is busy")

    harness = StoreHarness(sync_store(tmp_path, connection, between), ManualClock())
    run = await harness.sending()

    async def launch(row: Run) -> Run:
        return await harness.launch(row)

    writer = writer_of(harness, run, tmp_path, unstored(launch, state=State.RUNNING))
    succeeds += [False]
    writer.request_stop(StopReason.TIMEOUT, by="nightdesk")
    await writer.wait_stored(5)
    assert writer.run.state is State.STOPPING, "the run is stopping although the stop is not stored yet"
    succeeds += [True, False]
    assert not await writer.write(lambda row: harness.store.runs.record_alarm(row, harness.now))
    assert (await harness.run(run)).state is State.RUNNING
    assert await writer.write(lambda row: harness.store.runs.record_alarm(row, harness.now))
    assert (await harness.run(run)).state is State.STOPPING
    connection.close()


async def test_a_store_that_works_again_ends_the_problem_that_the_writer_reported(
    harness: StoreHarness, tmp_path: Path
) -> None:
    run = await harness.stopping()
    writer = writer_of(harness, run, tmp_path)
    problems = writer._context.problems
    problems.report("store", "the log of another part is behind", source="another part")
    busy = True

    async def change(row: Run) -> Run:
        if busy:
            raise StoreBusy("the state store is busy")
        return await harness.store.runs.record_stop_try(row, answer="200", trouble="", now=harness.now)

    assert not await writer.write(change)
    assert [problem.text for problem in problems.entries()] == ["the state store is busy"]
    busy = False
    assert await writer.write(change)
    assert [problem.text for problem in problems.entries()] == ["the log of another part is behind"]
    problems.clear("store", "another part")
    assert not problems.entries()


@pytest.mark.parametrize("took_s", [0.0, 7200.0])
async def test_the_first_cancel_does_not_wait_for_its_record_where_the_last_stop_was_stored_slowly(
    tmp_path: Path, took_s: float
) -> None:
    free, connection, provider = asyncio.Event(), memory_connection(), FakeProvider()
    free.set()

    async def between(what: str) -> None:
        if what.startswith("before write"):
            await free.wait()

    harness = StoreHarness(sync_store(tmp_path, connection, between), ManualClock())
    writer = writer_of(harness, await harness.running(), tmp_path, provider=provider)
    order = LaunchOrder(
        agent="", model="", prompt="", environment="", prepared_id=None, server_limit=None, max_ms=1, labels={}
    )
    agent = FakeAgent(remote_id=writer.run.remote_id or "", order=order)
    provider.agents[agent.remote_id] = agent
    context = writer._context
    context.timings, context.stop_took_s = replace(context.timings, cancel_wait_s=3600.0), took_s
    free.clear()
    writer.request_stop(StopReason.OPERATOR, by="me")
    cancelling = asyncio.create_task(Canceller(context, writer).keep_cancelling(asyncio.Event()))
    if took_s == 0.0:
        await until(lambda: writer._flushing is not None)
        for _ in range(20):
            await asyncio.sleep(0)
        assert agent.cancels == 0, "a quick store has the record before the cancel is sent"
        free.set()
    await until(lambda: agent.cancels >= 1)
    free.set()
    await until(lambda: not writer.is_behind)
    assert context.stop_took_s < 3600, "it was measured again"
    cancelling.cancel()
    await context.background.stop()
    connection.close()
