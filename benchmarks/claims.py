"""Compare claims of launches with the smallest transaction of SQLite: `python -m benchmarks.claims [CLAIMS]`.

The reference inserts one row per transaction, with the settings of the store, on the same disk: no claim can be faster
than that. Rounds of all figures alternate, because other load slows the disk and the processor. Each round has a store
of its own with as many history entries as a claim looks at.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from console.domain.launch import LaunchKind
from console.store.bootstrap import prepare_store
from console.store.claims import SCANNED
from console.store.fleet_settings import FleetSettings
from console.store.pragmas import connection_pragmas, safe_journal_mode
from console.store.transaction import Transaction
from tests.clock import ManualClock
from tests.postgres_server import new_store, postgres_server
from tests.store.harness import CAPS, StoreHarness, open_harness

CLAIMS = 200
ROUNDS = 5
CALLERS = 32
PROCESSES = 8
FLEET_CONNECTIONS = (1, 8, 32)
UNLIMITED = replace(CAPS, daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None)


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one figure."""

    per_second: float
    cpu_ms: float
    """CPU time of this process for each transaction."""


def timed(work: Callable[[], None], count: int) -> Measured:
    """Measure `work`, which makes `count` transactions."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return Measured(count / (time.perf_counter() - started), (time.process_time() - cpu) * 1000 / count)


def plain_inserts(folder: Path, count: int) -> Measured:
    """Insert one row of a kilobyte per transaction."""
    mode = safe_journal_mode()
    with closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as connection:
        connection.execute(f"pragma journal_mode = {mode.value}")
        for pragma in connection_pragmas(mode, 30_000):
            connection.execute(pragma)
        connection.execute("create table plain (id integer primary key, text text not null)")

        def insert() -> None:
            for _ in range(count):
                connection.execute("begin immediate")
                connection.execute("insert into plain (text) values (?)", ("x" * 1000,))
                connection.execute("commit")

        return timed(insert, count)


async def fill(harness: StoreHarness) -> None:
    """Store as many history entries as a claim looks at."""
    entries = (harness.launch_of(target=f"before-{number}") for number in range(SCANNED))
    await asyncio.gather(*(harness.store.claims.record_missed(*entry, harness.now) for entry in entries))


async def claim_all(harness: StoreHarness, names: list[str], callers: int) -> None:
    """Claim a launch of each name, `callers` at a time. Raises RuntimeError if one of them is not claimed."""
    left = iter(names)

    async def caller() -> None:
        for name in left:
            result = await harness.claim(target=name)
            if result.kind is not LaunchKind.LAUNCHED:
                raise RuntimeError(f"{name} was not claimed: {result.refusal}")

    await asyncio.gather(*(caller() for _ in range(callers)))


async def opened(folder: Path) -> StoreHarness:
    """Open the store of `folder` without caps."""
    harness = await open_harness(folder)
    harness.caps = UNLIMITED
    return harness


def claims(folder: Path, count: int, callers: int) -> Measured:
    """Measure the claims of one process."""

    async def run() -> Measured:
        harness = await opened(folder)
        try:
            await fill(harness)
            names = [f"target-{number}" for number in range(count)]
            started, cpu = time.perf_counter(), time.process_time()
            await claim_all(harness, names, callers)
            return Measured(count / (time.perf_counter() - started), (time.process_time() - cpu) * 1000 / count)
        finally:
            await harness.store.close()

    return asyncio.run(run())


def claim_in_process(folder: Path, names: list[str]) -> None:
    """What each of several processes does."""

    async def run() -> None:
        harness = await opened(folder)
        try:
            await claim_all(harness, names, 1)
        finally:
            await harness.store.close()

    asyncio.run(run())


def claims_of_processes(folder: Path, count: int) -> Measured:
    """Measure PROCESSES processes that claim at the same time; their CPU time is not counted."""
    prepare_store(folder, now=ManualClock().now(), read_only=False, busy_ms=30_000)
    share = [[f"target-{number}" for number in range(each, count, PROCESSES)] for each in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        # Each process has imported the program before the time counts.
        list(pool.map(claim_in_process, [folder] * PROCESSES, [[]] * PROCESSES, chunksize=1))

        def work() -> None:
            list(pool.map(claim_in_process, [folder] * PROCESSES, share, chunksize=1))

        return replace(timed(work, count), cpu_ms=0.0)


def claims_of_fleet(url: str, count: int, connections: int) -> Measured:
    """Measure so many connections to a database of several hosts, in up to PROCESSES processes."""
    processes = min(connections, PROCESSES)
    with new_store(url) as fleet, ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        share = [[f"target-{number}" for number in range(each, count, connections)] for each in range(connections)]
        places = [share[each::processes] for each in range(processes)]
        list(pool.map(claim_in_fleet, [fleet] * processes, [[]] * processes, chunksize=1))

        times = list(pool.map(claim_in_fleet, [fleet] * processes, places, chunksize=1))
        return Measured(count / (max(end for _, end in times) - min(start for start, _ in times)), 0.0)


def claim_in_fleet(fleet: FleetSettings, shares: list[list[str]]) -> tuple[float, float]:
    """What each of several processes does, with a connection for each share; return when its claims began and ended."""

    async def run() -> tuple[float, float]:
        with tempfile.TemporaryDirectory(prefix="nightdesk-bench-") as place:
            harnesses = [await open_harness(Path(place) / str(n), fleet=fleet) for n in range(len(shares))]
            for harness in harnesses:
                harness.caps = UNLIMITED
                await harness.store.database.transaction(_nothing)
            started = time.perf_counter()
            await asyncio.gather(*(claim_all(each, names, 1) for each, names in zip(harnesses, shares, strict=True)))
            ended = time.perf_counter()
            for harness in harnesses:
                await harness.store.close()
            return started, ended

    return asyncio.run(run())


async def _nothing(tx: Transaction) -> None:
    """Connects."""


def main() -> None:
    """Print the median of each figure and its ratio to the reference."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CLAIMS
    with postgres_server() as url:
        _compare(url, count)


def _figure_of_fleet(url: str, count: int, connections: int) -> Callable[[Path], Measured]:
    return lambda _folder: claims_of_fleet(url, count, connections)


def _compare(url: str, count: int) -> None:
    figures: dict[str, Callable[[Path], Measured]] = {
        "plain inserts, one per transaction": lambda folder: plain_inserts(folder, count),
        "claims, one caller": lambda folder: claims(folder, count, 1),
        f"claims, {CALLERS} callers of one process": lambda folder: claims(folder, count, CALLERS),
        f"claims, {PROCESSES} processes": lambda folder: claims_of_processes(folder, count),
        **{
            f"claims, PostgreSQL, {number} connections": _figure_of_fleet(url, count, number)
            for number in FLEET_CONNECTIONS
        },
    }
    found: dict[str, list[Measured]] = {name: [] for name in figures}
    for _ in range(ROUNDS):
        for name, measure in figures.items():
            with tempfile.TemporaryDirectory(prefix="nightdesk-bench-") as place:
                folder = Path(place) / "state"
                folder.mkdir(mode=0o700)
                found[name].append(measure(folder))
    reference = statistics.median(each.per_second for each in found["plain inserts, one per transaction"])
    for name, rounds in found.items():
        rate = statistics.median(each.per_second for each in rounds)
        cpu = statistics.median(each.cpu_ms for each in rounds)
        print(f"{name:36} {rate:8.0f} a second  {rate / reference:5.2f} x reference  {cpu:6.2f} ms CPU each")


if __name__ == "__main__":
    main()
