"""A simulated service whose time stands still until a test puts it forward, and a caller at its door."""

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
    """Seeded; its clocks move only by `advance`."""
    return SimulatorState(seed=11, now=lambda: 1000.0, wall=lambda: START_WALL_S)


@pytest.fixture
def simulator(state: SimulatorState) -> Iterator[SimulatorThread]:
    """That world, served."""
    with SimulatorThread(state) as simulator:
        yield simulator


@pytest.fixture
def caller(simulator: SimulatorThread) -> Iterator[Caller]:
    """Calls it."""
    caller = Caller(simulator.url)
    yield caller
    caller.close()
