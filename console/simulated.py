"""The simulated service that `demo` and `drill` run against: a process, a temporary folder and a provider for it.

Kept apart because both commands need it and neither imports the other.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from console.provider.contract import Provider
from console.provider.http.secret import Secret
from console.provider.services import make_provider
from console.simulator.faults import FaultSpec
from console.simulator.process import SimulatorProcess

KEY = "demo"
"""The API key. The simulator accepts any."""
MEMORY = Path("/dev/shm")
FREE_BYTES = 256 << 20
"""Bytes that must be free in memory: the store refuses launches on a disk that is nearly full."""


@contextmanager
def simulated_service(name: str, *, seed: int, faults: FaultSpec = ()) -> Iterator[tuple[SimulatorProcess, Path]]:
    """Run a simulator beside a temporary folder; both are gone when the block ends.

    Raises RuntimeError if the simulator does not start.
    """
    with (
        tempfile.TemporaryDirectory(prefix=f"nightdesk-{name}-", dir=memory_folder()) as folder,
        SimulatorProcess(seed=seed, faults=faults) as simulator,
    ):
        yield simulator, Path(folder)


def memory_folder(memory: Path = MEMORY) -> Path | None:
    """Return a file system in memory that has room, where hundreds of synchronous writes take no time; else None."""
    try:
        has_room = shutil.disk_usage(memory).free >= FREE_BYTES
    except OSError:
        return None
    return memory if has_room and os.access(memory, os.W_OK | os.X_OK) else None


def simulator_provider(url: str) -> Callable[[str], Provider]:
    """Return a factory of the real HTTP client, pointed at the simulator at `url`."""

    def make(name: str) -> Provider:
        return make_provider(kind="gemini", base_url=url, api_version="v1beta", secret=Secret(KEY))

    return make
