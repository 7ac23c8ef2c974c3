"""Runs a share of the trials in a process that has no thread, so that it can fork; prints what came of them as JSON."""

from __future__ import annotations

import argparse
import gc
import itertools
import sys
import tempfile
import threading
from pathlib import Path

import msgspec

from console.simulator.process import SimulatorProcess
from tests.kills.lives import Ports
from tests.kills.mutants import MUTANTS
from tests.kills.plan import trials
from tests.kills.trial import Bench, Count
from tests.waiting import until_sync

MEMORY = Path("/dev/shm")
"""A kill is not a power loss: what was written stays, on whatever disk, and in memory it is faster."""


def main() -> None:
    """`--mutant`: until the first breach, for at most as many trials as there are."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--share", default="0/1")
    parser.add_argument("--per-cell", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one trial")
    parser.add_argument("--mutant", choices=sorted(MUTANTS))
    given = parser.parse_args()
    part, parts = map(int, given.share.split("/"))
    mutant = MUTANTS.get(given.mutant or "")
    planned = [trial for trial in trials(given.seed, given.per_cell) if given.only in (None, trial.number)]
    if mutant is not None:
        planned = [trial for trial in planned if trial.cell.startswith(f"{mutant.near} ")]
    count = Count()
    base = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="kills-", dir=base) as place, SimulatorProcess(seed=given.seed) as service:
        ports = mutant.ports if mutant is not None else Ports()
        bench = Bench(service=service.control, url=service.url, base=Path(place), ports=ports)
        bench.prepare()
        until_sync(lambda: threading.active_count() == 1, what="no thread, since it would not be in the children")
        gc.collect()
        gc.freeze()
        for trial in itertools.islice(planned, part, None, parts):
            bench.run(trial, count)
            if mutant is not None and count.breaches:
                break
    sys.stdout.buffer.write(msgspec.json.encode(count))


if __name__ == "__main__":
    main()
