"""Launch, watch, cancel and cut off with the command from the wheel, against the simulator, on a real terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.domain.log_record import parse_line
from console.simulator.scenario import Ending, Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.e2e.tmux import Tmux, needs_tmux
from tests.waiting import until_sync

ENDLESS = Scenario(step_seconds=0.2, tokens_per_step=300, ending=Ending.NEVER)
TASKS = {
    "report": (Scenario(steps=3, step_seconds=0.1), 600, 50),
    "endless": (ENDLESS, 600, 50),
    "timed": (ENDLESS, 2, 50),
    "greedy": (Scenario(step_seconds=0.1, tokens_per_step=9_000, ending=Ending.NEVER), 600, 3),
}
COUNTDOWN = re.compile(r"endless.*?\b(\d+):(\d\d)\b")


class InstalledConsole:
    """The installed command on a terminal."""

    def __init__(self, folder: Path, nightdesk: Path, url: str) -> None:
        self.folder = folder
        self.nightdesk = str(nightdesk)
        tasks = "".join(
            f"[[tasks]]\nname = \"{name}\"\nprompt = '''{scenario.prompt('Go.')}'''\n"
            f"max_seconds = {seconds}\nbudget_units = {units}\n"
            for name, (scenario, seconds, units) in TASKS.items()
        )
        config = folder / "nightdesk.toml"
        config.touch(mode=0o600)
        caps = "[caps]\ndaily_units = 2000\nmonthly_units = 20000\ndaily_runs = 100\nconcurrent_runs = 8\n"
        config.write_text(f'[provider]\nbase_url = "{url}"\npoll_seconds = 0.2\n{caps}{tasks}', encoding="utf-8")
        environment = {
            **os.environ,
            "GEMINI_API_KEY": "canary",
            "NIGHTDESK_STATE_DIR": str(folder / "state"),
            "TERM": "xterm-256color",
            "PS1": "$ ",
        }
        self.terminal = Tmux(folder, environment=environment)

    def statuses(self) -> list[str]:
        """The status of every line of the log, notes (such as that of an overshoot) left out."""
        log = self.folder / "state" / "runs.log"
        found = [parse_line(line).status for line in log.read_bytes().splitlines()] if log.exists() else []
        return [status for status in found if status != "note"]

    def left_ms(self) -> int:
        """The time left in the row of the endless task, in milliseconds."""
        found = COUNTDOWN.search(self.terminal.screen())
        return (int(found[1]) * 60 + int(found[2])) * 1000 if found else 0


@pytest.fixture
def service() -> SimulatorState:
    return SimulatorState(seed=5)


@pytest.fixture
def here(tmp_path: Path, installed: Path, service: SimulatorState) -> Iterator[InstalledConsole]:
    needs_tmux()
    with SimulatorThread(service) as simulator:
        here = InstalledConsole(tmp_path, installed / "bin" / "nightdesk", simulator.url)
        yield here
        here.terminal.close()


def test_a_run_is_launched_watched_and_cancelled_by_key(here: InstalledConsole, service: SimulatorState) -> None:
    terminal = here.terminal
    terminal.run(here.nightdesk)
    terminal.reads("l to launch", "0 live of 8")
    terminal.type("l")
    terminal.reads("Launch which task")
    terminal.type("endless")
    terminal.reads("1 of 4")
    terminal.type("Enter")
    terminal.reads("Launch endless", "50")
    terminal.type("Enter")
    terminal.reads("running", "endless", "1 live of 8")
    first = here.left_ms()
    assert first > 0
    until_sync(lambda: 0 < here.left_ms() < first, what="a countdown that moves")
    until_sync(lambda: "code_execution" in terminal.screen() or "thought" in terminal.screen(), what="a live step")
    terminal.type("x")
    terminal.reads("cancelled", "0 live of 8")
    until_sync(lambda: here.statuses() == ["launched", "cancelled"], what="the line in the log")
    assert (service.started(), service.live()) == (1, 0)
    terminal.type("q")
    terminal.reads("rc=0.")


@pytest.mark.proofs
@pytest.mark.parametrize(
    ("task", "code", "status"), [("report", 0, "ok"), ("timed", 3, "timeout"), ("greedy", 4, "budget")]
)
def test_the_exit_code_says_how_the_run_ended(
    here: InstalledConsole, service: SimulatorState, task: str, code: int, status: str
) -> None:
    here.terminal.run(here.nightdesk, "run", task)
    here.terminal.reads(f"rc={code}.")
    assert here.statuses() == ["launched", status]
    assert (service.started(), service.live()) == (1, 0)
    here.terminal.run("clear;", here.nightdesk, "history")
    here.terminal.reads(task, status)


@pytest.mark.proofs
def test_the_same_key_is_skipped_the_second_time(here: InstalledConsole, service: SimulatorState) -> None:
    here.terminal.run(here.nightdesk, "run", "report")
    here.terminal.reads("rc=0.")
    here.terminal.run("clear;", here.nightdesk, "run", "report")
    here.terminal.reads("skipped", "rc=0.")
    assert here.statuses() == ["launched", "ok", "skipped"]
    assert service.started() == 1
