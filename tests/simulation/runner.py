"""Runs ranges of seeds on all cores and reports which seed broke what.

`python -m tests.simulation.runner 0 1000 [--mode liveness]` runs seeds 0 to 999; `--one-process` stops at the first
seed that breaks something and prints its history.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from console.engine.engine import Engine
from tests.reporting import report
from tests.simulation.world import Mode, World, WorldFigures
from tests.sync_database import memory_connection

REPEATABLE = {"PYTHONHASHSEED": "0"}
"""The environment in which a seed is the same world in every process: sets have the same order."""
CHUNK = 50
"""Seeds that one process runs at a time."""
NICENESS = 10
"""Simulated time does not pass more slowly on a busy machine: tests of real time that run beside it come first."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What some seeds came to."""

    seeds: int = 0
    posts: int = 0
    agents: int = 0
    runs: int = 0
    deaths: int = 0
    simulated_s: float = 0.0
    real_s: float = 0.0
    latest_s: float = 0.0
    struck: set[tuple[str, str]] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)
    """By seed, the history of each world that broke an invariant."""

    def add(self, figures: WorldFigures) -> None:
        """Adds one world."""
        self.posts += figures.posts
        self.agents += figures.agents
        self.runs += figures.runs
        self.deaths += figures.deaths
        self.simulated_s += figures.simulated_s
        self.latest_s = max(self.latest_s, figures.latest_s)
        self.struck |= figures.struck
        self.reached |= figures.reached
        self.counts += figures.counts

    def join(self, other: Tally) -> None:
        """Adds the seeds of another process, but not its real time."""
        self.seeds += other.seeds
        self.posts += other.posts
        self.agents += other.agents
        self.runs += other.runs
        self.deaths += other.deaths
        self.simulated_s += other.simulated_s
        self.latest_s = max(self.latest_s, other.latest_s)
        self.struck |= other.struck
        self.reached |= other.reached
        self.counts += other.counts
        self.broken |= other.broken

    def line(self) -> str:
        """`10000 seeds, 0 broken: …`."""
        exceptions = f", exceptions at {len(self.struck)} sites and kinds" if self.struck else ""
        counts = "".join(f", {count} {what}" for what, count in sorted(self.counts.items()))
        return (
            f"{self.seeds} seeds, {len(self.broken)} broken: {self.runs} runs, {self.posts} POSTs, "
            f"{self.agents} agents, {self.deaths} dead processes{exceptions}{counts}, "
            f"{self.simulated_s / 86400:.1f} simulated days in {self.real_s:.0f} s "
            f"({self.seeds / max(self.real_s, 0.001):.0f} seeds/s)"
        )


def run_seeds(
    first: int, last: int, mode: Mode, *, engine: type[Engine] = Engine, stop_at_first: bool = False
) -> Tally:
    """Runs the seeds from `first` up to, but not including, `last` in this process."""
    _hush()
    tally, connection = Tally(), memory_connection()
    try:
        for seed in range(first, last):
            if mode is Mode.COPIES:
                # What is copied has to be committed.
                connection.close()
                connection = memory_connection()
            else:
                # One transaction around a world, rolled back at its end: the next world finds an empty store.
                connection.execute("begin")
            world = World(seed, connection, mode, engine=engine)
            tally.seeds += 1
            try:
                tally.add(world.run())
            except Exception as error:
                tally.broken[seed] = history(world, error)
            finally:
                if connection.in_transaction:
                    connection.execute("rollback")
            if tally.broken and stop_at_first:
                break
    finally:
        connection.close()
    return tally


def history(world: World, error: Exception) -> str:
    """What happened in a world that broke an invariant."""
    machine = world.machine
    faults = "\n".join(f"  {line}" for line in machine.faults.lines)
    strikes = "\n".join(map(str, machine.exceptions.strikes[-20:]))
    where = "".join(traceback.format_exception(error, limit=-6))
    return f"{error}\n{faults}\n" + "\n".join(machine.history) + f"\n{strikes}\n{where}"


def run_many(first: int, count: int, mode: Mode) -> Tally:
    """Runs `count` seeds on all cores."""
    os.environ.update(REPEATABLE)
    began, whole = time.monotonic(), Tally()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, initializer=os.nice, initargs=(NICENESS,)) as pool:
        starts = range(first, first + count, CHUNK)
        chunks = [pool.submit(run_seeds, at, min(at + CHUNK, first + count), mode) for at in starts]
        for chunk in chunks:
            whole.join(chunk.result())
    whole.real_s = time.monotonic() - began
    return whole


def _hush() -> None:
    """Silences warnings: processes that die midway leave coroutines behind."""
    log = logging.getLogger("nightdesk")
    log.propagate = False
    log.addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--mode", type=Mode, choices=list(Mode), default=Mode.SAFETY)
    parser.add_argument("--one-process", action="store_true", help="stop at the first seed that breaks something")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != REPEATABLE["PYTHONHASHSEED"]:
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.simulation.runner", *sys.argv[1:]], os.environ | REPEATABLE
        )
    if options.one_process:
        began = time.monotonic()
        tally = run_seeds(options.first, options.first + options.count, options.mode, stop_at_first=True)
        tally.real_s = time.monotonic() - began
    else:
        tally = run_many(options.first, options.count, options.mode)
    for seed, what in list(tally.broken.items())[:3]:
        report(f"seed {seed}: {what}")
    report(tally.line())
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
