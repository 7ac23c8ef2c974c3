"""Runs each test of the contract once for each service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from console.simulator.server import SimulatorThread
from tests.provider.contract.services import SERVICES, ContractHarness, Service
from tests.provider.examples import quick
from tests.provider.simulated import QUICK


@pytest.fixture(scope="package", params=SERVICES, ids=str)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Service, SimulatorThread]]:
    """A service and its face of the simulator, one for all tests."""
    service: Service = request.param
    with SimulatorThread(face=service.kind) as running:
        yield service, running


@pytest.fixture
def deadline_s() -> float:
    """The deadline of each call; a test of silence sets a shorter one."""
    return 10.0


@pytest.fixture
async def harness(served: tuple[Service, SimulatorThread], deadline_s: float) -> AsyncIterator[ContractHarness]:
    """A fresh service and its adapter."""
    service, running = served
    running.state.reset()
    running.state.default = QUICK
    provider = service.adapter(running.url, quick(create_s=deadline_s, call_s=deadline_s))
    yield ContractHarness(service=service, provider=provider, simulator=running)
    await provider.aclose()
    running.state.clear_faults()
