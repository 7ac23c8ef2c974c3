"""One simulator for all contract tests, reset before each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from console.provider.gemini.adapter import GeminiProvider
from console.simulator.server import SimulatorThread
from tests.provider.simulated import QUICK, made


@pytest.fixture(scope="package")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread() as running:
        yield running


@pytest.fixture
async def service(simulator: SimulatorThread) -> AsyncIterator[SimulatorThread]:
    simulator.state.reset()
    simulator.state.default = QUICK
    yield simulator
    simulator.state.clear_faults()


@pytest.fixture(params=["v1", "v1beta"])
async def adapter(service: SimulatorThread, request: pytest.FixtureRequest) -> AsyncIterator[GeminiProvider]:
    one = made(service, version=request.param)
    yield one
    await one.aclose()
