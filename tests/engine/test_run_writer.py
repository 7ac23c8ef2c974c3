"""A guard that was robbed learns it from whichever write comes first, and never writes under its successor's fence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.run import Run, State, StopReason
from console.engine.errors import OwnershipLost, StoreBusy
from console.engine.run.writer import RunWriter, StoreChange, UnstoredChange
from tests.clock import ManualClock
from tests.engine.building import QUICK, engine_context, settings
from tests.engine.fake_provider import FakeProvider
from tests.store.harness import StoreHarness, open_harness
from tests.sync_database import memory_connection, sync_store

NEXT_OWNER = "b" * 32


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[StoreHarness]:
    harness = await open_harness(tmp_path / "state", ManualClock())
    yield harness
    await harness.store.close()


def writer_of(harness: StoreHarness, run: Run, folder: Path, *unstored: UnstoredChange) -> RunWriter:
    context = engine_context(
        harness.store,
        folder,
        clock=harness.clock,
        provider=FakeProvider(),
        use=settings(harness.task),
        owner=run.owner or "",
        timings=replace(QUICK, intent_wait_s=5.0),
    )
    return RunWriter(context, run, unstored)


def unstored(store: StoreChange, **changes: object) -> UnstoredChange:
    """Something that happened and makes of the run what `changes` say."""
    return UnstoredChange(store=store, is_stored=lambda row: False, project=lambda run: replace(run, **changes))  # type: ignore[arg-type]  # any field of a run


async def robbed(harness: StoreHarness, run: Run) -> None:
    assert await harness.store.runs.take_over(run, owner=NEXT_OWNER, now=harness.now) is not None


async def test_a_stop_that_is_stored_for_a_successor_is_no_row_of_ours(harness: StoreHarness, tmp_path: Path) -> None:
    """`request_stop` is open to any process and gives back the row as it is: with the fence of another."""
    run = await harness.running()
    writer = writer_of(harness, run, tmp_path)
    await robbed(harness, run)
    writer.request_stop(StopReason.TIMEOUT, by="nightdesk")
    await writer.wait_stored(5)
    with pytest.raises(OwnershipLost):
        writer.keep_flushing()
    assert writer.run.fence == run.fence


async def test_a_try_to_cancel_that_is_stored_for_a_successor_is_no_row_of_ours(
    harness: StoreHarness, tmp_path: Path
) -> None:
    run = await harness.stopping()
    writer = writer_of(harness, run, tmp_path)
    await robbed(harness, run)
    with pytest.raises(OwnershipLost):
        await writer.write(lambda r: harness.store.runs.record_stop_try(r, answer="200", trouble="", now=harness.now))
    assert writer.run.fence == run.fence


async def test_what_could_not_be_stored_is_not_stored_for_a_successor(harness: StoreHarness, tmp_path: Path) -> None:
    run = await harness.running()

    async def stop(row: Run) -> Run:
        return await harness.store.runs.request_stop(row.id, reason=StopReason.TIMEOUT, by="nightdesk", now=harness.now)

    writer = writer_of(harness, run, tmp_path, unstored(stop, state=State.STOPPING))
    await robbed(harness, run)
    with pytest.raises(OwnershipLost):
        await writer.write(lambda r: harness.store.runs.record_alarm(r, harness.now))
    assert (await harness.run(run)).state is State.RUNNING


async def test_what_is_owed_is_stored_once_though_the_next_write_fails(tmp_path: Path) -> None:
    """First the launch, then the stop: the store takes one write and fails again."""
    works = [True, True]
    connection = memory_connection()

    async def between(what: str) -> None:
        if what.startswith("before write") and not (works.pop(0) if works else True):
            raise StoreBusy("the state store is busy")

    harness = StoreHarness(sync_store(tmp_path, connection, between), ManualClock())
    run = await harness.sending()

    async def launch(row: Run) -> Run:
        return await harness.launch(row)

    writer = writer_of(harness, run, tmp_path, unstored(launch, state=State.RUNNING))
    works += [False]
    writer.request_stop(StopReason.TIMEOUT, by="nightdesk")
    await writer.wait_stored(5)
    assert writer.run.state is State.STOPPING, "it is stopped, stored or not"
    works += [True, False]
    assert not await writer.write(lambda row: harness.store.runs.record_alarm(row, harness.now))
    assert (await harness.run(run)).state is State.RUNNING
    assert await writer.write(lambda row: harness.store.runs.record_alarm(row, harness.now))
    assert (await harness.run(run)).state is State.STOPPING
    connection.close()
