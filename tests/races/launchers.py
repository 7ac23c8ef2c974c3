"""Functions for processes that launch as fast as they can until launches are paused."""

from __future__ import annotations

import asyncio
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from console.domain.caps import RefusalKind
from console.domain.launch import LaunchKind
from console.domain.run import State
from console.engine.clock import SystemClock
from console.store.errors import StaleRun
from console.store.store import Store
from tests.races.claimers import unlimited_but
from tests.store.harness import BY, StoreHarness, a_task
from tests.waiting import until

Sent = tuple[int, int, int]
"""Launches sent, wall clock of the last one and of the refusal by the pause, in milliseconds."""


def launch_until_paused(folder: Path, name: str, start: Barrier, out: Queue[Sent]) -> None:
    """Claims and sends until refused."""
    out.put(asyncio.run(_launch(folder, name, start)))


async def _launch(folder: Path, name: str, start: Barrier) -> Sent:
    clock = SystemClock()
    store = await Store.open(folder, now=clock.now())
    harness = StoreHarness(store, clock, caps=unlimited_but())  # type: ignore[arg-type]  # only `now` is asked of it
    start.wait(timeout=120)
    sent = last_ms = 0
    while True:
        answer = await harness.claim(a_task(f"{name}-{sent}"))
        if answer.kind is LaunchKind.REFUSED and answer.refusal and answer.refusal.kind is RefusalKind.PAUSED:
            break
        try:
            run = await store.runs.mark_sending(answer.run, clock.now())
        except StaleRun:
            break
        assert run.sent is not None
        sent, last_ms = sent + 1, run.sent.wall_ms
    met_ms = clock.now().wall_ms
    await store.close()
    return sent, last_ms, met_ms


def pause_amid(folder: Path, start: Barrier, out: Queue[int]) -> None:
    """Pauses while the others launch; puts the time at which the pause was stored."""
    out.put(asyncio.run(_pause(folder, start)))


async def _pause(folder: Path, start: Barrier) -> int:
    clock = SystemClock()
    store = await Store.open(folder, now=clock.now())
    start.wait(timeout=120)

    async def one_is_sent() -> bool:
        return any(run.state is State.SENDING for run in await store.runs.open_runs())

    await until(one_is_sent, within=60, what="the first launch")
    await store.controls.pause(by=BY, now=clock.now())
    stored_ms = clock.now().wall_ms
    await store.close()
    return stored_ms
