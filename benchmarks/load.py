"""Measure one console with its screen open while it supervises many live runs, against the simulator on loopback.

`python -m benchmarks.load [--runs N] [--seconds S]`. All runs are launched at once. Then the console runs in a terminal
for S seconds: `x` is pressed once a second, and short runs reach their timeout all the time. The simulator runs in
another process. The reference for the event loop is the same sampling in a process that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import resource
import select
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks._terminal import start
from benchmarks.start_up import environment
from console.app import App, open_app
from console.domain.launch import LaunchRequest, LaunchResult
from console.domain.limits import Caps
from console.domain.run import State
from console.domain.task import Guardrails, Task
from console.domain.usage import Units
from console.engine.settings import EngineSettings, ProcessKind
from console.provider.contract import (
    CancelAnswer,
    LaunchOrder,
    LostLaunch,
    RemoteRun,
    Resolution,
    StreamEvent,
    Traits,
    Unstarted,
    Verdict,
)
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.secret import Secret
from console.simulator.process import SimulatorProcess
from console.simulator.scenario import Ending, Scenario
from console.ui.run_console import run_console

RUNS = 1000
SECONDS = 60
SHORT_RUNS = 50
"""Runs that reach their timeout while the console is measured."""
SHORT_MS = 5_000
POLL_MS = 5_000
SAMPLE_S = 0.005
SETTLE_S = 5.0
LAUNCHED_WITHIN_S = 300.0
ENDED_WITHIN_S = 60.0
BY = "benchmark tty=no"
AGENT = Scenario(step_seconds=5, tokens_per_step=500, jitter=0.3, cancel_seconds=0.1, ending=Ending.NEVER)
UNLIMITED = Caps(daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None, time_zone="UTC")
ROWS_VISIBLE = 30
READY, DONE = "ready", "done"
"""Files with which the console tells the parent when to press keys."""


class TimedProvider:
    """The real provider, and the times of its cancel calls on the monotonic and the wall clock, in seconds."""

    def __init__(self, provider: GeminiProvider) -> None:
        self._provider = provider
        self.cancels_sent: dict[str, float] = {}
        """The wall time at which the first cancel of each remote id was sent."""
        self.cancels_answered: list[tuple[float, str]] = []
        """The monotonic time of each answer and the remote id, oldest first. The service had the cancel before."""

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
        return await self._provider.get(remote_id)

    def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        return self._provider.follow(remote_id)

    async def cancel(self, remote_id: str) -> CancelAnswer:
        self.cancels_sent.setdefault(remote_id, time.time())
        answer = await self._provider.cancel(remote_id)
        self.cancels_answered.append((time.monotonic(), remote_id))
        return answer

    async def aclose(self) -> None:
        await self._provider.aclose()


class LagSampler:
    """How late the event loop wakes a task that sleeps for SAMPLE_S, in seconds."""

    def __init__(self) -> None:
        self.lags: list[float] = []

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(SAMPLE_S)
            self.lags.append(time.perf_counter() - before - SAMPLE_S)


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


async def console(folder: Path, url: str, runs: int, seconds: int) -> dict[str, object]:
    """Launch the runs, show the console, and return what was measured."""
    names = [f"site-{number:04}" for number in range(runs)]
    short = [f"short-{number:02}" for number in range(SHORT_RUNS)]
    tasks = [task(name, 3_600_000) for name in names] + [task(name, SHORT_MS) for name in short]
    settings = EngineSettings(
        tasks=tuple(tasks),
        caps=UNLIMITED,
        units=Units(tokens_per_unit=10_000, cached_weight_milli=100),
        poll_ms=POLL_MS,
        kind=ProcessKind.CONSOLE,
    )
    provider, lag = TimedProvider(GeminiProvider(base_url=url, secret=Secret("not-used"))), LagSampler()
    async with open_app(folder=folder / "state", settings=settings, make_provider=lambda: provider) as app:
        sampling = asyncio.create_task(lag.run())
        started = time.monotonic()
        launches = await asyncio.gather(*(launch(app, name) for name in names))
        claimed_s = time.monotonic() - started
        await settled(app, LAUNCHED_WITHIN_S)
        launched_s = time.monotonic() - started
        lag_of_launch, lag.lags = lag.lags, []
        states = Counter(run.state.value for run in await app.store.runs.open_runs())
        screen = asyncio.create_task(run_console(app.engine, clock=app.clock))
        await asyncio.sleep(SETTLE_S)
        lag.lags, cpu, memory, started = [], cpu_seconds(), memory_bytes(), time.monotonic()
        (folder / READY).touch()
        launching = []
        for name in short:
            launching.append(asyncio.create_task(launch(app, name)))
            await asyncio.sleep(seconds / SHORT_RUNS)
        elapsed_s = time.monotonic() - started
        cpu, grown, lag_of_console = cpu_seconds() - cpu, memory_bytes() - memory, lag.lags
        (folder / DONE).touch()
        await asyncio.sleep(SHORT_MS / 1000 + SETTLE_S)
        os.kill(os.getpid(), signal.SIGTERM)
        await screen
        sampling.cancel()
        await app.engine.operations.stop_all(by=BY)
        await settled(app, ENDED_WITHIN_S, to_end=True)
        results = await asyncio.gather(*launching)
        ended = [run for result in results if (run := await app.store.runs.get(result.run.id)) is not None]
        short_ids = {run.remote_id for run in ended}
        late = [
            provider.cancels_sent.get(run.remote_id, math.inf) - run.deadline_ms / 1000
            for run in ended
            if run.remote_id is not None and run.deadline_ms is not None
        ]
        return {
            "requested": runs,
            "results": Counter(result.kind.value for result in launches),
            "states": states,
            "claimed_s": claimed_s,
            "launched_s": launched_s,
            "lag_launch_p99_ms": percentile(lag_of_launch, 0.99) * 1000,
            "lag_p50_ms": percentile(lag_of_console, 0.5) * 1000,
            "lag_p99_ms": percentile(lag_of_console, 0.99) * 1000,
            "lag_max_ms": max(lag_of_console) * 1000,
            "cpu": cpu / elapsed_s,
            "memory_mb": memory_bytes() / 1e6,
            "memory_grown_mb": grown / 1e6,
            "cut_offs": len(late),
            "cut_off_late_max_s": max(late, default=0.0),
            "answered": [at for at, remote_id in provider.cancels_answered if remote_id not in short_ids],
            "left_open": len(await app.store.runs.open_runs()),
        }


async def launch(app: App, name: str) -> LaunchResult:
    """Launch a task by hand."""
    return await app.engine.operations.launch(LaunchRequest(task=name, by=BY))


async def settled(app: App, within_s: float, *, to_end: bool = False) -> None:
    """Wait until no launch is on its way, or, with `to_end`, until no run is open. Gives up after `within_s`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        rows = await app.store.runs.open_runs()
        if not (rows if to_end else [run for run in rows if run.state in (State.CLAIMED, State.SENDING)]):
            return
        await asyncio.sleep(0.2)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


