"""T4: thousands of kills at named steps, with a failing network: no launch is doubled, lost or forgotten.

Every crash point K1 to K18 meets every fault class that can occur there, with up to four deaths in a row.
"""

from __future__ import annotations

import random
import time

import pytest

from tests.kills.counting import WORKERS, counted
from tests.kills.plan import PLAN, cells, trials
from tests.kills.planted_bugs import PLANTED_BUGS
from tests.reporting import report
from tests.tools import need_strace


def _prove(*, per_cell: int, at_least: int, each: int) -> None:
    seed, began = random.randrange(2**32), time.monotonic()
    count = counted(seed, "--per-cell", str(per_cell), workers=WORKERS)
    again = f"python -m tests.kills.worker --seed {seed} --per-cell {per_cell} --only NUMBER"
    report(
        f"seed {seed}: {count.trials} trials, {count.kills} kills, {len(count.cells)} cells, "
        f"{len(count.missed)} deaths that did not happen, {time.monotonic() - began:.0f} s"
    )
    assert not count.breaches, "\n".join([again, *count.breaches])
    assert count.trials == len(trials(seed, per_cell))
    few = {cell: count.cells.get(cell, 0) for cell in cells() if count.cells.get(cell, 0) < each}
    assert not few, "\n".join([again, str(few), *count.missed])
    assert count.kills >= at_least


def test_the_plan_has_every_crash_point() -> None:
    assert {row.name for row in PLAN} == {f"K{number}" for number in range(1, 19)}


def test_two_thousand_kills_break_no_invariant() -> None:
    _prove(per_cell=4, at_least=2_000, each=3)


@pytest.mark.soak
def test_twenty_thousand_kills_break_no_invariant() -> None:
    _prove(per_cell=40, at_least=20_000, each=10)


@pytest.mark.parametrize("bug", sorted(PLANTED_BUGS))
def test_a_planted_bug_is_found(bug: str) -> None:
    at_calls = PLANTED_BUGS[bug].at_calls
    if at_calls:
        need_strace()
    seed = random.randrange(2**32)
    count = counted(seed, "--planted-bug", bug, *(["--system-calls"] if at_calls else []))
    report(f"seed {seed}: {bug}: found at trial {count.trials}")
    assert count.breaches
