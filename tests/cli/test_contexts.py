"""Named contexts: which config and state folder a name means, and how a console is left for another one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from console.config import load
from tests.cli.json_check import check
from tests.cli.nightdesk import Done, Nightdesk
from tests.cli.test_locations import invoke, write
from tests.terminal_session import TerminalSession


@dataclass(frozen=True, slots=True)
class Home:
    """A config folder with two contexts, and commands that find everything by it."""

    nightdesk: Nightdesk
    environment: dict[str, str]

    @property
    def folder(self) -> Path:
        """The config folder."""
        return Path(self.environment["XDG_CONFIG_HOME"]) / "nightdesk"

    def __call__(self, *arguments: str, **environment: str) -> Done:
        """Run a command away from any config."""
        return invoke(self.folder, {**self.environment, **environment}, *arguments)


@pytest.fixture
def home(nightdesk: Nightdesk, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Contexts `prod` and `staging`, each with a state folder of its own."""
    base = nightdesk.folder / "xdg"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(base))
    monkeypatch.setenv("XDG_STATE_HOME", str(base / "state"))
    own = {name: value for name, value in nightdesk.environment.items() if not name.startswith("NIGHTDESK_")}
    home = Home(nightdesk, {**own, "XDG_CONFIG_HOME": str(base), "XDG_STATE_HOME": str(base / "state")})
    text = (nightdesk.folder / "nightdesk.toml").read_text(encoding="utf-8")
    home.folder.mkdir(parents=True)
    for name in ("prod", "staging"):
        write(home.folder / f"{name}.toml", f'{text}[store]\nstate_dir = "{name}-state"\n')
    return home


def test_a_context_is_a_config_and_its_state_folder(home: Home) -> None:
    for words, environment in (
        (("--context", "prod"), {}),
        (("--context", "prod"), {"NIGHTDESK_STATE_DIR": "/elsewhere", "NIGHTDESK_CONFIG": "/elsewhere.toml"}),
        (("--context", "prod"), {"NIGHTDESK_CONTEXT": "staging"}),
        ((), {"NIGHTDESK_CONTEXT": "prod"}),
    ):
        found = home(*words, "paths", "--json", **environment).json
        assert found["config"]["path"] == str(home.folder / "prod.toml")
        assert found["state"]["path"] == str(home.folder / "prod-state")
    path = str(home.folder / "staging.toml")
    assert home("--config", path, "paths", "--json", NIGHTDESK_CONTEXT="prod").json["config"]["path"] == path


