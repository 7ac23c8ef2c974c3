"""Thousands of worlds in simulated time: whatever goes wrong in whichever order, no invariant breaks; and once
nothing goes wrong any more, every run is over or calls for a person within fifteen minutes."""

from __future__ import annotations

import pytest

from tests.reporting import report
from tests.simulation.runner import Tally, run_many, run_seeds

SAFETY, LIVENESS = 10_000, 2_000
"""Worlds walked each time; `make soak` walks a million others."""
FIRST_LIVE = 1_000_000
"""Liveness seeds begin here, so that one number names one world."""


def whole(tally: Tally) -> None:
    """Fails with the story of the first broken seed."""
    report(tally.line())
    assert not tally.broken, "\n\n".join(f"seed {seed}: {story}" for seed, story in list(tally.broken.items())[:2])


def test_no_trouble_breaks_an_invariant() -> None:
    tally = run_many(0, SAFETY, live=False)
    whole(tally)
    assert tally.posts > SAFETY / 4, "worlds in which nothing is launched prove nothing"
    assert tally.deaths > SAFETY / 20


def test_once_the_troubles_end_every_run_is_over_or_alarmed() -> None:
    whole(run_many(FIRST_LIVE, LIVENESS, live=True))


def test_a_seed_is_the_same_world_every_time() -> None:
    first, second = (run_seeds(40, 60, live=True) for _ in range(2))
    assert (first.posts, first.agents, first.runs, first.simulated_s) == (
        second.posts,
        second.agents,
        second.runs,
        second.simulated_s,
    )


@pytest.mark.soak
def test_no_trouble_breaks_an_invariant_in_very_many_worlds() -> None:
    whole(run_many(2_000_000, 1_000_000, live=False))
