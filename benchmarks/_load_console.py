"""One console with many live runs, which measures itself: the process that `benchmarks.load` watches.

`python -m benchmarks._load_console FOLDER URL RUNS SECONDS` in a terminal. All runs are launched at once. Then the
console is shown for SECONDS, while short runs reach their timeout. It leaves `measured.json` in FOLDER.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from console.app import App, open_app
from console.domain.caps import Caps
from console.domain.launch import LaunchRequest, LaunchResult
from console.domain.run import Run, RunId, State
from console.domain.task import Guardrails, Task
from console.domain.usage import Units
from console.engine.settings import EngineSettings, ProcessKind, ServiceSettings
from console.provider.contract import (
    CancelAnswer,
    LaunchOrder,
    LostLaunch,
    RemoteRun,
    Resolution,
    StreamEvent,
    Unstarted,
    Verdict,
)
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.secret import Secret
from console.provider.traits import Traits
from console.simulator.scenario import Ending, Scenario
from console.start_up import defer_collection, shorten_turns
from console.ui.run_console import run_console

SHORT_RUNS = 50
"""Runs that reach their timeout while the console is measured."""
SHORT_MS = 5_000
POLL_MS = 5_000
SAMPLE_S = 0.005
SETTLE_S = 5.0
LAUNCHED_WITHIN_S = 300.0
BY = "benchmark tty=no"
AGENT = Scenario(step_seconds=5, tokens_per_step=500, jitter=0.3, cancel_seconds=0.1, ending=Ending.NEVER)
UNLIMITED = Caps(daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None, time_zone="UTC")
READY, DONE, MEASURED = "ready", "done", "measured.json"
"""The files that say when it is measured, and what came of it."""


class TimedProvider:
    """The real provider, and the times of its cancel calls on the wall clock, in seconds."""

    def __init__(self, provider: GeminiProvider) -> None:
        self._provider = provider
        self.polls = 0
        """How many polls were asked for."""
        self.cancels_sent: dict[str, float] = {}
        """The wall time at which the first cancel of each remote id was sent."""
        self.cancels_answered: dict[str, float] = {}
        """The wall time of the answer to the first cancel of each remote id. The service had the cancel before."""

    @property
    def times(self) -> tuple[dict[str, float], dict[str, float]]:
        """When the first cancel of each remote id was sent, and when it was answered."""
        return self.cancels_sent, self.cancels_answered

    async def create(self, order: LaunchOrder) -> Verdict:
        return await self._provider.create(order)

    @property
    def traits(self) -> Traits:
        return self._provider.traits

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        return await self._provider.review(order)

    async def prepared_exists(self, prepared_id: str) -> bool:
        return await self._provider.prepared_exists(prepared_id)

    async def unstarted(self) -> tuple[Unstarted, ...]:
        return await self._provider.unstarted()

    async def resolve(self, lost: LostLaunch) -> Resolution:
        return await self._provider.resolve(lost)

    async def prepare(self, order: LaunchOrder) -> str:
        return await self._provider.prepare(order)

    async def discard(self, prepared_id: str) -> None:
        await self._provider.discard(prepared_id)

    async def get(self, remote_id: str) -> RemoteRun:
        self.polls += 1
        return await self._provider.get(remote_id)

    def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        return self._provider.follow(remote_id)

    async def cancel(self, remote_id: str) -> CancelAnswer:
        self.cancels_sent.setdefault(remote_id, time.time())
        answer = await self._provider.cancel(remote_id)
        self.cancels_answered.setdefault(remote_id, time.time())
        return answer

    async def aclose(self) -> None:
        await self._provider.aclose()


class LagSampler:
    """How late the event loop wakes a task that sleeps for SAMPLE_S, in seconds."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.work: list[float] = []
        """The CPU time of the thread of the event loop between two samples: its own part of the lag."""

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            before, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(SAMPLE_S)
            self.lags.append(time.perf_counter() - before - SAMPLE_S)
            self.work.append(time.thread_time() - worked)

    def restart(self) -> None:
        """Forget what was sampled."""
        self.lags, self.work = [], []


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def task(name: str, max_ms: int) -> Task:
    """Return a task whose run never ends by itself."""
    return Task(
        name=name,
        target=name,
        prompt=AGENT.prompt("Look after the site."),
        agent="antigravity-preview-09-2026",
        model="gemini-3.8-flash",
        guardrails=Guardrails(max_ms=max_ms, budget=10_000_000),
    )


def engine_settings(names: Sequence[str], short: Sequence[str]) -> EngineSettings:
    """Return the settings of the console, with tasks of these names; the short ones reach their timeout."""
    return EngineSettings(
        tasks=tuple([task(name, 3_600_000) for name in names] + [task(name, SHORT_MS) for name in short]),
        caps=UNLIMITED,
        units=Units(tokens_per_unit=10_000, cached_weight_milli=100),
        services=(ServiceSettings(poll_ms=POLL_MS),),
        kind=ProcessKind.CONSOLE,
    )


