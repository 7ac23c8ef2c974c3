"""What the processes do that race on the database of several machines. Each of them imports this module by name."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psycopg

from console.domain.caps import Caps
from console.domain.launch import LaunchKind
from console.store.fleet_settings import FleetSettings
from tests.races.claimers import Counts
from tests.store.harness import open_harness


def claim_in_fleet(
    folder: Path, fleet: FleetSettings, keys: Sequence[int], caps: Caps, seed: int, start: Barrier, out: Queue[Counts]
) -> None:
    """Claims each of the keys once, in an order of its own: in the same order one process wins them all."""
    out.put(asyncio.run(_claim(folder, fleet, random.Random(seed).sample(keys, len(keys)), caps, start)))


async def _claim(folder: Path, fleet: FleetSettings, keys: Sequence[int], caps: Caps, start: Barrier) -> Counts:
    harness = await open_harness(folder, fleet=fleet)
    harness.caps = caps
    start.wait(timeout=120)
    answers = Counter([(await harness.claim(target=f"target-{key}")).kind.value for key in keys])
    await harness.store.close()
    return answers


def check_then_insert(url: str, table: str, rounds: int, limit: int, start: Barrier, out: Queue[Counts]) -> None:
    """The naive way: add up what is there, compare with the limit, then insert, each in a transaction. The control."""
    won = 0
    with psycopg.connect(url) as connection:
        for number in range(rounds):
            start.wait(timeout=120)
            row = connection.execute(f"select count(*) from {table} where key = %s".encode(), (number,)).fetchone()
            start.wait(timeout=120)
            if row is not None and row[0] < limit:
                connection.execute(f"insert into {table} (key) values (%s)".encode(), (number,))
                won += 1
            connection.commit()
    out.put({LaunchKind.LAUNCHED.value: won})