@contextmanager
def read_and_press(terminal: int, folder: Path) -> Iterator[list[float]]:
    """Read what the console draws. While it is measured, select another run and press `x`, once a second.

    Yields the monotonic times at which `x` was pressed. It is pressed a moment after the other keys, as by a person.
    """
    pressed: list[float] = []
    ended = threading.Event()

    def run() -> None:
        next_press, is_selected = 0.0, False
        while not ended.is_set():
            try:
                if select.select([terminal], [], [], 0.05)[0]:
                    os.read(terminal, 65536)
            except OSError:
                return
            now = time.monotonic()
            is_measuring = (folder / READY).exists() and not (folder / DONE).exists()
            if not is_measuring or now < next_press:
                continue
            next_press = now + 0.5
            if is_selected:
                os.write(terminal, b"x")
                pressed.append(time.monotonic())
            else:
                os.write(terminal, b"g" + b"j" * (1 + len(pressed) * 7 % ROWS_VISIBLE))
            is_selected = not is_selected

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield pressed
    finally:
        ended.set()
        thread.join()


def delays(pressed: Sequence[float], answered: Sequence[float]) -> list[float]:
    """Return for each press the seconds until the next answer of a cancel, if it came before the next press.

    A press on a run that is stopping already sends no cancel.
    """
    found = []
    for number, at in enumerate(pressed):
        until = pressed[number + 1] if number + 1 < len(pressed) else at + 1.0
        found += [answer - at for answer in answered if at <= answer < until][:1]
    return found


async def idle_lag(seconds: float) -> float:
    """Return the 99th percentile of the lag in a process that does nothing else, in milliseconds."""
    lag = LagSampler()
    with suppress(TimeoutError):
        await asyncio.wait_for(lag.run(), seconds)
    return percentile(lag.lags, 0.99) * 1000


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description="Measure one console that supervises many live runs.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--console", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.console:
        folder, url = Path(arguments.console[0]), arguments.console[1]
        measured = asyncio.run(console(folder, url, arguments.runs, arguments.seconds))
        (folder / "measured.json").write_text(json.dumps(measured), encoding="utf-8")
        return
    reference_ms = asyncio.run(idle_lag(5.0))
    with tempfile.TemporaryDirectory(prefix="load-") as name, SimulatorProcess(seed=1) as simulator:
        folder = Path(name)
        command = [sys.executable, "-m", "benchmarks.load", "--console", name, simulator.url]
        command += ["--runs", str(arguments.runs), "--seconds", str(arguments.seconds)]
        pid, terminal = start(command, folder, environment(folder))
        with read_and_press(terminal, folder) as pressed:
            _, status = os.waitpid(pid, 0)
        os.close(terminal)
        if status != 0:
            raise RuntimeError(f"the console ended with status {status}")
        measured = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
    after_x = [delay * 1000 for delay in delays(pressed, measured["answered"])]
    print(f"{measured['requested']} launches at once: {measured['results']}, then {measured['states']}")
    print(f"  claimed after {measured['claimed_s']:.1f} s, all answered after {measured['launched_s']:.1f} s")
    print(f"  event loop late, p99: {measured['lag_launch_p99_ms']:.1f} ms")
    print(f"console open for {arguments.seconds} s:")
    print(
        f"  event loop late: median {measured['lag_p50_ms']:.1f} ms, p99 {measured['lag_p99_ms']:.1f} ms, "
        f"maximum {measured['lag_max_ms']:.1f} ms; in an idle process p99 {reference_ms:.1f} ms"
    )
    print(
        f"  x to cancel answered: {len(after_x)} of {len(pressed)}, median {percentile(after_x, 0.5):.0f} ms, "
        f"p99 {percentile(after_x, 0.99):.0f} ms"
    )
    print(
        f"  {measured['cut_offs']} timeouts, the latest cancel {measured['cut_off_late_max_s']:.2f} s after its limit"
    )
    print(f"  CPU {measured['cpu']:.0%} of one core; memory {measured['memory_mb']:.0f} MB, ", end="")
    print(f"grew by {measured['memory_grown_mb']:.1f} MB")
    print(f"runs left open at the end: {measured['left_open']}")


if __name__ == "__main__":
    main()