async def launch_all(app: App, names: Sequence[str]) -> dict[str, Any]:
    """Launch all at once and wait for their answers."""
    started = time.monotonic()
    launches = await asyncio.gather(*(launch(app, name) for name in names))
    claimed_s = time.monotonic() - started
    await all_answered(app)
    runs = [await app.store.runs.get(result.run.id) for result in launches]
    return {
        "ids": [result.run.id for result in launches],
        "results": Counter(result.kind.value for result in launches),
        "claimed_s": claimed_s,
        "launched_s": time.monotonic() - started,
        "states": Counter("forgotten" if run is None else str(run.outcome or run.state) for run in runs),
    }


async def show(
    app: App, folder: Path, seconds: int, short: Sequence[str], lag: LagSampler, provider: TimedProvider
) -> dict[str, Any]:
    """Show the console, and launch the short runs one after the other. Returns what was measured, and the runs."""
    screen = asyncio.create_task(run_console(app.engine, clock=app.clock))
    await asyncio.sleep(SETTLE_S)
    lag.restart()
    cpu, memory, polls, started = cpu_seconds(), memory_bytes(), provider.polls, time.monotonic()
    (folder / READY).touch()
    launching, memories = [], []
    for name in short:
        launching.append(asyncio.create_task(launch(app, name)))
        await asyncio.sleep(seconds / SHORT_RUNS)
        memories.append(memory_bytes() - memory)
    elapsed_s = time.monotonic() - started
    cpu, lags, work = cpu_seconds() - cpu, list(lag.lags), list(lag.work)
    polls_per_s = (provider.polls - polls) / elapsed_s
    (folder / DONE).touch()
    await asyncio.sleep(SHORT_MS / 1000 + SETTLE_S)
    os.kill(os.getpid(), signal.SIGTERM)
    await screen
    return {
        "short_ids": [result.run.id for result in await asyncio.gather(*launching)],
        "lag_p50_ms": percentile(lags, 0.5) * 1000,
        "lag_p99_ms": percentile(lags, 0.99) * 1000,
        "lag_max_ms": max(lags) * 1000,
        "work_p99_ms": percentile(work, 0.99) * 1000,
        "work_max_ms": max(work) * 1000,
        "cpu": cpu / elapsed_s,
        "polls_per_s": polls_per_s,
        "memory_mb": memory_bytes() / 1e6,
        "memory_grown_mb": [memories[len(memories) // 2] / 1e6, memories[-1] / 1e6],
    }


async def measure(folder: Path, url: str, count: int, seconds: int) -> dict[str, object]:
    """Launch `count` runs, show the console, and return what was measured."""
    names = [f"site-{number:04}" for number in range(count)]
    short = [f"short-{number:02}" for number in range(SHORT_RUNS)]
    provider, lag = TimedProvider(GeminiProvider(base_url=url, secret=Secret("not-used"))), LagSampler()
    settings = engine_settings(names, short)
    async with open_app(folder=folder / "state", settings=settings, make_provider=lambda name: provider) as app:
        sampling = asyncio.create_task(lag.run())
        launched = await launch_all(app, names)
        lag_of_launch = percentile(lag.lags, 0.99) * 1000
        shown = await show(app, folder, seconds, short, lag, provider)
        done_ms = app.clock.now().wall_ms - 1000
        sampling.cancel()
        runs, long_runs = await runs_of(app, shown.pop("short_ids")), await runs_of(app, launched.pop("ids"))
        late = [
            provider.cancels_sent.get(run.remote_id, math.inf) - run.deadline_ms / 1000
            for run in runs
            if run.remote_id is not None and run.deadline_ms is not None and run.deadline_ms < done_ms
        ]
        return {
            **launched,
            **shown,
            "lag_launch_p99_ms": lag_of_launch,
            "cut_offs": len(late),
            "cut_off_late_max_s": max(late, default=0.0),
            "stops": [
                [run.stop.at_ms / 1000, *(times.get(run.remote_id or "", math.inf) for times in provider.times)]
                for run in long_runs
                if run.stop is not None
            ],
        }


async def runs_of(app: App, ids: Sequence[RunId]) -> list[Run]:
    """Return the runs with these ids, as stored."""
    return [run for run_id in ids if (run := await app.store.runs.get(run_id)) is not None]


async def launch(app: App, name: str) -> LaunchResult:
    """Launch a task by hand."""
    return await app.engine.operations.launch(LaunchRequest(task=name, by=BY))


async def all_answered(app: App) -> None:
    """Wait until no launch is on its way any more, for at most LAUNCHED_WITHIN_S."""
    deadline = time.monotonic() + LAUNCHED_WITHIN_S
    while time.monotonic() < deadline:
        if not [run for run in await app.store.runs.open_runs() if run.state in (State.CLAIMED, State.SENDING)]:
            return
        await asyncio.sleep(1.0)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def main() -> None:
    """Measure, and leave what was measured in the folder."""
    folder, url, count, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    defer_collection()
    shorten_turns()
    measured = asyncio.run(measure(folder, url, count, seconds))
    (folder / MEASURED).write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
