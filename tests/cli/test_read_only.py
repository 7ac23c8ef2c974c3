"""A read-only console offers no changes, starts no process at its end, and can be made writable by a command."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.cli.nightdesk import Nightdesk
from tests.terminal_session import TerminalSession
from tests.waiting import until_sync

WITHOUT = ("launch", "cancel", "kill switch")


@pytest.fixture
def watching(nightdesk: Nightdesk) -> Iterator[TerminalSession]:
    """Open a read-only console on an existing state folder."""
    assert nightdesk("pause").code == 0
    assert nightdesk("resume").code == 0
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), "--read-only"]
    session = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    yield session
    session.close()


def key_bar(session: TerminalSession) -> str:
    return session.screen.splitlines()[-1]


def ask_to_write(session: TerminalSession) -> None:
    session.type(":")
    session.shows("type to search")
    session.type("write")
    session.shows(r"\b1 of \d+")
    session.type("\r")
    session.shows(r"Leave read-only mode\?")


@pytest.mark.proofs
def test_it_is_lifted_by_a_command_that_asks_and_the_console_then_writes(
    nightdesk: Nightdesk, watching: TerminalSession
) -> None:
    watching.shows("read-only")
    watching.shows(r"\? help")
    assert not [word for word in WITHOUT if word in key_bar(watching)]
    ask_to_write(watching)
    watching.type("\r")
    until_sync(lambda: "Leave read-only mode?" not in watching.screen, within=30)
    assert "read-only" in watching.screen
    ask_to_write(watching)
    watching.type("\x1b[C\r")
    watching.shows("l launch")
    assert "read-only" not in watching.screen
    watching.type("l")
    watching.shows("Launch which task")
    watching.type("endless")
    watching.shows("1 of")
    watching.type("\r")
    watching.shows("Launch endless")
    watching.type("\r")
    watching.shows("running")
    watching.type("q")
    watching.shows("Leave them under guard")
    watching.type("\r")
    assert watching.ended() == 0
    assert b"guarded by" in watching.received
    assert nightdesk("cancel", "--all").code == 0


def test_its_end_starts_no_process(nightdesk: Nightdesk, watching: TerminalSession) -> None:
    watching.shows("read-only")
    watching.type("q")
    assert watching.ended() == 0
    assert b"guarded by" not in watching.received
