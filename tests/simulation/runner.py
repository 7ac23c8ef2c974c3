"""Runs ranges of seeds, in as many processes as there are cores, and tells which seed broke what.

`python -m tests.simulation.runner 0 1000 [--live]` does so by hand; `--seed N` runs one and prints its history.
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
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.reporting import report
from tests.simulation.world import World, WorldFigures
from tests.sync_database import memory_connection

CHUNK = 125
"""Seeds that one process runs in one go."""


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
    broken: dict[int, str] = field(default_factory=dict)
    """The story of each seed that broke something."""

    def add(self, seen: WorldFigures) -> None:
        """One world more."""
        self.posts += seen.posts
        self.agents += seen.agents
        self.runs += seen.runs
        self.deaths += seen.deaths
        self.simulated_s += seen.simulated_s

    def join(self, other: Tally) -> None:
        """The seeds of another process; real time is counted by whoever joins."""
        self.seeds += other.seeds
        self.posts += other.posts
        self.agents += other.agents
        self.runs += other.runs
        self.deaths += other.deaths
        self.simulated_s += other.simulated_s
        self.broken |= other.broken

    def line(self) -> str:
        """`10000 seeds, 0 broken: …`."""
        return (
            f"{self.seeds} seeds, {len(self.broken)} broken: {self.runs} runs, {self.posts} POSTs, "
            f"{self.agents} agents, {self.deaths} dead processes, {self.simulated_s / 86400:.1f} simulated days "
            f"in {self.real_s:.0f} s ({self.seeds / max(self.real_s, 0.001):.0f} seeds/s)"
        )


def run_seeds(first: int, last: int, live: bool, stop_at_first: bool = False) -> Tally:
    """Seeds `first` to `last`, the latter not included."""
    _hush()
    tally, connection = Tally(), memory_connection()
    try:
        for seed in range(first, last):
            # One transaction around a world, taken back at its end: the next one finds an empty store.
            connection.execute("begin")
            world = World(seed, connection, live=live)
            tally.seeds += 1
            try:
                tally.add(world.run())
            except Exception as error:
                tally.broken[seed] = story(world, error)
            finally:
                connection.execute("rollback")
            if tally.broken and stop_at_first:
                break
    finally:
        connection.close()
    return tally


def story(world: World, error: Exception) -> str:
    """What happened in a world that broke something."""
    troubles = "\n".join(f"  {trouble}" for trouble in world.machine.weather.troubles)
    where = "".join(traceback.format_exception(error, limit=-6))
    return f"{error}\n{troubles}\n" + "\n".join(world.machine.history) + f"\n{where}"


def run_many(first: int, count: int, *, live: bool) -> Tally:
    """`count` seeds on all cores."""
    began, whole = time.monotonic(), Tally()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=context) as pool:
        starts = range(first, first + count, CHUNK)
        chunks = [pool.submit(run_seeds, at, min(at + CHUNK, first + count), live) for at in starts]
        for chunk in chunks:
            whole.join(chunk.result())
    whole.real_s = time.monotonic() - began
    return whole


def _hush() -> None:
    """Processes that die in the middle of something leave coroutines behind; that is their point."""
    diary = logging.getLogger("nightdesk")
    diary.propagate = False
    diary.addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None


def main() -> int:
    """By hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--one-process", action="store_true", help="stop at the first seed that breaks something")
    options = parser.parse_args()
    if options.one_process:
        began = time.monotonic()
        tally = run_seeds(options.first, options.first + options.count, options.live, stop_at_first=True)
        tally.real_s = time.monotonic() - began
    else:
        tally = run_many(options.first, options.count, live=options.live)
    for seed, what in list(tally.broken.items())[:3]:
        report(f"seed {seed}: {what}")
    report(tally.line())
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
