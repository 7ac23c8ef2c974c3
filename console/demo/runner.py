"""Runs the demo: the real engine, store and log on the simulated service, in a temporary folder."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from console.app import App, open_app, service_settings
from console.config import load
from console.demo.config_file import write_config
from console.demo.history import CRON, seed
from console.demo.tasks import BY_HAND, PROPOSED, demo_settings
from console.domain.timestamps import Timestamp
from console.engine.clock import SystemClock
from console.engine.models import LaunchRequest
from console.engine.scheduling.cron import date_for
from console.journal.runs_log import LogWriter
from console.simulated import simulated_service, simulator_provider
from console.store.store import Store

SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A running demo."""

    app: App
    options: tuple[str, ...]
    """The options with which a command in another terminal reaches it."""


@asynccontextmanager
async def running_demo(by: str, kind: str = "gemini") -> AsyncIterator[Demo]:
    """Run the demo at a simulated service of that kind for the block; nothing of it remains.

    Raises StoreError, RuntimeError.
    """
    with simulated_service("demo", seed=SEED, kind=kind) as (simulator, parent):
        folder = parent / "state"
        await prepare(folder, SystemClock().now())
        settings, make = demo_settings(kind=kind), simulator_provider(simulator.url, kind)
        config = write_config(parent, settings, simulator.url)
        # Commands in another terminal are set up for the same service.
        settings = replace(settings, services=(service_settings(load(config).providers["default"]),))
        async with open_app(folder=folder, settings=settings, make_provider=make) as app:
            await launch_samples(app, by)
            yield Demo(app=app, options=("--config", str(config), "--state-dir", str(folder)))


async def prepare(folder: Path, now: Timestamp) -> None:
    """Make a state folder with a month of history. Raises StoreError."""
    store = await Store.open(folder, now=now)
    log = LogWriter(folder / "runs.log")
    try:
        await seed(store, log, now, random.Random(SEED))
    finally:
        log.close()
        await store.close()


async def launch_samples(app: App, by: str) -> None:
    """Launch the sample runs that the demo shows from its first second on."""
    for task in BY_HAND:
        await app.engine.operations.launch(LaunchRequest(task=task.name, by=by))
    today = date_for(PROPOSED, app.clock.now().utc(), scheduled=False)
    await app.engine.operations.launch(LaunchRequest(task=PROPOSED.name, date=today, by=CRON, scheduled=True))
