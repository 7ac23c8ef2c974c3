"""Runs the demo of several hosts: three engines in processes of their own, one database, and a console over them."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from console.app import App, open_app, service_settings
from console.config import load
from console.demo.config_file import write_config
from console.demo.postgres_server import postgres_server
from console.demo.tasks import AUDIT, CRAWLER, NOTES, demo_settings
from console.domain.task import Task
from console.engine.clock import SystemClock
from console.program import own_command
from console.simulated import simulated_service, simulator_provider
from console.store.fleet_settings import FleetSettings
from console.store.postgres.administration import create_store

SEED = 11
HOSTS: tuple[tuple[str, Task], ...] = (("web1", CRAWLER), ("web2", NOTES), ("web3", AUDIT))
"""Each host with the task whose run it launches and supervises."""
LOOKS, LOOK_S = 300, 0.2
"""How often it is looked for the runs of the hosts, and the seconds between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDemo:
    """A demo of several hosts that runs."""

    app: App
    options: tuple[str, ...]
    """The options with which a command in another terminal reaches it."""
    pids: tuple[tuple[str, int], ...]
    """The process of each host."""


@asynccontextmanager
async def running_fleet() -> AsyncIterator[FleetDemo]:
    """Run the demo for the block; nothing of it remains. Raises RuntimeError in one line, StoreError."""
    with simulated_service("fleet", seed=SEED) as (simulator, parent), postgres_server() as url:
        fleet = FleetSettings(url=url, host="desk")
        create_store(fleet, SystemClock().now())
        settings = demo_settings(kind="gemini")
        configs = {}
        for host in ("desk", *(name for name, _ in HOSTS)):
            (parent / host).mkdir(mode=0o700)
            config = configs[host] = write_config(parent / host, settings, simulator.url)
            with config.open("a", encoding="utf-8") as file:
                file.write(f'[store]\nurl = "{url}"\nhost = "{host}"\nstate_dir = "state"\n')
        settings = replace(settings, services=(service_settings(load(configs["desk"]).providers["default"]),))
        make = simulator_provider(simulator.url, "gemini")
        with _engines(configs) as pids:
            folder = parent / "desk" / "state"
            async with open_app(folder=folder, settings=settings, make_provider=make, fleet=fleet) as app:
                await _until_all_launch(app)
                yield FleetDemo(app=app, options=("--config", str(configs["desk"])), pids=pids)


async def _until_all_launch(app: App) -> None:
    """Wait for a run of each host. Raises RuntimeError."""
    for _ in range(LOOKS):
        if len((await app.engine.queries.snapshot()).live) >= len(HOSTS):
            return
        await asyncio.sleep(LOOK_S)
    raise RuntimeError("the hosts of the demo did not launch in time")


@contextmanager
def _engines(configs: dict[str, Path]) -> Iterator[tuple[tuple[str, int], ...]]:
    """Start the process of each host; all are killed at the end of the block, as hosts are."""
    started: list[subprocess.Popen[bytes]] = []
    nothing = subprocess.DEVNULL
    try:
        for host, task in HOSTS:
            words = own_command("--config", str(configs[host]), "run", task.name, "--origin", "manual")
            started.append(
                subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
            )
        yield tuple((host, process.pid) for (host, _), process in zip(HOSTS, started, strict=True))
    finally:
        for process in started:
            process.kill()
            process.wait()
