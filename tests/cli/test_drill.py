"""The drill proves the guards, and fails where a guard does not do what it is for: else its table is decoration."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from console.drill.checks import CHECKS
from console.drill.runner import DrillEnv, drill, expect

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


def test_every_guard_fires_and_the_command_says_so() -> None:
    command = [sys.executable, "-m", "console", "drill", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    findings = json.loads(done.stdout)
    assert {finding["guard"] for finding in findings} == GUARDS
    assert [finding for finding in findings if not finding["passed"]] == []
    assert done.returncode == 0


@pytest.mark.parametrize("guard", ["timeout", "budget cut-off", "idempotency key", "failing cancel"])
async def test_a_check_fails_where_the_launch_is_never_known(guard: str) -> None:
    """With every answer to a launch lost, no run can be followed: each of these checks must notice."""
    only = {guard: CHECKS[guard]}
    (finding,) = await drill(only, {}, faults=("create.lost_reply",))
    assert not finding.passed, finding


async def test_a_check_that_breaks_is_a_failure_and_not_a_crash() -> None:
    async def breaks(env: DrillEnv) -> str:
        raise OSError("the disk is gone")

    async def misses(env: DrillEnv) -> str:
        expect(False, "nothing fired")
        return "never said"

    broken, missed = await drill({"broken": ("", breaks), "missed": ("", misses)}, {})
    assert (broken.passed, broken.seen) == (False, "OSError: the disk is gone")
    assert (missed.passed, missed.seen) == (False, "nothing fired")
