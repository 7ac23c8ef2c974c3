"""The demo: the real engine, store, log and screen, with the simulator as the provider and a folder that goes away."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from console.app import App, open_app
from console.demo.config_file import KEY, write_config
from console.demo.history import CRON, seed
from console.demo.tasks import BY_HAND, PROPOSED, demo_settings
from console.domain.timestamps import Timestamp
from console.engine.clock import SystemClock
from console.engine.models import LaunchRequest
from console.engine.scheduling.cron import date_for
from console.journal.runs_log import LogWriter
from console.provider.contract import Provider
from console.simulator.process import SimulatorProcess
from console.store.store import Store

SEED = 7
MEMORY = Path("/dev/shm")
ROOM = 256 << 20
"""Bytes that must be free there: the store refuses launches on a disk that is nearly full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What is running."""

    house: App
    options: tuple[str, ...]
    """With these, a command of another terminal reaches it, for as long as it lives."""


@asynccontextmanager
async def running_demo(by: str) -> AsyncIterator[Demo]:
    """Everything of the demo; on leaving nothing of it stays. Raises StoreError, RuntimeError."""
    with (
        tempfile.TemporaryDirectory(prefix="nightdesk-demo-", dir=quick_folder()) as name,
        SimulatorProcess(seed=SEED) as simulator,
    ):
        folder = Path(name) / "state"
        await prepare(folder, SystemClock().now())
        settings, make = demo_settings(), simulator_provider(simulator.url)
        config = write_config(Path(name), settings, simulator.url)
        async with open_app(folder=folder, settings=settings, make_provider=make) as house:
            await launch_samples(house, by)
            yield Demo(house=house, options=("--config", str(config), "--state-dir", str(folder)))


def quick_folder(memory: Path = MEMORY) -> Path | None:
    """Where hundreds of synchronous writes take no time: in memory, where there is room; else None."""
    try:
        roomy = shutil.disk_usage(memory).free >= ROOM
    except OSError:
        return None
    return memory if roomy and os.access(memory, os.W_OK | os.X_OK) else None


async def prepare(folder: Path, now: Timestamp) -> None:
    """A state folder with a week behind it. Raises StoreError."""
    store = await Store.open(folder, now=now)
    log = LogWriter(folder / "runs.log")
    try:
        await seed(store, log, now, random.Random(SEED))
    finally:
        log.close()
        await store.close()


def simulator_provider(url: str) -> Callable[[], Provider]:
    """Makes the real HTTP client, pointed at the simulator."""

    def make() -> Provider:
        from console.provider.gemini.adapter import GeminiProvider
        from console.provider.http.secret import Secret

        return GeminiProvider(base_url=url, secret=Secret(KEY))

    return make


async def launch_samples(house: App, by: str) -> None:
    """Something to see from the first second on."""
    for task in BY_HAND:
        await house.engine.operations.launch(LaunchRequest(task=task.name, by=by))
    today = date_for(PROPOSED, house.clock.now().utc(), scheduled=False)
    await house.engine.operations.launch(LaunchRequest(task=PROPOSED.name, date=today, by=CRON, scheduled=True))