def test_runs_of_one_context_are_not_in_another(home: Home) -> None:
    assert home("--context", "prod", "run", "good", "--origin", "manual").code == 0
    assert len(home("--context", "prod", "history", "--json").json) == 1
    assert home("--context", "staging", "history", "--json").json == []


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (
            ("--context", "prdo", "ps"),
            {},
            "no context is named 'prdo'; did you mean prod?; known contexts: prod, staging",
        ),
        (("ps",), {"NIGHTDESK_CONTEXT": "x"}, "known contexts: prod, staging"),
        (("--context", "../prod", "ps"), {}, "cannot name a context; accepted:"),
        (("--context", "prod", "--config", "c.toml", "ps"), {}, "--context and --config are both given"),
        (("--context", "prod", "--state-dir", "s", "cancel", "--all"), {}, "--context and --state-dir are both given"),
        (("ps", "--state-dir", "s"), {"NIGHTDESK_CONTEXT": "prod"}, "NIGHTDESK_CONTEXT and --state-dir are both given"),
        (
            ("pause",),
            {"NIGHTDESK_CONTEXT": "prod", "NIGHTDESK_STATE_DIR": "s"},
            "NIGHTDESK_CONTEXT and NIGHTDESK_STATE_DIR are both given",
        ),
        (("context", "use", "prod"), {}, "`export NIGHTDESK_CONTEXT=prod` for this shell"),
    ],
)
def test_what_names_no_context_or_two_places_is_refused_in_one_line(
    home: Home, words: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    done = home(*words, **environment)
    (line,) = done.err.splitlines()
    assert (done.code, done.out) == (2, "")
    assert said in line


def test_a_context_without_a_state_folder_of_its_own_is_refused(home: Home) -> None:
    """It would share caps and keys with every other config that names none."""
    write(home.folder / "loose.toml", (home.nightdesk.folder / "nightdesk.toml").read_text(encoding="utf-8"))
    done = home("--context", "loose", "run", "good", "--origin", "manual")
    assert done.code == 2
    assert "set state_dir under [store]" in done.err
    assert home.nightdesk.service.started() == 0


def test_a_link_makes_a_context_of_a_config_elsewhere(home: Home) -> None:
    """Relative paths in it start at the folder of the file itself."""
    other = home.nightdesk.folder / "other"
    other.mkdir()
    (home.folder / "prod.toml").rename(other / "nightdesk.toml")
    (home.folder / "linked.toml").symlink_to(other / "nightdesk.toml")
    found = home("--context", "linked", "paths", "--json").json
    assert found["config"]["path"] == str(other / "nightdesk.toml")
    assert found["state"]["path"] == str(other / "prod-state")


def test_init_writes_a_new_context_that_works_at_once(home: Home) -> None:
    done = home("init", "--context", "night")
    assert done.code == 0
    assert "nightdesk --context night run hello" in done.err
    assert (home.folder / "night.toml").stat().st_mode & 0o777 == 0o600
    assert (
        load(home.folder / "night.toml").store.state_dir == Path(home.environment["XDG_STATE_HOME"]) / "nightdesk-night"
    )
    assert home("--context", "night", "ps").code == 0
    assert home("init", "--context", "night").code == 2


def test_the_list_marks_the_context_in_use(home: Home) -> None:
    listed = check("context", home("context", "list", "--json", NIGHTDESK_CONTEXT="prod").out)
    assert [(each["name"], each["in_use"]) for each in listed] == [("prod", True), ("staging", False)]
    assert listed[1]["state_dir"] == str(home.folder / "staging-state")
    lines = home("context", NIGHTDESK_CONTEXT="staging").out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["prod", str(home.folder / "prod.toml")], ["*", "staging"]]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("nightdesk --context ", {"prod", "staging"}),
        ("nightdesk ps --context st", {"staging"}),
        ("nightdesk --context prod run go", {"good"}),
        ("nightdesk --context prod show go", {"good"}),
        ("nightdesk console --theme mo", {"mono"}),
        ("nightdesk caps raise daily_u", {"daily_units"}),
        ("nightdesk help sta", {"stage", "status"}),
        ("nightdesk schema sta", {"stage", "status"}),
        ("nightdesk schema caps r", {"raise"}),
    ],
)
def test_the_shell_completes(home: Home, line: str, offered: set[str]) -> None:
    assert completed(home, line) == offered


def completed(home: Home, line: str) -> set[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    environment = {
        **home.environment,
        "_NIGHTDESK_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = home.nightdesk.ended(home.nightdesk.start(**environment))
    assert done.err == ""
    return {each.partition(",")[2] for each in done.out.splitlines() if each}


def test_the_shell_completes_open_runs_of_the_context(home: Home) -> None:
    assert home("--context", "prod", "stage", "nightly", "semi", "--force", "--reason", "why").code == 0
    assert home("--context", "prod", "run", "nightly", "--no-wait").code == 0
    (proposal,) = home("--context", "prod", "ps", "--json").json
    begun = proposal["run"][:4]
    for command in ("approve", "decline", "show", "cancel", "settle", "diff"):
        assert completed(home, f"nightdesk --context prod {command} {begun}") == {proposal["run"][:12]}
        assert completed(home, f"nightdesk --context staging {command} {begun}") == set()


@pytest.mark.proofs
def test_a_console_is_left_for_that_of_another_context(home: Home) -> None:
    command = [sys.executable, "-m", "console", "--context", "prod"]
    terminal = TerminalSession(command, environment={**os.environ, **home.environment}, folder=home.folder)
    try:
        terminal.shows("prod .* live of 8")
        terminal.type(":")
        terminal.shows("type to search")
        terminal.type("ctx staging")
        terminal.shows(r"\b1 of \d+")
        terminal.type("\r")
        terminal.shows("staging .* live of 8")
        terminal.type("q")
        terminal.ended()
    finally:
        terminal.close()
