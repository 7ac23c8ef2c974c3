"""`drill` exercises the guardrails, and fails if one of them does not work."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest

from console.drill.checks import CHECKS
from console.drill.runner import DrillEnv, drill, expect
from console.simulated import SIMULATED
from tests.cli.json_check import check

GUARDS = {
    "timeout",
    "budget cut-off",
    "daily cap",
    "idempotency key",
    "in-flight duplicate",
    "lost reply",
    "failing cancel",
    "kill switch",
    "take-over",
}


def test_every_guardrail_works_and_the_drill_reports_it() -> None:
    command = [sys.executable, "-m", "console", "drill", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    findings = check("drill", done.stdout)
    assert {(finding["service"], finding["guard"]) for finding in findings} == set(product(SIMULATED, GUARDS))
    assert [finding for finding in findings if not finding["passed"]] == []
    assert done.returncode == 0


@pytest.mark.parametrize("guard", ["timeout", "budget cut-off", "idempotency key", "failing cancel"])
async def test_a_check_fails_when_launch_replies_are_lost(guard: str) -> None:
    """The service cannot be asked for a launch, so no run can be monitored, and each of these checks must fail."""
    only = {guard: CHECKS[guard]}
    (finding,) = await drill(only, {}, faults=("create.lost_reply",), kinds=("gemini",))
    assert not finding.passed, finding


async def test_an_exception_in_a_check_is_reported_as_a_failure() -> None:
    async def breaks(env: DrillEnv) -> str:
        raise OSError("the disk is gone")

    async def misses(env: DrillEnv) -> str:
        expect(False, "nothing fired")
        return "never said"

    broken, missed = await drill({"broken": ("", breaks), "missed": ("", misses)}, {}, kinds=("gemini",))
    assert (broken.passed, broken.seen) == (False, "OSError: the disk is gone")
    assert (missed.passed, missed.seen) == (False, "nothing fired")
