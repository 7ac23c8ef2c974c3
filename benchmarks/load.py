"""Measure one console with its screen open while it supervises many live runs, against the simulator on loopback.

`python -m benchmarks.load [--runs N] [--seconds S] [--fsync-ms M]`. All runs are launched at once. Then the console is
open in a terminal for S seconds: another run is selected and `x` is pressed twice a second, and short runs reach their
timeout all the time. The simulator runs in another process. With `--fsync-ms` every fsync and fdatasync of the console
takes M milliseconds longer, by strace(1). The reference for the event loop is the same sampling at the same time in a
process that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import resource
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._load_console import DONE, MEASURED, READY, LagSampler, percentile
from benchmarks._terminal import start
from benchmarks.start_up import environment
from console.simulator.process import SimulatorProcess

RUNS = 1000
SECONDS = 60
PRESS_S = 0.25
"""Seconds between selecting a run and pressing `x`, and from there to the next selection."""
CONFIG = """
[provider]
kind = "gemini"
base_url = "{url}"
agent = "antigravity-preview-09-2026"
model = "gemini-3.8-flash"
api_key_env = "GEMINI_API_KEY"

[caps]
daily_units = "unlimited"
monthly_units = "unlimited"
daily_runs = "unlimited"
concurrent_runs = "unlimited"

