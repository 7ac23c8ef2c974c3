"""What the racing processes do. A module of its own: each of them imports it by name."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from console.domain.guardrails import Caps
from console.store.launches import ClaimKind
from console.store.store import Store
from tests.clock import ManualClock
from tests.store.building import BUDGET, CAPS, Bench, a_task

Counts = dict[str, int]
"""Answers of one process, counted."""


def unlimited_but(**caps: int) -> Caps:
    """No cap but these."""
    free = replace(CAPS, daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None)
    return replace(free, **caps)  # type: ignore[arg-type]  # any cap


def claim_each(folder: Path, keys: Sequence[str], caps: Caps, start: Barrier, out: Queue[Counts]) -> None:
    """Claims every key once, in the order given."""
    out.put(asyncio.run(_claim_each(folder, keys, caps, start)))


async def _claim_each(folder: Path, keys: Sequence[str], caps: Caps, start: Barrier) -> Counts:
    clock = ManualClock()
    store = await Store.open(folder, now=clock.now())
    bench = Bench(store, clock, caps=caps)
    start.wait(timeout=120)
    answers: Counts = {}
    for key in keys:
        answer = await bench.claim(a_task(key))
        answers[answer.kind.value] = answers.get(answer.kind.value, 0) + 1
    await store.close()
    return answers


def look_then_hold(database: Path, tries: int, cap: int, start: Barrier, out: Queue[Counts]) -> None:
    """What everybody writes first: sum up, compare, then hold. The control that must overshoot."""
    won = 0
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        for _ in range(tries):
            start.wait(timeout=120)
            (held,) = connection.execute("select coalesce(sum(amount), 0) from holds").fetchone()
            start.wait(timeout=120)
            if held + BUDGET <= cap:
                connection.execute("insert into holds (amount) values (?)", (BUDGET,))
                won += 1
    out.put({ClaimKind.CLAIMED.value: won})
