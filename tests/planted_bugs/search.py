"""Runs the suite that must find a planted bug, in this process: `python -m tests.planted_bugs.search NAME`.

Exits with 1 where the suite fails, 0 where it passes. Without a name, with `--suite SUITE`, nothing is planted.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

import pytest

from tests.planted_bugs.bugs import BUGS, Suite
from tests.reporting import report

WORLDS = {
    Suite.WORLDS: 1_000,
    Suite.EXCEPTIONS: 400,
    Suite.BLOCKED: 400,
    Suite.SERVICES: 1_000,
    Suite.COPIES: 600,
    Suite.CONFIGS: 400,
    Suite.OUTPUTS: 400,
}
"""Seeds in which a bug must show itself."""
CONTROL = 150
"""Seeds without a bug: enough to see that worlds run at all. `tests/simulation` walks thousands."""


def search(suite: Suite, *, worlds: int | None = None) -> bool:
    """True where the suite fails; its output tells why. `worlds`: how many seeds are walked, in place of `WORLDS`."""
    if suite in WORLDS:
        # Here, so that the worlds are made of what is planted.
        from tests.simulation.runner import run_seeds
        from tests.simulation.world import Mode

        tally = run_seeds(0, worlds or WORLDS[suite], Mode(suite.value), stop_at_first=True)
        for seed, story in tally.broken.items():
            report(f"seed {seed}: {story}")
        return bool(tally.broken)
    # The program was imported before pytest, whose plugins would have liked to be first.
    late = "ignore::pytest.PytestAssertRewriteWarning"
    return pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-W", late, suite.value]) != 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=[bug.name for bug in BUGS])
    parser.add_argument("--suite", type=Suite, choices=list(Suite))
    options = parser.parse_args()
    bug = next((bug for bug in BUGS if bug.name == options.name), None)
    suite = bug.found_by if bug is not None else options.suite
    with bug.plant() if bug is not None else nullcontext():
        return int(search(suite, worlds=None if bug is not None else CONTROL))


if __name__ == "__main__":
    sys.exit(main())
