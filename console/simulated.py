"""The simulated service that `demo`, `drill` and `rehearse` run against: a process, a temporary folder and a provider.

Kept apart because these commands need it and none imports another.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from console.provider.contract import Provider
from console.provider.http.secret import Secret
from console.provider.services import DIRECT, make_provider
from console.simulator.faults import FaultSpec
from console.simulator.process import SimulatorProcess
from console.simulator.resources import AGENTS

KEY = "demo"
"""The API key. The simulator accepts any."""
MEMORY = Path("/dev/shm")
FREE_BYTES = 256 << 20
"""Bytes that must be free in memory: the store refuses launches on a disk that is nearly full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What a launch at the simulated service of one kind may name."""

    agent: str
    model: str
    environment: str = ""
    """As `Task.environment`."""
    environment_key: str = "environment"
    """The key of the config that sets it."""
    agents: frozenset[str] = frozenset()
    """All agents that exist there, beside `agent`."""
    environments: frozenset[str] = frozenset()
    """All environments that exist there, beside `environment`."""


SIMULATED: Mapping[str, Simulated] = {
    "gemini": Simulated(agent="antigravity-preview-09-2026", model="gemini-3.8-flash", agents=AGENTS),
    "anthropic": Simulated(agent="agent_simulated", model="claude-haiku-5-5", environment="env_simulated"),
    "openai": Simulated(
        agent="agent_simulated",
        model="gpt-6-astra",
        environment="small",
        environment_key="container",
        agents=frozenset({""}),
        environments=frozenset({"medium", "large"}),
    ),
}
"""By the kind of the service. A new face of the simulator needs an entry: `drill` runs once for each."""


@contextmanager
def simulated_service(
    name: str, *, seed: int, faults: FaultSpec = (), kind: str = "gemini"
) -> Iterator[tuple[SimulatorProcess, Path]]:
    """Run a simulator of that kind beside a temporary folder; both are gone when the block ends.

    Raises RuntimeError if the simulator does not start.
    """
    with (
        temporary_folder(name) as folder,
        SimulatorProcess(seed=seed, faults=faults, face=kind) as simulator,
    ):
        yield simulator, folder


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """Make a folder for the block, in memory if there is room."""
    with tempfile.TemporaryDirectory(prefix=f"nightdesk-{name}-", dir=memory_folder()) as folder:
        yield Path(folder)


def memory_folder(memory: Path = MEMORY) -> Path | None:
    """Return a file system in memory that has room, where hundreds of synchronous writes take no time; else None."""
    try:
        has_room = shutil.disk_usage(memory).free >= FREE_BYTES
    except OSError:
        return None
    return memory if has_room and os.access(memory, os.W_OK | os.X_OK) else None


def simulator_provider(url: str, kind: str = "gemini", launch: str = DIRECT) -> Callable[[str], Provider]:
    """Return a factory of the real HTTP client of that kind, pointed at the simulator at `url`."""

    def make(name: str) -> Provider:
        return make_provider(kind=kind, base_url=url, api_version="v1beta", secret=Secret(KEY), launch=launch)

    return make
