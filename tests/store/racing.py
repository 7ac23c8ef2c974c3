"""The work of the racing processes; a module of its own, because each process imports it."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from console.domain.caps import Caps
from console.domain.launch import LaunchKind
from tests.store.harness import CAPS, a_task, open_harness

FREE = replace(CAPS, daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None)
"""No caps: only the key decides."""

Answers = list[tuple[str, str, str]]
"""Key, kind of result, and run id."""


def claim_all(folder: Path, targets: Sequence[str], caps: Caps, seed: int, start: Barrier, out: Queue[Answers]) -> None:
    """Claim the key of every target once, in random order: in the same order one process would win them all."""
    out.put(asyncio.run(_claim_all(folder, random.Random(seed).sample(targets, len(targets)), caps, start)))


async def _claim_all(folder: Path, targets: Sequence[str], caps: Caps, start: Barrier) -> Answers:
    harness = await open_harness(folder)
    harness.caps = caps
    answers = []
    try:
        start.wait(timeout=120)
        for target in targets:
            answer = await harness.claim(a_task(target))
            answers.append((answer.run.key, answer.kind.value, str(answer.run.id)))
    finally:
        await harness.store.close()
    return answers


def check_then_insert(database: Path, keys: Sequence[str], start: Barrier, out: Queue[Answers]) -> None:
    """Check whether the key is taken and then insert it: the naive way, which must launch twice."""
    answers = []
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        for key in keys:
            start.wait(timeout=120)
            taken = connection.execute("select count(*) from launches where key = ?", (key,)).fetchone()[0]
            start.wait(timeout=120)
            if not taken:
                connection.execute("insert into launches (key) values (?)", (key,))
                answers.append((key, LaunchKind.LAUNCHED.value, ""))
    out.put(answers)
