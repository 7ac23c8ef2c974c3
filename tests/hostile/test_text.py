"""Thirty control payloads and the markup set on every screen and in every output: they are shown, and do nothing."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
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
"""As the keyboard protocol has it that the console asks for: never taken for the begin of something longer."""
TEXTS = (*CONTROL, *MARKUP)
GROUPS = tuple(" ".join(TEXTS[first : first + GROUP]) for first in range(0, len(TEXTS), GROUP))
ENDINGS = (Ending.NEVER, Ending.FAILED, Ending.COMPLETED)
DIALOGS = {"l": "Launch which task", "X": "Kill switch", "q": "Leave", ":": "Commands", "?": "Keys"}
COMMANDS = ("ps", "history", "log", "usage", "stage", "caps", "doctor", "paths")


def tasks() -> str:
    """One task per group and ending: what its agent says is hostile wherever an agent may say something."""
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
    """A desk whose history and live runs are full of it."""
    with SimulatorThread() as simulator:
        nightdesk = Nightdesk(folder=tmp_path, url=simulator.url, service=simulator.state)
        nightdesk.configure(CAPS + tasks())
        for ending in reversed(ENDINGS):
            for number in range(len(GROUPS)):
                nightdesk.launch(f"{ending.value}-{number}", "--no-wait")
        until_sync(lambda: len(nightdesk.live()) == len(GROUPS), within=60, what="only the endless ones are live")
        yield nightdesk
        nightdesk("cancel", "--all")
        nightdesk.close()


def test_no_screen_and_no_output_obeys_it(nightdesk: Nightdesk) -> None:
    assert list(acting(on_screens(nightdesk))) == []
    told = "".join(on_streams(nightdesk))
    piped = in_a_pty(nightdesk)
    for received in (told.encode(), piped):
        assert b"Traceback" not in received
        assert b"internal error" not in received
        assert list(acting(received)) == []
    assert "OWNED" in told, "it is shown, as what it is"
    for kind in ("history", "log", "ps"):
        assert nightdesk(kind, "--json").out.isascii()


def on_screens(nightdesk: Nightdesk) -> bytes:
    """What a terminal gets of the console, with every run under the cursor and a mouse that clicks on all of it."""
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), "--mouse"]
    sitting = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    try:
        sitting.shows(r"in_progress|running\s+never-0")
        _everywhere(sitting)
        _click_on_every_line(sitting)
        sitting.type("1g")
        sitting.shows(r"▌ . running\s+never-0")
        assert len(nightdesk.live()) == len(GROUPS), "no text stopped a run"
        sitting.type("q")
        sitting.shows("Leave")
        sitting.type("\r")
        assert sitting.ended() == 0
    finally:
        sitting.close()
    return sitting.received


def _everywhere(sitting: TerminalSession) -> None:
    """Each run under the cursor, whole; each screen; each dialog."""
    for _ in range(len(GROUPS) * len(ENDINGS)):
        sitting.type("\r")
        sitting.shows("timeline|attempt")
        sitting.type(ESCAPE)
        sitting.shows("x cancel|enter detail")
        sitting.type("j")
    for screen in ("2", "3", "4", "1"):
        sitting.type(screen)
        sitting.read(0.5)
        for keys in ("j", "k", "\r", ESCAPE):
            sitting.type(keys)
            sitting.read(0.2)
    for keys, title in DIALOGS.items():
        sitting.type(keys)
        sitting.shows(title)
        sitting.type(ESCAPE)
        sitting.hides(title)


def _click_on_every_line(sitting: TerminalSession) -> None:
    """A click takes the cursor to its line."""
    for row in range(4, 34):
        for column in (20, 60, 105):
            sitting.type(f"\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m")
    sitting.read(0.5)


def in_a_pty(nightdesk: Nightdesk) -> bytes:
    """What a terminal gets of one command of each kind, typed with hostile words too."""
    ours = shlex.join([sys.executable, "-m", "console", "--state-dir", str(nightdesk.state)])
    typed = (*map(str.split, COMMANDS), ["run", TEXTS[4]], ["show", TEXTS[5]], ["--config", TEXTS[8], "ps"])
    lines = "; ".join(f"{ours} {shlex.join(words)}" for words in typed)
    sitting = TerminalSession(["/bin/sh", "-c", lines], environment=nightdesk.environment, folder=nightdesk.folder)
    try:
        sitting.ended(within=120)
    finally:
        sitting.close()
    return sitting.received


def on_streams(nightdesk: Nightdesk) -> Iterator[str]:
    """The same without a terminal, for many more: every run whole, and every text as a reason that is recorded."""
    entries = nightdesk("history", "--json").json + nightdesk.live()
    words = [["show", entry["run"]] for entry in entries]
    words += [["stage", f"never-{number}", "semi", "--force", "--reason", text] for number, text in enumerate(GROUPS)]
    words += [["run", "completed-0", "--rerun", "--no-wait", "--reason", GROUPS[0]], ["stage"], ["history"], ["log"]]
    words += [["settle", entries[0]["run"], "adopt", GROUPS[1], "--reason", GROUPS[2]]]
    words += [["history", "--grep", GROUPS[3]], ["history", "--task", GROUPS[4]], ["cancel", GROUPS[5]]]
    for several in words:
        done = nightdesk("--color", "always", *several)
        yield done.out + done.err


def test_the_search_would_find_each_of_them() -> None:
    assert len(CONTROL) == 30
    for payload in CONTROL:
        assert list(acting(f"\x1b[1;1Htext {payload} text".encode())), repr(payload)
