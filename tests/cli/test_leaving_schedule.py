"""Leaving the console that schedules: it asks, can leave a scheduler behind, and says what is missed."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.nightdesk import Nightdesk
from tests.terminal_session import TerminalSession
from tests.waiting import until_sync


@pytest.fixture
def scheduling(nightdesk: Nightdesk) -> Iterator[TerminalSession]:
    """Open a console in which one task is due at three."""
    assert nightdesk("stage", "nightly", "semi", "--force", "--reason", "a test").code == 0
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state)]
    session = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    session.shows(r"next nightly \(to approve\) in .*scheduled by this console")
    yield session
    session.close()


def ask(session: TerminalSession) -> None:
    session.type("q")
    session.shows(r"Who launches what is due\?")
    session.shows("nightly is due .* will be missed")


def test_enter_stays_and_quitting_says_what_is_missed(nightdesk: Nightdesk, scheduling: TerminalSession) -> None:
    ask(scheduling)
    scheduling.type("\r")
    scheduling.hides("Who launches")
    ask(scheduling)
    scheduling.type("\x1b[D")
    scheduling.type("\r")
    assert scheduling.ended() == 0
    assert re.search(rb"nobody schedules now: nightly is due .* UTC and will be missed", scheduling.received)
    listed = nightdesk("ps")
    assert "NOBODY SCHEDULES: nightly is due" in listed.out


def test_a_console_that_never_schedules_does_not_advise_to_open_one(nightdesk: Nightdesk) -> None:
    assert nightdesk("stage", "nightly", "semi", "--force", "--reason", "a test").code == 0
    config = nightdesk.folder / "nightdesk.toml"
    config.write_text(config.read_text(encoding="utf-8") + "[scheduler]\nconsole = false\n", encoding="utf-8")
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state)]
    session = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    try:
        session.shows("NOBODY SCHEDULES")
        session.type("q")
        assert session.ended() == 0
    finally:
        session.close()
    advice = f"and will be missed; `nightdesk --state-dir {nightdesk.state} serve` schedules"
    assert advice.encode() in session.received
    assert b"an open console" not in session.received


def test_a_scheduler_can_be_left_in_the_background(nightdesk: Nightdesk, scheduling: TerminalSession) -> None:
    ask(scheduling)
    scheduling.type("\x1b[C")
    scheduling.type("\r")
    assert scheduling.ended() == 0
    found = re.search(rb"nightdesk serve in the background \(pid (\d+)\)", scheduling.received)
    assert found is not None
    pid = int(found[1])
    try:
        until_sync(lambda: _scheduler(nightdesk) == pid, within=30, what="the background process schedules")
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        assert words == [f"nightdesk serve --state-dir {nightdesk.state}".encode()]
        assert Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "nightdesk"
        assert "NOBODY SCHEDULES" not in nightdesk("ps").out
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    until_sync(lambda: not Path(f"/proc/{pid}/cmdline").exists(), within=30, what="it ends at SIGTERM")


def test_a_terminal_that_goes_away_ends_no_schedule(nightdesk: Nightdesk, scheduling: TerminalSession) -> None:
    scheduling.hang_up()
    until_sync(lambda: _scheduler(nightdesk) == scheduling.pid, within=30, what="it goes on scheduling")
    assert "NOBODY SCHEDULES" not in nightdesk("ps").out
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state)]
    session = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    try:
        assert scheduling.ended() == 129, "it ends once another process may schedule"
        session.shows("scheduled by this console")
    finally:
        session.close()


def _scheduler(nightdesk: Nightdesk) -> int | None:
    """Return the process that schedules, as `doctor` names it."""
    findings = nightdesk("doctor", "--json").json
    told = next(finding["told"] for finding in findings if finding["check"] == "scheduler")
    found = re.search(r"(?:serve|console) process (\d+) launches what is due", told)
    return int(found[1]) if found else None
