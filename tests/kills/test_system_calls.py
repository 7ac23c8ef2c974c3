"""T5: a launch is killed at each of its system calls, or the call fails as on a broken or full disk.

Afterwards the next process finds an intact store and brings the run to its end, or to a person.
"""

from __future__ import annotations

import random
import time

import pytest

from tests.kills.counting import WORKERS, counted
from tests.reporting import report
from tests.tools import need_strace


@pytest.fixture(autouse=True)
def _strace() -> None:
    need_strace()


def _prove(*, every: int, errors_every: int, kills: int, errors: int) -> None:
    seed, began = random.randrange(2**32), time.monotonic()
    words = ("--system-calls", "--every", str(every), "--errors-every", str(errors_every))
    count = counted(seed, *words, workers=WORKERS)
    report(
        f"seed {seed}: {count.trials} strikes, {count.kills} kills, {count.cells}, "
        f"{len(count.missed)} calls that did not happen, {time.monotonic() - began:.0f} s"
    )
    assert not count.breaches, "\n".join(
        [f"python -m tests.kills.worker --seed {seed} {' '.join(words)}", *count.breaches]
    )
    assert len(count.missed) <= count.trials // 20, count.missed
    assert count.kills >= kills
    assert count.trials - count.kills - len(count.missed) >= errors


def test_a_death_or_a_broken_disk_at_any_call_is_survived() -> None:
    """Of the most frequent calls (page writes, locks, wake-ups) every fourth is struck, from a random first one."""
    _prove(every=4, errors_every=12, kills=350, errors=60)


@pytest.mark.soak
def test_a_death_and_a_broken_disk_at_every_single_call_is_survived() -> None:
    _prove(every=1, errors_every=1, kills=900, errors=600)
