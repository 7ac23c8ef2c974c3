"""`drill --live` as a process: what a signal, a kill, a full disk and an answer of a person leave behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.cli.nightdesk import Done, Nightdesk
from tests.drill.setups import KEY, PROMPT, WORKING, write_config
from tests.terminal_session import TerminalSession
from tests.tree import ROOT
from tests.waiting import until_sync

pytestmark = pytest.mark.proofs


@pytest.fixture
def service() -> Iterator[SimulatorThread]:
    # An agent that does not reach its budget while a test looks at it.
    with SimulatorThread(SimulatorState(default=replace(WORKING, tokens_per_step=100))) as simulator:
        yield simulator


class Drills:
    """Starts `drill --live` on one config and state folder."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []
        write_config(folder, url)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command."""
        process = subprocess.Popen(
            [sys.executable, "-m", "console", "--state-dir", str(self.folder / "state"), *words],
            cwd=self.folder,
            env={**os.environ, "DRILL_KEY": KEY, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Kill what still runs."""
        for process in self._started:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    @staticmethod
    def ended(process: subprocess.Popen[str]) -> Done:
        """Wait for the end of a command."""
        out, err = process.communicate(timeout=120)
        return Done(code=process.returncode, out=out, err=err)


@pytest.fixture
def drills(service: SimulatorThread, tmp_path: Path) -> Iterator[Drills]:
    drills = Drills(tmp_path, service.url)
    yield drills
    drills.close()


def _until_one_works(service: SimulatorThread) -> None:
    """Return once an agent works whose launch was answered: its run is polled."""
    until_sync(lambda: service.state.live() == 1 and service.state.calls("get") > 1, what="an agent that works")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_the_agents_before_the_end(
    service: SimulatorThread, drills: Drills, number: signal.Signals, code: int
) -> None:
    process = drills.start("drill", "--live", "--yes", "--json")
    _until_one_works(service)
    process.send_signal(number)
    process.send_signal(number)
    done = drills.ended(process)
    assert (done.code, service.state.live()) == (code, 0)
    assert (done.json["interrupted"], done.json["left"]) == (True, [])
    assert "everything that was started has ended" in done.err
    assert KEY not in done.out + done.err
    assert PROMPT not in done.out + done.err


def test_a_full_disk_stops_the_agents(service: SimulatorThread, drills: Drills) -> None:
    """No file may grow any more, as if the disk were full; then the drill is told to end."""
    process = drills.start("drill", "--live", "--yes", "--json")
    _until_one_works(service)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    process.send_signal(signal.SIGTERM)
    done = drills.ended(process)
    assert service.state.live() == 0
    assert done.code in (8, 143), done


def test_what_a_killed_drill_left_is_stopped_by_the_command_that_it_printed(
    service: SimulatorThread, drills: Drills
) -> None:
    process = drills.start("drill", "--live", "--yes")
    _until_one_works(service)
    process.kill()
    killed = drills.ended(process)
    (line,) = [line for line in killed.err.splitlines() if line.endswith("cancel --all")]
    words = line.partition("nightdesk ")[2].split()
    assert drills.ended(drills.start(*words)).code == 0
    assert service.state.live() == 0


def test_what_a_killed_drill_left_is_stopped_by_the_next_one(service: SimulatorThread, drills: Drills) -> None:
    process = drills.start("drill", "--live", "--yes")
    _until_one_works(service)
    process.kill()
    drills.ended(process)
    left = service.state.runs()
    process = drills.start("drill", "--live", "--yes", "--json")
    until_sync(lambda: service.state.started() == 2, what="the next drill")
    assert not service.state.view(left[0].id).may_spend
    process.terminate()
    done = drills.ended(process)
    assert "an earlier drill was killed and has left 1 run(s)" in done.err
    assert (done.json["stopped_of_an_earlier_drill"], service.state.live()) == (1, 0)


@pytest.fixture
def nightdesk(service: SimulatorThread, tmp_path: Path) -> Iterator[Nightdesk]:
    nightdesk = Nightdesk(folder=tmp_path, url=service.url, service=service.state)
    write_config(tmp_path, service.url)
    nightdesk.environment["DRILL_KEY"] = KEY
    yield nightdesk
    nightdesk.close()


def test_it_names_the_worst_cost_and_asks_first(nightdesk: Nightdesk) -> None:
    done = nightdesk("drill", "--live", "--max-units", "40")
    assert (done.code, done.out) == (2, "")
    assert "Each has a budget of 10.0 units" in done.err
    assert "Worst cost: 40.0 units; in money 3.00 USD" in done.err
    assert "Limit of each at the service: 100000 uncached tokens" in done.err
    assert "--yes launches without a question" in done.err
    assert nightdesk.service.calls("env_get") == 0


def test_a_person_is_asked_and_may_decline(nightdesk: Nightdesk) -> None:
    terminal = TerminalSession(
        [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), "drill", "--live"],
        environment={**nightdesk.environment, "TERM": "xterm"},
        folder=nightdesk.folder,
    )
    try:
        terminal.shows(r"Launch them\? \[y/N\]")
        terminal.type("n\r")
        terminal.shows("nothing was launched")
        assert terminal.ended() == 5
    finally:
        terminal.close()
    assert nightdesk.service.calls("env_get") == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--live", "--provider", "x"), "no provider is named 'x'; accepted for --provider: default"),
        (("--live", "--max-units", "3"), "3 is not in the range 4<=x<=10000"),
        (("--yes",), "--provider, --max-units and --yes belong to --live"),
    ],
)
def test_mistakes_get_one_line(nightdesk: Nightdesk, words: tuple[str, ...], expected: str) -> None:
    done = nightdesk("drill", *words)
    assert (done.code, done.out) == (2, "")
    assert expected in done.err


def test_a_locked_session_has_no_live_drill(nightdesk: Nightdesk) -> None:
    nightdesk.environment["NIGHTDESK_READ_ONLY"] = "locked"
    done = nightdesk("drill", "--live", "--yes")
    assert done.code == 6
    assert nightdesk.service.posts() == 0


def test_a_key_that_the_service_refuses_launches_nothing(nightdesk: Nightdesk) -> None:
    nightdesk.service.api_key = "another key"
    done = nightdesk("drill", "--live", "--yes")
    assert (done.code, nightdesk.service.posts()) == (6, 0)
    assert "the service refuses: HTTP 401" in done.err
    assert json.dumps(done.out) == '""'
