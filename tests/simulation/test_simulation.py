"""Thousands of worlds in simulated time: no invariant breaks whatever goes wrong, and supervision goes on.

Liveness: once nothing goes wrong any more, every run ends or raises an alarm within fifteen minutes. Supervision: no
exception at a port of an engine ends it: runs are cut off in time, locks released, exceptions shown.
"""

from __future__ import annotations

import pytest

from tests.reporting import report
from tests.simulation.exception_injector import KINDS
from tests.simulation.runner import Tally, run_many, run_seeds
from tests.simulation.world import Mode

SAFETY, LIVENESS, EXCEPTIONS = 6_000, 1_500, 5_000
"""Worlds of each run of the suite; `make soak` runs a million others."""
FIRST_LIVE, FIRST_EXCEPTION, FIRST_OF_SOAK = 1_000_000, 3_000_000, 10_000_000
"""Where the seeds of each kind begin, so that one number means one world."""


def check(tally: Tally) -> None:
    """Fails with the history of the first broken seeds."""
    report(tally.line())
    assert not tally.broken, "\n\n".join(f"seed {seed}: {story}" for seed, story in list(tally.broken.items())[:2])


def test_no_fault_breaks_an_invariant() -> None:
    tally = run_many(0, SAFETY, Mode.SAFETY)
    check(tally)
    assert tally.posts > SAFETY / 4, "worlds in which nothing is launched show nothing"
    assert tally.deaths > SAFETY / 20


def test_once_the_faults_end_every_run_ends_or_raises_an_alarm() -> None:
    check(run_many(FIRST_LIVE, LIVENESS, Mode.LIVENESS))


def test_supervision_recovers_from_any_exception_at_any_call() -> None:
    tally = run_many(FIRST_EXCEPTION, EXCEPTIONS, Mode.EXCEPTIONS)
    check(tally)
    report(f"cut off at most {tally.latest_s:.0f} s past the limit or the latest exception")
    missed = {(site, kind) for site in tally.reached for kind in KINDS} - tally.struck
    report(f"{len(tally.struck)} of {len(tally.reached) * len(KINDS)} pairs of call and exception were struck")
    assert len(missed) <= len(tally.reached) * len(KINDS) // 10, sorted(missed)


def test_a_seed_is_the_same_world_every_time() -> None:
    for mode in Mode:
        first, second = (run_seeds(40, 60, mode) for _ in range(2))
        assert (first.posts, first.agents, first.runs, first.simulated_s, first.struck) == (
            second.posts,
            second.agents,
            second.runs,
            second.simulated_s,
            second.struck,
        )


@pytest.mark.soak
@pytest.mark.parametrize("mode", list(Mode))
def test_no_invariant_breaks_in_very_many_worlds(mode: Mode) -> None:
    check(run_many(FIRST_OF_SOAK, 350_000, mode))