[[tasks]]
name = "other"
target = "other"
prompt = "Look after the site."
max_seconds = 60
budget_units = 10
"""
"""For `ps` and `doctor`, which are asked whether the console keeps up."""


class Operator:
    """Reads what the console draws. While it is measured, selects a run and presses `x` a moment later, repeatedly."""

    def __init__(self, terminal: int, folder: Path) -> None:
        self._terminal = terminal
        self._folder = folder
        self._ended = threading.Event()
        self.pressed: list[float] = []
        """The wall times at which `x` was pressed."""
        self.has_seen_behind = False
        """The screen said that the process does not keep up."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Read and press during the block."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _work(self) -> None:
        next_key, is_selected, tail = 0.0, False, b""
        while not self._ended.is_set():
            try:
                if select.select([self._terminal], [], [], 0.02)[0]:
                    tail = tail[-20:] + os.read(self._terminal, 65536)
                    self.has_seen_behind = self.has_seen_behind or b"behind: " in tail
            except OSError:
                return
            now = time.monotonic()
            is_measuring = (self._folder / READY).exists() and not (self._folder / DONE).exists()
            if not is_measuring or now < next_key:
                continue
            next_key = now + PRESS_S
            if is_selected:
                self.pressed.append(time.time())
                os.write(self._terminal, b"x")
            else:
                # The next run each time: one that is stopping already would get no cancel.
                os.write(self._terminal, b"j")
            is_selected = not is_selected


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of one `x`, in seconds; infinite for what did not come."""

    asked: float
    """From the key to the request to stop the run."""
    sent: float
    """From there to the cancel."""
    answered: float
    """From the key to the answer of the service."""


def cancelled(pressed: Sequence[float], stops: Sequence[Sequence[float]]) -> list[Cancelled]:
    """Return what became of each press that stopped a run: the one that was asked to stop before the next press.

    `stops` are the wall times at which each run was asked to stop, its cancel was sent, and that was answered.
    """
    found = []
    for at, until in zip(pressed, [*pressed[1:], math.inf], strict=True):
        # The time of a request is stored in whole milliseconds.
        asked = [stop for stop in stops if at - 0.001 <= stop[0] < until - 0.001][:1]
        found += [Cancelled(asked_at - at, sent - asked_at, answered - at) for asked_at, sent, answered in asked]
    return found


async def idle_lag(seconds: float) -> float:
    """Return the 99th percentile of the lag of a process that does little else, in milliseconds."""
    lag = LagSampler()
    with suppress(TimeoutError):
        await asyncio.wait_for(lag.run(), seconds)
    return percentile(lag.lags, 0.99) * 1000


def says_behind(command: str, folder: Path, variables: Mapping[str, str]) -> bool:
    """Return True if the command says that the console does not keep up."""
    arguments = [sys.executable, "-m", "console", "--config", str(folder / "nightdesk.toml"), command]
    done = subprocess.run(
        arguments, cwd=folder, env=dict(variables), capture_output=True, text=True, timeout=60, check=False
    )
    return "behind: " in done.stdout + done.stderr


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description="Measure one console that supervises many live runs.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--fsync-ms", type=int, default=0)
    arguments = parser.parse_args()
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The simulator has an open connection for each run, too.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    with tempfile.TemporaryDirectory(prefix="load-") as name, SimulatorProcess(seed=1) as simulator:
        folder, variables = Path(name), environment(Path(name))
        (folder / "nightdesk.toml").write_text(CONFIG.format(url=simulator.url), encoding="utf-8")
        (folder / "nightdesk.toml").chmod(0o600)
        command = [sys.executable, "-m", "benchmarks._load_console", name, simulator.url]
        command += [str(arguments.runs), str(arguments.seconds)]
        pid, terminal = start(slowed(command, arguments.fsync_ms), folder, variables)
        operator = Operator(terminal, folder)
        with operator.at_work():
            wait_for(folder / READY, pid)
            load_average = os.getloadavg()[0]
            reference_ms = asyncio.run(idle_lag(arguments.seconds))
            behind = {command: says_behind(command, folder, variables) for command in ("ps", "status", "doctor")}
            _, status = os.waitpid(pid, 0)
        os.close(terminal)
        if status != 0:
            raise RuntimeError(f"the console ended with status {status}")
        measured = json.loads((folder / MEASURED).read_text(encoding="utf-8"))
    print(f"{arguments.runs} launches at once, a load average of {load_average:.1f} when the console was shown")
    report(measured, operator, reference_ms, behind | {"screen": operator.has_seen_behind})


def slowed(command: Sequence[str], fsync_ms: int) -> list[str]:
    """Return the command with a disk on which each fsync takes that much longer."""
    if fsync_ms == 0:
        return list(command)
    delay = f"inject=fsync,fdatasync:delay_enter={fsync_ms * 1000}"
    traced = ["strace", "-fqq", "--seccomp-bpf", "-o", os.devnull, "-e", "trace=fsync,fdatasync", "-e", delay]
    return [*traced, *command]


def wait_for(path: Path, pid: int) -> None:
    """Wait for a file of the console. Raises RuntimeError if the console ends before."""
    while not path.exists():
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            raise RuntimeError(f"the console ended with status {status}")
        time.sleep(0.1)


def report(measured: dict[str, Any], operator: Operator, reference_ms: float, behind: Mapping[str, bool]) -> None:
    """Print the figures."""
    said = ", ".join(f"{where} {'yes' if is_said else 'no'}" for where, is_said in behind.items())
    print(f"  {measured['results']}, then {measured['states']}")
    print(f"  claimed after {measured['claimed_s']:.1f} s, all answered after {measured['launched_s']:.1f} s")
    print(f"  event loop late meanwhile, p99: {measured['lag_launch_p99_ms']:.1f} ms")
    print("the console is open:")
    print(
        f"  event loop late: median {measured['lag_p50_ms']:.1f} ms, p99 {measured['lag_p99_ms']:.1f} ms, "
        f"maximum {measured['lag_max_ms']:.1f} ms; in an idle process p99 {reference_ms:.1f} ms"
    )
    print(
        f"  CPU time of its thread between two samples: p99 {measured['work_p99_ms']:.1f} ms, "
        f"maximum {measured['work_max_ms']:.1f} ms"
    )
    report_cancels(len(operator.pressed), cancelled(operator.pressed, measured["stops"]))
    print(
        f"  {measured['cut_offs']} timeouts, the latest cancel {measured['cut_off_late_max_s']:.2f} s after its limit"
    )
    print(f"  {measured['polls_per_s']:.0f} polls a second")
    print(f"  CPU {measured['cpu']:.0%} of one core; memory {measured['memory_mb']:.0f} MB, ", end="")
    half, whole = measured["memory_grown_mb"]
    print(f"grew by {half:.1f} MB in the first half and {whole - half:.1f} MB in the second")
    print(f"  said to be behind: {said}")


def report_cancels(pressed: int, presses: Sequence[Cancelled]) -> None:
    """Print how long the cancels took, and where the time went."""
    answered = [each.answered for each in presses if math.isfinite(each.answered)]
    sent = [each.sent for each in presses if math.isfinite(each.sent)]
    print(f"  x to cancel answered: {len(answered)} of {pressed}, {spread(answered)}")
    print(f"    from x to the request: {spread([each.asked for each in presses])}; to the cancel: {spread(sent)}")


def spread(seconds: Sequence[float]) -> str:
    """Return the median and the 99th percentile as text."""
    return f"median {percentile(seconds, 0.5) * 1000:.0f} ms, p99 {percentile(seconds, 0.99) * 1000:.0f} ms"


if __name__ == "__main__":
    main()
