"""The helpers that most tests use: `until`, the manual clock, and the isolated environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.clock import ManualClock
from tests.waiting import until, until_sync


async def test_until_takes_plain_and_async_conditions() -> None:
    checks: list[int] = []

    async def third_check() -> bool:
        checks.append(1)
        return len(checks) >= 3

    await until(third_check)
    await until(lambda: len(checks) == 3)


async def test_a_condition_that_stays_false_fails_by_its_name() -> None:
    with pytest.raises(AssertionError, match="the run ends"):
        await until(lambda: False, within=0.02, what="the run ends")
    with pytest.raises(AssertionError, match=r"not within 0\.02 s"):
        until_sync(lambda: False, within=0.02)


def test_elapsed_time_is_right_over_suspend_clock_steps_and_reboots() -> None:
    clock = ManualClock()
    start = clock.now()
    assert clock.advance(90).since(start) == 90_000
    assert clock.step_wall(-3600).since(start) == 90_000
    assert clock.step_wall(3600).since(start) == 90_000
    assert clock.reboot(away_seconds=10).since(start) == 100_000
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)


def test_the_environment_of_the_machine_is_hidden(home: Path) -> None:
    assert list(home.iterdir()) == [home / "runtime"]
    assert not [name for name in os.environ if name.startswith(("NIGHTDESK_", "SSH_"))]
    assert "GEMINI_API_KEY" not in os.environ
