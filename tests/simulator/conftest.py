"""A simulated service whose clock stands still until a test advances it, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.simulator.caller import Caller

START_WALL_S = 1_795_402_800.0
"""2026-11-23T03:00:00Z."""


@pytest.fixture
def state() -> SimulatorState:
    """A seeded state. Its clock moves only by `advance`."""
    return SimulatorState(seed=11, now=lambda: 1000.0, wall=lambda: START_WALL_S)


@pytest.fixture
def simulator(state: SimulatorState) -> Iterator[SimulatorThread]:
    """A server for that state."""
    with SimulatorThread(state) as simulator:
        yield simulator


@pytest.fixture
def caller(simulator: SimulatorThread) -> Iterator[Caller]:
    """A client of that server."""
    caller = Caller(simulator.url)
    yield caller
    caller.close()
