"""A night as four people have it, with the installed command in tmux: who launches by hand, who is on call, who audits,
and who explains the bill.
"""

from __future__ import annotations

import pytest

from console.simulator.state import SimulatorState
from tests.e2e.installed_console import InstalledConsole
from tests.waiting import until_sync

pytestmark = pytest.mark.proofs

WATCHED, APPROVED, LOOPING, FREEZE, THAWED = (
    "watched from start to end",
    "read its prompt",
    "it loops",
    "a: x marks the freeze",
    "all clear",
)
"""The reasons that people type. That of the pause holds the letters that answer questions."""


def test_four_people_and_one_night(here: InstalledConsole, service: SimulatorState) -> None:
    newcomer(here)
    on_call(here, service)
    auditor(here)
    bill(here)


def newcomer(here: InstalledConsole) -> None:
    """Launches a task by hand, reads what the words mean, and promotes it on its evidence."""
    terminal = here.terminal
    terminal.run(here.nightdesk)
    terminal.reads("l to launch", "0 live of 8")
    terminal.type("?")
    terminal.reads("Keys, signs and words")
    terminal.type("Escape")
    terminal.reads("l to launch")
    terminal.type("l")
    terminal.reads("Launch which task")
    terminal.type("report")
    terminal.reads("1 of 4")
    terminal.type("Enter")
    terminal.reads("Launch report", "enforced outside the agent", "after this launch")
    terminal.type("Enter")
    terminal.reads("✓ ok", "0 live of 8")
    terminal.type("3")
    terminal.reads("earned")
    terminal.type("/")
    terminal.reads("down table")
    terminal.type("report")
    terminal.type("Enter")
    terminal.reads("1 of 4 tasks")
    terminal.type("p")
    terminal.reads("Promote report to semi?", "reason  none")
    reason(here, WATCHED)
    terminal.type("p")
    terminal.reads("report is now at semi")
    terminal.type("q")
    terminal.reads("rc=0.")


def on_call(here: InstalledConsole, service: SimulatorState) -> None:
    """Finds a proposal, approves it; cancels a run that loops; pauses, is told so by a script, and resumes."""
    terminal = here.terminal
    terminal.run("clear;", here.nightdesk, "run report --origin schedule --date 2026-01-02 --no-wait")
    terminal.reads("waits for approval", "rc=0.")
    terminal.run("clear;", here.nightdesk)
    terminal.reads("1 to approve")
    terminal.type("a")
    terminal.reads("Approve this launch?", "schedule", "reason  none")
    reason(here, APPROVED)
    terminal.type("a")
    until_sync(lambda: here.statuses().count("ok") == 2, what="the approved run has ended")
    terminal.type("l")
    terminal.reads("Launch which task")
    terminal.type("endless")
    terminal.reads("1 of 4")
    terminal.type("Enter")
    terminal.reads("Launch endless", "(enter)")
    terminal.type("Enter")
    terminal.reads("running", "1 live of 8")
    until_sync(lambda: at_the_top(here, "endless"), what="the cursor on the run that loops")
    terminal.type("Space")
    terminal.reads("1 marked")
    terminal.type("x")
    terminal.reads("Cancel 1 marked run?", "reason  none")
    reason(here, LOOPING)
    assert service.live() == 1
    terminal.type("x")
    terminal.reads("cancelled", "0 live of 8")
    assert service.live() == 0
    terminal.type("X")
    terminal.reads("Kill switch", "reason  none")
    reason(here, FREEZE)
    terminal.type("Right")
    terminal.reads("Pause launches (enter)")
    terminal.type("Enter")
    terminal.reads("PAUSED", "press X to resume")
    terminal.type("q")
    terminal.reads("rc=0.")
    terminal.run("clear;", here.nightdesk, "status")
    terminal.reads("paused", "rc=1.")
    terminal.run("clear;", here.nightdesk, "run report --date 2026-01-03")
    terminal.reads("paused", "rc=6.")
    terminal.run("clear;", here.nightdesk, "resume --reason", f"'{THAWED}'", ";", here.nightdesk, "status")
    terminal.reads("rc=0.")


def auditor(here: InstalledConsole) -> None:
    """Reads who did what and why, in a console that changes nothing and in the shell."""
    terminal = here.terminal
    terminal.run("clear;", here.nightdesk, "--read-only=locked")
    terminal.reads("report", "ok")
    terminal.type("X")
    terminal.reads("this console is read-only: X is off")
    terminal.type("6")
    terminal.reads("Who did what", WATCHED, APPROVED, LOOPING, FREEZE, THAWED)
    terminal.type("Escape")
    terminal.type("q")
    terminal.reads("rc=0.")
    terminal.run("clear;", here.nightdesk, "audit --act cancel")
    terminal.reads("endless", LOOPING, "rc=0.")
    ending = next(line for line in here.log().splitlines() if "status=cancelled" in line)
    assert "by=-" not in ending, "the log says who cancelled"


def bill(here: InstalledConsole) -> None:
    """Follows a row of the usage to the runs behind it, and prints the page for the boss."""
    terminal = here.terminal
    terminal.run("clear;", here.nightdesk)
    terminal.reads("0 live of 8")
    terminal.type("4")
    terminal.reads("units a day by task", "total")
    terminal.type("u")
    terminal.reads("unknown")
    terminal.type("Enter")
    terminal.reads("history", "task:")
    terminal.type("q")
    terminal.reads("rc=0.")
    terminal.run("clear;", here.nightdesk, "report")
    terminal.reads("today so far: 3 runs", "rc=0.")


def at_the_top(here: InstalledConsole, task: str) -> bool:
    """Moves the cursor to the first row; True once that is the row of the task."""
    here.terminal.type("g")
    return any("▌" in line and task in line for line in here.terminal.screen().splitlines())


def reason(here: InstalledConsole, text: str) -> None:
    """Types a reason into the open question; Enter in it answers nothing."""
    here.terminal.type("r")
    here.terminal.reads("enter to the answers")
    here.terminal.type(text)
    here.terminal.reads(text)
    here.terminal.type("Enter")
    here.terminal.reads(f"{text}  r changes it")
