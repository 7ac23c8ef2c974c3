"""A night in short: fifty runs, a console that stays, one whose window closes, a supervisor that is killed.

`SOAK_SECONDS` says how long it takes; ten minutes by default.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path

import pytest

from console.simulator.scenario import Ending, Scenario
from console.simulator.server import SimulatorThread
from tests.cli.nightdesk import Nightdesk
from tests.reporting import report
from tests.soak.resources import Sample, growth, sample
from tests.terminal_session import TerminalSession
from tests.waiting import until_sync

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
RUNS = 50
KILL_EVERY_S = 30.0
DROP_EVERY_S = 20.0
LATEST_S = 20.0
"""The longest time that a run may live beyond its limit: take-over, cancel and proof."""
LIMIT_S = 4
CAPS = '[caps]\ndaily_units = "unlimited"\nmonthly_units = "unlimited"\ndaily_runs = 1000\nconcurrent_runs = 20\n'
ENDLESS = Scenario(step_seconds=0.25, tokens_per_step=100, ending=Ending.NEVER)
KINDS = {
    "ok": (Scenario(steps=12, step_seconds=0.4), ""),
    "failed": (Scenario(steps=8, step_seconds=0.4, ending=Ending.FAILED), ""),
    "timeout": (ENDLESS, f"max_seconds = {LIMIT_S}"),
    "budget": (Scenario(steps=99, step_seconds=0.4, tokens_per_step=20_000), "budget_units = 9"),
    "cancelled": (ENDLESS, ""),
}
"""By expected outcome: what the agent does, and further keys of the task."""


class Night:
    """All processes on one state folder."""

    def __init__(self, nightdesk: Nightdesk, stack: ExitStack) -> None:
        self.nightdesk = nightdesk
        self._stack = stack
        self.launched: dict[str, str] = {}
        """The expected outcome, by run id."""
        self.samples: list[Sample] = []
        self.kills = self.drops = 0
        self.stays = self._console()
        self._dropping = self._console()
        self._serving = self._serve()

    def _console(self) -> TerminalSession:
        command = [sys.executable, "-m", "console", "--state-dir", str(self.nightdesk.state)]
        session = TerminalSession(command, environment=self.nightdesk.environment, folder=self.nightdesk.folder)
        self._stack.callback(session.close)
        return session

    def _serve(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "console", "--state-dir", str(self.nightdesk.state), "serve"]
        return subprocess.Popen(
            command,
            cwd=self.nightdesk.folder,
            env=self.nightdesk.environment,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def launch(self, number: int) -> None:
        """Launches one more run. Runs that only a person ends are cancelled at the next launch."""
        self.cancel()
        kind = list(KINDS)[number % len(KINDS)]
        day = date(2026, 1, 1) + timedelta(days=number)
        done = self.nightdesk.launch(kind, "--no-wait", "--date", str(day))
        assert done.code == 0, done.err
        self.launched[done.json["run"]] = kind

    def cancel(self) -> None:
        """Cancels the runs that only a person ends."""
        live = {run["run"] for run in self.nightdesk.live()}
        for run_id, kind in self.launched.items():
            if kind == "cancelled" and run_id in live:
                assert self.nightdesk("cancel", run_id).code == 0

    def kill_the_supervisor(self) -> None:
        """Kills the supervisor, as the out-of-memory killer would, and starts it again."""
        self._serving.kill()
        self._serving.wait()
        self._serving = self._serve()
        self.kills += 1

    def drop_a_line(self) -> None:
        """Closes the window of a console and starts another console."""
        self._dropping.hang_up()
        self._dropping = self._console()
        self.drops += 1

    def sample(self) -> None:
        """Reads the terminals and samples the resources of the console that stays."""
        self.stays.read(0.05)
        self._dropping.read(0.05)
        self.samples.append(sample(self.stays.pid))

    def _serves(self) -> bool:
        told = [line["told"] for line in self.nightdesk("doctor", "--json").json if line["check"] == "owners"]
        return any(f"serve (pid {self._serving.pid})" in words for words in told)

    def _is_over(self) -> bool:
        self.sample()
        return self.nightdesk.live() == []

    def end(self) -> None:
        """Cancels what is left, waits for the end of all runs and ends the supervisor and the console."""
        self.cancel()
        until_sync(self._is_over, within=90, what="the end of all runs")
        until_sync(self._serves, within=60, what="the supervisor is up again")
        self._serving.send_signal(signal.SIGTERM)
        assert self._serving.wait(timeout=30) == 0
        # The screen is up to a second old; while it shows a live run, the key asks a question.
        self.stays.shows("0 live of")
        self.stays.type("q")
        assert self.stays.ended() == 0


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with SimulatorThread() as simulator, ExitStack() as stack:
        nightdesk = Nightdesk(folder=tmp_path, url=simulator.url, service=simulator.state)
        tasks = "".join(
            f"[[tasks]]\nname = \"{name}\"\nprompt = '''{scenario.prompt('Go.')}'''\n{more}\n"
            for name, (scenario, more) in KINDS.items()
        )
        nightdesk.configure(CAPS + tasks)
        stack.callback(nightdesk.close)
        yield Night(nightdesk, stack)


@pytest.mark.soak
def test_a_night_loses_and_leaks_nothing(night: Night) -> None:
    began, launched = time.monotonic(), 0
    while (passed := time.monotonic() - began) < SECONDS or launched < RUNS:
        if launched < RUNS and passed >= launched * SECONDS * 0.95 / RUNS:
            night.launch(launched)
            launched += 1
        if passed >= (night.kills + 1) * KILL_EVERY_S:
            night.kill_the_supervisor()
        if passed >= (night.drops + 1) * DROP_EVERY_S:
            night.drop_a_line()
        night.sample()
    night.end()
    _check_runs(night)
    _check_resources(night)


def _check_runs(night: Night) -> None:
    """Service, history and log agree, and every run ended once and as expected."""
    nightdesk, service = night.nightdesk, night.nightdesk.service
    history = [run for run in nightdesk("history", "--limit", "1000", "--json").json if run["attempt"]]
    assert {run["run"]: run["outcome"] for run in history} == night.launched
    assert len(history) == RUNS
    assert [run["key"] for run in history if service.posts(run["key"]) != 1 or service.started(run["key"]) != 1] == []
    assert service.live() == 0
    late = max(run["elapsed"] - LIMIT_S for run in history if run["outcome"] == "timeout")
    assert late < LATEST_S
    examined = nightdesk("doctor", "--json")
    assert examined.code == 0, examined.out
    troubles = [line["told"] for line in examined.json if line["level"] != "ok" and line["check"] != "scheduler"]
    assert troubles == []
    assert Counter(line["status"] for line in nightdesk("log", "--json").json)["launched"] == RUNS
    report(
        f"{SECONDS:g} s: {RUNS} runs, {night.kills} supervisors killed, {night.drops} windows closed, "
        f"the latest cut-off {late:.1f} s after its limit"
    )


def _check_resources(night: Night) -> None:
    """The console that stays holds no more at the end than after its warm-up."""
    descriptors = growth(night.samples, lambda one: one.descriptors)
    threads = growth(night.samples, lambda one: one.threads)
    memory = growth(night.samples, lambda one: one.mebibytes)
    report(
        f"{len(night.samples)} samples: descriptors {descriptors[0]:g} -> {descriptors[1]:g}, "
        f"threads {threads[0]:g} -> {threads[1]:g}, memory {memory[0]:.1f} -> {memory[1]:.1f} MiB"
    )
    assert descriptors[1] <= descriptors[0] + 2
    assert threads[1] <= threads[0] + 1
    assert memory[1] <= memory[0] * 1.1 + 4
