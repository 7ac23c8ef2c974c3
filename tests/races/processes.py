"""Starts processes at one instant and collects their answers."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext, SpawnContext

from tests.races.claimers import Counts
from tests.waiting import until_sync

WITHIN = 400
"""Seconds; far longer than any race takes."""
FRESH = multiprocessing.get_context("spawn")
"""Each process is an interpreter of its own."""
FORKED = multiprocessing.get_context("forkserver")
"""Each process is forked from one that has only imported what they need, which is much faster."""
FORKED.set_forkserver_preload(["tests.races.claimers", "tests.races.fleet_claimers"])


def race(
    target: Callable[..., None],
    each: Sequence[tuple[object, ...]],
    context: SpawnContext | ForkServerContext = FRESH,
) -> Counts:
    """The sum of the answers of processes that start at one instant; `each` holds the arguments of each process."""
    start, out = context.Barrier(len(each)), context.Queue()
    workers = [context.Process(target=target, args=(*arguments, start, out)) for arguments in each]
    for worker in workers:
        worker.start()
    answers: list[Counts] = []

    def all_in() -> bool:
        while not out.empty():
            answers.append(out.get())
        assert not [worker.exitcode for worker in workers if worker.exitcode], "a process broke; see stderr"
        return len(answers) == len(each)

    until_sync(all_in, within=WITHIN)
    for worker in workers:
        worker.join(timeout=WITHIN)
    return dict(sum((Counter(answer) for answer in answers), Counter()))
