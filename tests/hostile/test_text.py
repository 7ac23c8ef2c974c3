"""Thirty control payloads and a set of markup on every screen and in every output are shown and have no effect."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from console.simulator.scenario import Ending, Scenario
from console.simulator.server import SimulatorThread
from tests.cli.nightdesk import CAPS, Nightdesk
from tests.hostile.payloads import CONTROL, MARKUP, acting
from tests.terminal_session import TerminalSession
from tests.waiting import until_sync

GROUP = 7
ESCAPE = "\x1b[27u"
"""Escape in the kitty keyboard protocol, which the console asks for: never the start of a longer sequence."""
TEXTS = (*CONTROL, *MARKUP)
GROUPS = tuple(" ".join(TEXTS[first : first + GROUP]) for first in range(0, len(TEXTS), GROUP))
ENDINGS = (Ending.NEVER, Ending.FAILED, Ending.COMPLETED)
SILENT = "[console]\nbell = false\n"
"""On a busy machine the console would ring for itself, and a bell from a text could not be told from that."""
DIALOGS = {
    "l": "Launch which task",
    "X": "Kill switch",
    "q": "Leave",
    ":": "Commands",
    "?": "Keys",
    "5": "The next 24 hours",
    "6": "Who did what",
}
COMMANDS = ("ps", "history", "log", "usage", "stage", "caps", "doctor", "paths", "audit", "next", "report")


def tasks() -> str:
    """One task for each group of payloads and ending; every text that its agent sends is hostile."""
    written = []
    for number, text in enumerate(GROUPS):
        word = TEXTS[number]
        said = Scenario(
            steps=3, step_seconds=0.02, text=text, result=text, error_message=text, error_code=word, live_status=word
        )
        for ending in ENDINGS:
            scenario = replace(said, ending=ending, step_seconds=0.3 if ending is Ending.NEVER else 0.02)
            name = f"{ending.value}-{number}"
            written.append(f"[[tasks]]\nname = \"{name}\"\nprompt = '''{scenario.prompt(json.dumps(text))}'''\n")
    return "".join(written)


@pytest.fixture
def nightdesk(tmp_path: Path) -> Iterator[Nightdesk]:
    """A state folder whose history and live runs are full of hostile text."""
    with SimulatorThread() as simulator:
        nightdesk = Nightdesk(folder=tmp_path, url=simulator.url, service=simulator.state)
        nightdesk.configure(CAPS + SILENT + tasks())
        for ending in reversed(ENDINGS):
            for number in range(len(GROUPS)):
                nightdesk.launch(f"{ending.value}-{number}", "--no-wait")
        until_sync(lambda: len(nightdesk.live()) == len(GROUPS), within=60, what="only the endless ones are live")
        yield nightdesk
        nightdesk("cancel", "--all")
        nightdesk.close()


def test_hostile_text_has_no_effect_on_any_screen_or_output(nightdesk: Nightdesk) -> None:
    assert list(acting(on_screens(nightdesk))) == []
    output = "".join(on_streams(nightdesk))
    piped = in_a_pty(nightdesk)
    for received in (output.encode(), piped):
        assert b"Traceback" not in received
        assert b"internal error" not in received
        assert list(acting(received)) == []
    assert "OWNED" in output, "it is shown, harmless"
    for kind in ("history", "log", "ps", "audit"):
        assert nightdesk(kind, "--json").out.isascii()


def _end_background(nightdesk: Nightdesk) -> None:
    """Kill the background supervisors, also those that are starting; the next process takes their runs over."""
    killed = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes()
            if b"guard" in words and str(nightdesk.state).encode() in words:
                os.kill(int(path.parent.name), signal.SIGKILL)
                killed += 1
    assert killed, "a background supervisor had the runs"


def on_screens(nightdesk: Nightdesk) -> bytes:
    """What a terminal receives from the console while every run is selected, opened and clicked on.

    The console supervises the runs, so that leaving it asks.
    """
    for text in GROUPS:
        assert nightdesk("pause", "--reason", text).code == 0
        assert nightdesk("resume").code == 0
    _end_background(nightdesk)
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), "--mouse"]
    session = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    try:
        session.shows(r"in_progress|running\s+never-0")
        _everywhere(session)
        _click_on_every_line(session)
        session.type("1g")
        session.shows(r"▌ . running\s+never-0")
        assert len(nightdesk.live()) == len(GROUPS), "no text stopped a run"
        session.type("q")
        session.shows("Leave")
        session.type("\r")
        assert session.ended() == 0
    finally:
        session.close()
    return session.received


def _everywhere(session: TerminalSession) -> None:
    """Selects and opens each run, then each screen and each dialog."""
    for _ in range(len(GROUPS) * len(ENDINGS)):
        session.type("\r")
        session.shows("timeline|attempt")
        session.type(ESCAPE)
        session.shows("x cancel|enter detail")
        session.type("j")
    for screen in ("2", "3", "4", "1"):
        session.type(screen)
        session.read(0.5)
        for keys in ("j", "k", "\r", ESCAPE):
            session.type(keys)
            session.read(0.2)
    for keys, title in DIALOGS.items():
        session.type(keys)
        session.shows(title)
        session.type(ESCAPE)
        session.hides(title)


def _click_on_every_line(session: TerminalSession) -> None:
    """Clicks on every line of the table."""
    for row in range(4, 34):
        for column in (20, 60, 105):
            session.type(f"\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m")
    session.read(0.5)


def in_a_pty(nightdesk: Nightdesk) -> bytes:
    """What a terminal receives from one command of each kind, some with hostile arguments."""
    ours = shlex.join([sys.executable, "-m", "console", "--state-dir", str(nightdesk.state)])
    typed = (*map(str.split, COMMANDS), ["run", TEXTS[4]], ["show", TEXTS[5]], ["--config", TEXTS[8], "ps"])
    lines = "; ".join(f"{ours} {shlex.join(words)}" for words in typed)
    session = TerminalSession(["/bin/sh", "-c", lines], environment=nightdesk.environment, folder=nightdesk.folder)
    try:
        session.ended(within=120)
    finally:
        session.close()
    return session.received


def on_streams(nightdesk: Nightdesk) -> Iterator[str]:
    """The output of many more commands without a terminal: every run, and every text as a recorded reason."""
    entries = nightdesk("history", "--json").json + nightdesk.live()
    words = [["show", entry["run"]] for entry in entries]
    words += [["stage", f"never-{number}", "semi", "--force", "--reason", text] for number, text in enumerate(GROUPS)]
    words += [["run", "completed-0", "--rerun", "--no-wait", "--reason", GROUPS[0]], ["stage"], ["history"], ["log"]]
    words += [["settle", entries[0]["run"], "adopt", GROUPS[1], "--reason", GROUPS[2]]]
    words += [["history", "--grep", GROUPS[3]], ["history", "--task", GROUPS[4]], ["cancel", GROUPS[5]]]
    words += [["audit"], ["audit", "--csv"], ["audit", "--by", GROUPS[0]], ["next"], ["report"]]
    for several in words:
        done = nightdesk("--color", "always", *several)
        yield done.out + done.err


def test_the_check_finds_each_payload() -> None:
    assert len(CONTROL) == 30
    for payload in CONTROL:
        assert list(acting(f"\x1b[1;1Htext {payload} text".encode())), repr(payload)
