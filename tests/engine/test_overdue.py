"""A cancel for a run of another process that is past its limit, judged by rows that were read earlier."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.run import Run, StopReason
from console.engine.kernel_locks import KernelLocks
from console.engine.overdue import OverdueCancels
from tests.clock import ManualClock
from tests.engine.building import engine_context, settings
from tests.engine.fake_provider import FakeProvider
from tests.store.harness import StoreHarness, open_harness


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[StoreHarness]:
    harness = await open_harness(tmp_path / "state", ManualClock())
    yield harness
    await harness.store.close()


async def cancelled(harness: StoreHarness, provider: FakeProvider, folder: Path, run: Run) -> Run:
    """Send the overdue cancel of `run`, which another process supervises; return its row afterwards."""
    context = engine_context(
        harness.store, folder, clock=harness.clock, provider=provider, use=settings(harness.task), owner="f" * 32
    )
    overdue = OverdueCancels(context, KernelLocks(folder))
    await overdue.send(run)
    await overdue.close()
    return await harness.run(run)


async def test_the_sandbox_of_an_overdue_launch_is_deleted(harness: StoreHarness, tmp_path: Path) -> None:
    provider = FakeProvider()
    run = replace(await harness.sending(), sandbox_id="box-1", sandbox_own=True)
    row = await cancelled(harness, provider, tmp_path, run)
    assert row.stop is not None
    assert row.stop.reason is StopReason.TIMEOUT
    assert provider.deleted == ["box-1"]


async def test_a_launch_that_was_sent_anew_is_not_stopped_for_its_first_try(
    harness: StoreHarness, tmp_path: Path
) -> None:
    provider = FakeProvider()
    first = replace(await harness.sending(), sandbox_id="box-1", sandbox_own=True)
    harness.clock.advance(3600)
    claimed = await harness.store.runs.record_not_sent(first, why="no connection", final=False, now=harness.now)
    await harness.store.runs.mark_sending(claimed, harness.now)
    row = await cancelled(harness, provider, tmp_path, first)
    assert row.stop is None
    assert provider.deleted == []


@pytest.mark.parametrize("taking", [False, True], ids=["nobody can take it over", "this process is taking it over"])
async def test_a_run_of_a_dead_owner_is_cancelled_at_its_limit(
    harness: StoreHarness, tmp_path: Path, taking: bool
) -> None:
    """A take-over that waits for the store holds the lock of the dead owner."""
    provider = FakeProvider()
    context = engine_context(
        harness.store, tmp_path, clock=harness.clock, provider=provider, use=settings(harness.task), owner="f" * 32
    )
    overdue = OverdueCancels(context, KernelLocks(tmp_path))
    lock = KernelLocks(tmp_path, supervises=True)
    run = replace(await harness.running(), owner=lock.id)
    harness.clock.advance(600)

    overdue.start_due([], [run])
    assert run.id not in context.cancelled_at, "its owner lives and is late by nothing"
    dead = frozenset({lock.id}) if taking else frozenset[str]()
    if not taking:
        lock.release()
    overdue.start_due([], [run], dead=dead)
    assert run.id not in context.cancelled_at, "somebody may be taking it over at this moment"
    harness.clock.advance(context.timings.take_over_ms / 1000)
    overdue.start_due([], [run], dead=dead)
    assert run.id in context.cancelled_at
    await overdue.close()
    lock.release()
