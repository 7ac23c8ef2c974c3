"""The API key and the prompts appear in no output, no log, no file of the state folder and on no command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.config.providers import KEY_VARIABLES
from console.simulator.scenario import Ending, Scenario
from console.simulator.server import SimulatorThread
from tests.cli.nightdesk import CAPS, Nightdesk
from tests.cli.test_sessions import PROVIDERS
from tests.terminal_session import TerminalSession
from tests.waiting import until_sync

KEY = "AIzaCanary-7f3e5d1c9b2a4f60"
PROMPT = "Canary prompt 51ab: tell nobody about the violet heron."
PIECES = (KEY[:14], KEY[10:], PROMPT, PROMPT[:30], "violet heron")
SCENARIOS = {
    "well": Scenario(steps=2, step_seconds=0.02),
    "broken": Scenario(steps=2, step_seconds=0.02, ending=Ending.FAILED),
    "refused": Scenario(faults=("create.400",)),
    "vanished": Scenario(faults=("create.lost_reply",)),
    "torn": Scenario(faults=("create.503",)),
    "lasting": Scenario(step_seconds=0.2, tokens_per_step=100, ending=Ending.NEVER),
}
COMMANDS = ("ps", "history", "log", "stage", "caps", "doctor", "paths")


PROVIDER_TABLES = {"gemini": '[provider]\nbase_url = "{url}"\npoll_seconds = 0.1\n', **PROVIDERS}


@pytest.fixture(params=PROVIDER_TABLES)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of the service."""
    return str(request.param)


@pytest.fixture
def nightdesk(tmp_path: Path, kind: str) -> Iterator[Nightdesk]:
    with SimulatorThread(face=kind) as simulator:
        nightdesk = Nightdesk(folder=tmp_path, url=simulator.url, service=simulator.state)
        nightdesk.environment[KEY_VARIABLES[kind]] = KEY
        tasks = "".join(
            f"[[tasks]]\nname = \"{name}\"\nprompt = '''{scenario.prompt(PROMPT)}'''\n"
            for name, scenario in SCENARIOS.items()
        )
        config = tmp_path / "nightdesk.toml"
        config.write_text(PROVIDER_TABLES[kind].format(url=simulator.url) + CAPS + tasks, encoding="utf-8")
        config.chmod(0o600)
        yield nightdesk
        nightdesk("cancel", "--all")
        nightdesk.close()


def leaks(text: str) -> list[str]:
    """The parts of the key and the prompt that `text` contains."""
    return [piece for piece in PIECES if piece in text]


def test_key_and_prompt_appear_nowhere(nightdesk: Nightdesk, kind: str) -> None:
    for name in ("well", "broken", "refused", "vanished", "torn"):
        done = nightdesk.process("run", name, "--origin", "manual")
        assert not leaks(done.out + done.err), name
    left = nightdesk.process("run", "lasting", "--origin", "manual", "--no-wait")
    assert left.code == 0
    until_sync(lambda: any(run["state"] == "running" for run in nightdesk.live()), what="a live run")

    assert not [words for words in command_lines() if leaks(words)]
    output = nightdesk("run", "well", "--date", "someday").err
    for entry in nightdesk("history", "--json").json:
        output += nightdesk("show", entry["run"]).out + nightdesk("show", entry["run"], "--json").out
    for command in COMMANDS:
        for flags in ((), ("--json",)):
            done = nightdesk(command, *flags)
            output += done.out + done.err
    assert not leaks(output)
    assert not leaks(on_the_screen(nightdesk))
    # At the services with sessions nothing stays unconfirmed.
    assert nightdesk("cancel", "--all").code == (7 if kind == "gemini" else 0)

    for path in nightdesk.state.rglob("*"):
        if path.is_file():
            assert not leaks(path.read_bytes().decode("utf-8", "replace")), path.name


def command_lines() -> Iterator[str]:
    """The command line of every process that the kernel shows."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue


def on_the_screen(nightdesk: Nightdesk) -> str:
    """All bytes that a console sends while it shows every run and the launch of a task."""
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state)]
    session = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    try:
        session.shows("lasting")
        for keys in ("\r", "\x1b[27u", "j", "\r", "\x1b[27u", "2", "\r", "\x1b[27u", "1", "l", "broken", "\r"):
            session.type(keys)
            session.read(0.4)
        session.shows("Launch broken")
        session.read(0.5)
    finally:
        session.close()
    return session.received.decode("utf-8", "replace")
