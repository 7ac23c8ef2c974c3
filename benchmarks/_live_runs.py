"""A state folder with live runs whose owner is alive, as an operator finds it who opens a console."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from console.config import load
from console.domain.launch import LaunchRequest, LaunchTerms
from console.domain.rollout import RolloutRules
from console.domain.run import Run, new_run_id
from console.domain.timestamps import Clock
from console.domain.usage import Usage
from console.engine.clock import SystemClock
from console.engine.kernel_locks import KernelLocks
from console.engine.settings import limits_of
from console.store.progress import Progress, ProgressUpdate
from console.store.store import Store

LIVE = 40

TASKS = 8

CONFIG = f"""
[provider]
base_url = "http://127.0.0.1:9"

[units]
tokens_per_unit = 10000

[caps]
daily_units = 10000
monthly_units = 100000
daily_runs = 1000
concurrent_runs = {LIVE + 10}
time_zone = "UTC"

[defaults]
max_seconds = 7200
""" + "".join(
    f"""
[[tasks]]
name = "look-after-{number}"
target = "acme/all-{number}"
prompt = "Look after the site."
"""
    for number in range(1, TASKS + 1)
)
"""A configuration without schedules."""
TARGETS = tuple(f"acme/site-{number:02}" for number in range(1, LIVE + 1))
"""The target of each run."""


@contextmanager
def live_runs(folder: Path, config: Path) -> Iterator[None]:
    """Create a store in `folder` with a run for every target. This process owns the runs until the block ends."""
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = KernelLocks(folder, supervises=True)
    try:
        asyncio.run(_launch_all(folder, config, lock.id))
        yield
    finally:
        lock.release()


async def _launch_all(folder: Path, config: Path, owner: str) -> None:
    settings, clock, chance = load(config), SystemClock(), random.Random(40)
    store = await Store.open(folder, now=clock.now())
    try:
        await store.controls.announce(owner, kind="serve", pid=os.getpid(), now=clock.now())
        for task, target in zip(cycle(settings.tasks), TARGETS, strict=False):
            request = LaunchRequest(task=task.name, target=target, date="2026-01-01", by="bench tty=no")
            terms = LaunchTerms(
                run_id=new_run_id(clock.now().wall_ms, chance.randbytes(10)),
                task=replace(task, target=target),
                date="2026-01-01",
                owner=owner,
                limits=limits_of(task, settings.units, None),
                caps=settings.caps,
                rollout=RolloutRules(),
            )
            result = await store.claims.claim(request, terms, clock.now())
            await _launch(store, result.run, clock, tokens=chance.randrange(20_000, 400_000))
    finally:
        await store.close()


async def _launch(store: Store, run: Run, clock: Clock, *, tokens: int) -> None:
    run = await store.runs.record_sandbox(run, sandbox_id="own-1", own=True, note="", now=clock.now())
    run = await store.runs.mark_sending(run, clock.now())
    run = await store.runs.record_launched(
        run, remote_id=f"v1_{run.target}", status="in_progress", sandbox_id=None, now=clock.now()
    )
    await _record(store, [ProgressUpdate(run=run, progress=_progress(run, tokens, steps=7))], clock)


async def _record(store: Store, updates: list[ProgressUpdate], clock: Clock) -> None:
    for outcome in await store.runs.record_progress_of_many(updates, clock.now()):
        if isinstance(outcome, Exception):
            raise outcome


async def move_on(folder: Path) -> None:
    """Store another step and a little more usage for each run."""
    clock, chance = SystemClock(), random.Random()
    store = await Store.open(folder, now=clock.now())
    try:
        updates = [
            ProgressUpdate(
                run=run, progress=_progress(run, run.usage.total + chance.randrange(4_000), steps=run.steps + 1)
            )
            for run in await store.runs.open_runs()
        ]
        await _record(store, updates, clock)
    finally:
        await store.close()


def _progress(run: Run, tokens: int, *, steps: int) -> Progress:
    now_ms = SystemClock().now().wall_ms
    return Progress(
        usage=Usage(total=tokens, input=tokens),
        used=tokens * 1000 // run.limits.tokens_per_unit,
        usage_known=True,
        remote_status="in_progress",
        polled_ms=now_ms,
        last_step=f"code_execution_call: pytest -q tests/test_{steps}.py",
        last_step_ms=now_ms,
        steps=steps,
    )
