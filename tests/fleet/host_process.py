"""One host of a fleet as a process: an engine that launches what its standard input names, a target for each line.

`python -m tests.fleet.host_process ORDER`, where ORDER is a `HostOrder` as JSON. It prints `ready OWNER` and then, for
each target, `TARGET launched` or what else became of it; STOP_ALL stops all runs. At the end of its input it hands its
runs over.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgspec

from console.domain.caps import Caps
from console.engine.errors import StoreError
from console.engine.leases import LeaseTimes
from console.engine.models import LaunchRequest
from console.engine.settings import ProcessKind
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.secret import Secret
from console.simulator.scenario import Scenario
from console.store.fleet_settings import FleetSettings
from tests.at_service import settings_at
from tests.engine.building import BY, QUICK, a_task
from tests.fleet.building import Host, host

STOP_ALL = "!stop"
SCALE = 2
"""The program's own intervals are so many times longer."""
TIMES = LeaseTimes(renew_ms=2_500, term_ms=10_000, trust_ms=6_000, contact_ms=10_000, schedule_ms=15_000)
ANSWER_MS, OVERDUE_MS = 65_000 // SCALE, 15_000 // SCALE


class HostOrder(msgspec.Struct, kw_only=True, frozen=True):
    """What a host is started with."""

    folder: str
    name: str
    url: str
    schema: str
    service: str
    """The URL of the simulated service."""
    step_s: float
    """Each run takes ten steps of this duration."""
    max_ms: int = 600_000
    day_runs: int | None = None
    """The cap on the launches of a day."""


async def live(order: HostOrder) -> None:
    """Run the host until its input ends."""
    scenario = Scenario(steps=10, step_seconds=order.step_s, tokens_per_step=100)
    task = a_task(prompt=scenario.prompt(), max_ms=order.max_ms)
    use = settings_at("gemini", task, ProcessKind.SERVE)
    caps = Caps(daily_units=None, monthly_units=None, daily_runs=order.day_runs, concurrent_runs=None, time_zone="UTC")
    use = replace(use, caps=caps)
    timings = replace(QUICK, tick_s=0.2, answer_ms=ANSWER_MS, overdue_ms=OVERDUE_MS, cancel_longest_s=1.0)
    fleet = FleetSettings(url=order.url, schema=order.schema, host=order.name)
    provider = GeminiProvider(base_url=order.service, secret=Secret("kept-in-mind-only"))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(provider.aclose)
        one = await stack.enter_async_context(
            host(fleet, Path(order.folder), provider, use, timings=timings, times=TIMES)
        )
        _say(f"ready {one.ownership.id}")
        async with asyncio.TaskGroup() as launches:
            while target := (await asyncio.to_thread(sys.stdin.readline)).strip():
                launches.create_task(_launch(one, target))


async def _launch(one: Host, target: str) -> None:
    request = LaunchRequest(task="report", date="2026-11-23", target=target, by=BY)
    try:
        if target == STOP_ALL:
            await one.engine.operations.stop_all(by=BY)
            return
        said = str((await one.engine.operations.launch(request)).kind)
    except StoreError as error:
        said = type(error).__name__
    _say(f"{target} {said}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(live(msgspec.json.decode(sys.argv[1], type=HostOrder)))
