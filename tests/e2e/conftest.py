"""The console in tmux and the service it talks to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.e2e.installed_console import InstalledConsole
from tests.e2e.tmux import needs_tmux


@pytest.fixture
def service() -> SimulatorState:
    return SimulatorState(seed=5)


@pytest.fixture
def here(tmp_path: Path, installed: Path, service: SimulatorState) -> Iterator[InstalledConsole]:
    needs_tmux()
    with SimulatorThread(service) as simulator:
        here = InstalledConsole(tmp_path, installed / "bin" / "nightdesk", simulator.url)
        yield here
        here.terminal.close()
