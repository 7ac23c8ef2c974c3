"""Processes that claim the same keys at the same time: one launch per key, within the caps."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from console.domain.caps import Caps
from console.domain.launch import LaunchKind
from console.store.store import Store
from tests.clock import ManualClock
from tests.reporting import report
from tests.store.harness import BUDGET
from tests.store.racing import FREE, Answers, check_then_insert, claim_all
from tests.waiting import until_sync

PROCESSES = 4
KEYS = 200
WITHIN = 240
"""Seconds; much longer than it takes."""


def _race(target: Callable[..., None], *arguments: object, seeded: bool = True) -> Answers:
    """Run PROCESSES processes from one start and return all their results."""
    context = multiprocessing.get_context("spawn")
    start, out = context.Barrier(PROCESSES), context.Queue()
    seed = random.randrange(2**32)
    report(f"seed {seed}")
    workers = [
        context.Process(target=target, args=(*arguments, *([seed + number] if seeded else []), start, out))
        for number in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    answers: list[Answers] = []

    def all_in() -> bool:
        while not out.empty():
            answers.append(out.get())
        assert not [worker.exitcode for worker in workers if worker.exitcode], "a process broke; see stderr"
        return len(answers) == PROCESSES

    until_sync(all_in, within=WITHIN)
    for worker in workers:
        worker.join(timeout=WITHIN)
    return [answer for each in answers for answer in each]


async def _held(folder: Path, caps: Caps) -> tuple[int, int]:
    """Return the held milli-units and the taken slots."""
    now = ManualClock().now()
    store = await Store.open(folder, now=now)
    cap_usages = {cap_usage.cap.value: cap_usage for cap_usage in await store.ledger.cap_usages(caps, now)}
    await store.close()
    return cap_usages["daily_units"].held, cap_usages["concurrent_runs"].held


def test_each_key_is_launched_exactly_once(folder: Path) -> None:
    answers = _race(claim_all, folder, [f"target-{number}" for number in range(KEYS)], FREE)
    assert len(answers) == PROCESSES * KEYS
    claimed = Counter(key for key, kind, _ in answers if kind == LaunchKind.LAUNCHED)
    assert len(claimed) == KEYS
    assert set(claimed.values()) == {1}
    assert {kind for _, kind, _ in answers} == {LaunchKind.LAUNCHED, LaunchKind.SKIPPED}
    assert asyncio.run(_held(folder, FREE)) == (KEYS * BUDGET, KEYS)


def test_no_interleaving_passes_a_cap(folder: Path) -> None:
    allowed = 15
    caps = replace(FREE, daily_units=allowed * BUDGET + BUDGET - 1)
    answers = _race(claim_all, folder, [f"target-{number}" for number in range(60)], caps)
    claimed = [key for key, kind, _ in answers if kind == LaunchKind.LAUNCHED]
    assert len(claimed) == len(set(claimed)) == allowed
    assert asyncio.run(_held(folder, caps)) == (allowed * BUDGET, allowed)


def test_the_same_race_doubles_launches_if_check_and_insert_are_two_steps(tmp_path: Path) -> None:
    """If the naive way passed too, the race would prove nothing."""
    database = tmp_path / "naive.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table launches (key text)")
    answers = _race(check_then_insert, database, ["one", "two", "three"], seeded=False)
    assert Counter(key for key, _, _ in answers) == {"one": PROCESSES, "two": PROCESSES, "three": PROCESSES}
