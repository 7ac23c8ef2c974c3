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
    watching.shows("Leave them in the background")
    watching.type("\r")
    assert watching.ended() == 0
    assert b"supervised by" in watching.received
    assert nightdesk("cancel", "--all").code == 0
    lifted = nightdesk("audit", "--act", "lift-read-only", "--json").json
    assert [each["terminal"] for each in lifted] == [True]


def test_its_end_starts_no_process(nightdesk: Nightdesk, watching: TerminalSession) -> None:
    watching.shows("read-only")
    watching.type("q")
    assert watching.ended() == 0
    assert b"supervised by" not in watching.received


def test_a_locked_session_changes_nothing_by_any_command(nightdesk: Nightdesk) -> None:
    assert nightdesk("pause").code == 0
    nightdesk.environment["NIGHTDESK_READ_ONLY"] = "locked"
    for command in (
        ("resume",),
        ("pause",),
        ("run", "good"),
        ("cancel", "--all"),
        ("approve", "01m8"),
        ("settle", "01m8", "write-off", "--reason", "r"),
        ("serve",),
        ("backup", "copy"),
        ("restore", "copy"),
        ("service", "install"),
        ("service", "remove"),
        ("notify", "test"),
        ("metrics", "--textfile", "x.prom"),
    ):
        done = nightdesk(*command)
        assert done.code == 6, command
        assert "this session is read-only (NIGHTDESK_READ_ONLY)" in done.err
    assert nightdesk("stage", "good", "semi", "--force", "--reason", "r").code != 0
    assert nightdesk("caps", "raise", "daily_runs", "1", "--reason", "r").code != 0
    assert "PAUSED" in nightdesk("ps").out
    assert nightdesk("history").code == 0
    del nightdesk.environment["NIGHTDESK_READ_ONLY"]
    assert nightdesk("stage", "good", "--json").json[0]["stage"] == "manual"


def test_another_word_is_a_mistake_and_no_permission(nightdesk: Nightdesk) -> None:
    nightdesk.environment["NIGHTDESK_READ_ONLY"] = "yes"
    done = nightdesk("pause")
    assert done.code == 2
    assert "NIGHTDESK_READ_ONLY='yes'; accepted: liftable, locked" in done.err


def test_a_locked_console_offers_no_way_out_of_it(nightdesk: Nightdesk) -> None:
    assert nightdesk("pause").code == 0
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), "--read-only=locked"]
    session = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    session.shows("read-only")
    session.type(":")
    session.shows("type to search")
    session.type("write")
    session.shows("nothing matches")
    session.type("\x1b")
    session.type("X")
    session.shows("this console is read-only: X is off")
    assert ":write" not in session.screen
    session.type("q")
    assert session.ended() == 0
    session.close()
