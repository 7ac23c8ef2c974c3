"""Fixtures: a state folder and a simulated service for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.simulator.server import SimulatorThread
from tests.cli.nightdesk import Nightdesk


@pytest.fixture
def nightdesk(tmp_path: Path) -> Iterator[Nightdesk]:
    with SimulatorThread() as simulator:
        nightdesk = Nightdesk(folder=tmp_path, url=simulator.url, service=simulator.state)
        yield nightdesk
        nightdesk.close()
