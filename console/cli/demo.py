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

from console.cli.build import House, built
from console.cli.demo_config import KEY, write_config
from console.cli.demo_history import CRON, seed
from console.cli.demo_tasks import BY_HAND, PROPOSED, demo_settings
from console.domain.moment import Moment
from console.engine.clock import SystemClock
from console.engine.dates import date_for
from console.engine.snapshot import LaunchRequest
from console.journal.writer import LogWriter
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

    house: House
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
        async with built(folder=folder, settings=settings, make_provider=make) as house:
            await launch_samples(house, by)
            yield Demo(house=house, options=("--config", str(config), "--state-dir", str(folder)))


def quick_folder(memory: Path = MEMORY) -> Path | None:
    """Where hundreds of synchronous writes take no time: in memory, where there is room; else None."""
    try:
        roomy = shutil.disk_usage(memory).free >= ROOM
    except OSError:
        return None
    return memory if roomy and os.access(memory, os.W_OK | os.X_OK) else None


async def prepare(folder: Path, now: Moment) -> None:
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
        from console.provider.interactions import InteractionsProvider
        from console.provider.secret import Secret

        return InteractionsProvider(base_url=url, secret=Secret(KEY))

    return make


async def launch_samples(house: House, by: str) -> None:
    """Something to see from the first second on."""
    for task in BY_HAND:
        await house.engine.desk.launch(LaunchRequest(task=task.name, by=by))
    today = date_for(PROPOSED, house.clock.now().utc(), scheduled=False)
    await house.engine.desk.launch(LaunchRequest(task=PROPOSED.name, date=today, by=CRON, scheduled=True))
