"""T4: thousands of kills at named steps, with a failing network: no launch is doubled, lost or forgotten.

Every crash point K1 to K18 meets every fault class that can occur there, with up to four deaths in a row. At services
that launch in sessions every lost launch is cleared up, unless a process died between a deletion and its record.
"""

from __future__ import annotations

import random
import time

import pytest

from tests.faults.matrix import SESSION_SERVICES
from tests.kills.counting import WORKERS, counted
from tests.kills.plan import cells, trials
from tests.kills.planted_bugs import PLANTED_BUGS
from tests.kills.session_plan import PLANS
from tests.reporting import report
from tests.tools import need_strace


def _prove(kind: str, *, per_cell: int, at_least: int, each: int, missing: int = 0) -> None:
    """Fails on a breach, fewer than `at_least` kills, or more than `missing` cells with fewer than `each` deaths."""
    seed, began, plan = random.randrange(2**32), time.monotonic(), PLANS[kind]
    count = counted(seed, "--kind", kind, "--per-cell", str(per_cell), workers=WORKERS)
    again = f"python -m tests.kills.worker --seed {seed} --kind {kind} --per-cell {per_cell} --only NUMBER"
    report(
        f"{kind}, seed {seed}: {count.trials} trials, {count.kills} kills, {len(count.cells)} cells, "
        f"{len(count.missed)} deaths that did not happen, {time.monotonic() - began:.0f} s"
    )
    assert not count.breaches, "\n".join([again, *count.breaches])
    assert count.trials == len(trials(seed, per_cell, plan))
    few = {cell: count.cells.get(cell, 0) for cell in cells(plan) if count.cells.get(cell, 0) < each}
    assert len(few) <= missing, "\n".join([again, str(few), *count.missed])
    assert count.kills >= at_least


@pytest.mark.parametrize("kind", sorted(PLANS))
def test_the_plan_has_every_crash_point(kind: str) -> None:
    assert {row.name for row in PLANS[kind]} == {f"K{number}" for number in range(1, 19)}


def test_two_thousand_kills_break_no_invariant() -> None:
    _prove("gemini", per_cell=5, at_least=2_000, each=3)


@pytest.mark.soak
def test_twenty_thousand_kills_break_no_invariant() -> None:
    _prove("gemini", per_cell=40, at_least=20_000, each=10)


@pytest.mark.parametrize("kind", sorted(SESSION_SERVICES))
def test_hundreds_of_kills_at_a_service_with_sessions_break_no_invariant(kind: str) -> None:
    """Each pair has one death only, which may come too late for it: a person or another request was quicker."""
    _prove(kind, per_cell=1, at_least=250, each=1, missing=4)


@pytest.mark.soak
@pytest.mark.parametrize("kind", sorted(SESSION_SERVICES))
def test_five_thousand_kills_at_a_service_with_sessions_break_no_invariant(kind: str) -> None:
    _prove(kind, per_cell=20, at_least=5_000, each=10)


@pytest.mark.parametrize("bug", sorted(PLANTED_BUGS))
def test_a_planted_bug_is_found(bug: str) -> None:
    at_calls = PLANTED_BUGS[bug].at_calls
    if at_calls:
        need_strace()
    seed = random.randrange(2**32)
    count = counted(seed, "--planted-bug", bug, *(["--system-calls"] if at_calls else []))
    report(f"seed {seed}: {bug}: found at trial {count.trials}")
    assert count.breaches
