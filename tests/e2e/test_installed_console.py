"""Launch, watch, cancel and cut off with the command from the wheel, against the simulator, on a real terminal."""

from __future__ import annotations

import pytest

from console.simulator.state import SimulatorState
from tests.e2e.installed_console import InstalledConsole
from tests.waiting import until_sync


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
