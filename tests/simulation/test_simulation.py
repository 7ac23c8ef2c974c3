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

SAFETY, LIVENESS, EXCEPTIONS, BLOCKED, SERVICES, COPIES, CONFIGS, OUTPUTS = 2_250, 750, 5_500, 500, 400, 500, 500, 500
"""Worlds of each run of the suite; `make soak` runs a million others."""
FIRST_LIVE, FIRST_EXCEPTION, FIRST_OF_SOAK = 1_000_000, 3_000_000, 10_000_000
FIRST_BLOCKED, FIRST_SERVICE, FIRST_COPY, FIRST_CONFIG = 4_000_000, 5_000_000, 6_000_000, 7_000_000
FIRST_OUTPUT = 8_000_000
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


def test_a_store_or_a_log_that_does_not_answer_delays_no_cut_off() -> None:
    tally = run_many(FIRST_BLOCKED, BLOCKED, Mode.BLOCKED)
    check(tally)
    assert tally.counts["cut-offs while the store was held"] > BLOCKED / 25, tally.counts
    assert tally.counts["stops stored"] > BLOCKED / 5, tally.counts


def test_an_output_that_blocks_breaks_or_fails_delays_no_cut_off_and_ends_nothing() -> None:
    tally = run_many(FIRST_OUTPUT, OUTPUTS, Mode.OUTPUTS)
    check(tally)
    for what, least in {
        "cut-offs while an output did not work": OUTPUTS / 10,
        "runs followed to their end": OUTPUTS / 3,
        "terminals lost": OUTPUTS / 20,
        "stops stored": OUTPUTS / 5,
    }.items():
        assert tally.counts[what] > least, tally.counts


def test_nobody_asks_a_service_for_a_run_of_another_and_who_cannot_guard_takes_nothing() -> None:
    tally = run_many(FIRST_SERVICE, SERVICES, Mode.SERVICES)
    check(tally)
    assert tally.counts["take-overs"] > SERVICES / 40, tally.counts
    assert tally.counts["launches"] > SERVICES / 4, tally.counts
    for what in ("scheduled launches", "runs seen with a refused key"):
        assert tally.counts[what] > SERVICES / 40, tally.counts


def test_a_copied_folder_and_an_older_database_launch_no_key_again() -> None:
    tally = run_many(FIRST_COPY, COPIES, Mode.COPIES)
    check(tally)
    for what in ("copy worlds", "backup worlds", "refusals"):
        assert tally.counts[what] > COPIES / 10, tally.counts


def test_a_config_that_changes_moves_no_limit_of_a_run_and_judges_every_launch() -> None:
    tally = run_many(FIRST_CONFIG, CONFIGS, Mode.CONFIGS)
    check(tally)
    for what in ("edits", "launches after an edit", "runs seen whose task is in no config"):
        assert tally.counts[what] > CONFIGS / 10, tally.counts


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
