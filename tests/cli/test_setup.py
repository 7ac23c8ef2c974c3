"""Commands that need no config, state or network, and the precedence of flags, environment and folders."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest

from console.cli.locations import config_file, state_folder
from console.cli.main import COMMANDS, cli
from console.config import load
from tests.cli.nightdesk import Nightdesk
from tests.tree import ROOT

_MODULES = """
import sys
from console.__main__ import main
try:
    main()
except SystemExit as end:
    print(end.code, file=sys.stderr)
print("\\n".join(sys.modules), file=sys.stderr)
"""
SCREEN = {"textual", "rich"}


def test_init_writes_a_file_that_works_and_never_overwrites(nightdesk: Nightdesk) -> None:
    path = nightdesk.folder / "fresh.toml"

    assert nightdesk("init", str(path), "--json").json == {"config": str(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [task.name for task in load(path).tasks] == ["hello"]
    path.write_text("mine")
    assert nightdesk("init", str(path)).code == 2
    assert path.read_text() == "mine"


def test_completion_for_three_shells(nightdesk: Nightdesk) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_NIGHTDESK_COMPLETE" in nightdesk("completion", shell).out
    completed = nightdesk.process(_NIGHTDESK_COMPLETE="bash_complete", COMP_WORDS="nightdesk run g", COMP_CWORD="2")
    assert completed.out.split() == ["plain,good", "plain,greedy"]


def test_flags_win_over_the_environment_and_that_over_the_folders(tmp_path: Path, home: Path) -> None:
    environment = {"NIGHTDESK_CONFIG": "from-env.toml", "NIGHTDESK_STATE_DIR": "/from/env"}

    assert config_file("flag.toml", environment, tmp_path).path == tmp_path / "flag.toml"
    assert config_file(None, environment, tmp_path).path == tmp_path / "from-env.toml"
    assert config_file(None, {}, tmp_path).path == tmp_path / "nightdesk.toml"
    xdg = home / ".config" / "nightdesk" / "nightdesk.toml"
    xdg.parent.mkdir(parents=True)
    xdg.touch()
    assert config_file(None, {}, tmp_path).path == xdg
    (tmp_path / "nightdesk.toml").touch()
    assert config_file(None, {}, tmp_path).path == tmp_path / "nightdesk.toml"

    assert state_folder("/flag", environment, tmp_path).path == Path("/flag")
    assert state_folder(None, environment, tmp_path).path == Path("/from/env")
    assert state_folder(None, {}, tmp_path).path == home / ".local" / "state" / "nightdesk"


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (("log",), SCREEN | {"httpx", "starlette", "aiosqlite"}),
        (("init", "x.toml"), SCREEN | {"httpx", "starlette", "aiosqlite"}),
        (("run", "good", "--origin", "manual"), {"textual", "starlette"}),
        (("cancel", "--all"), SCREEN | {"starlette", "httpx"}),
    ],
)
def test_a_command_loads_what_it_uses(nightdesk: Nightdesk, arguments: tuple[str, ...], heavy: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MODULES, "--state-dir", str(nightdesk.state), *arguments],
        cwd=nightdesk.folder,
        env=nightdesk.environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert not heavy & set(done.stderr.split())


def test_without_a_terminal_the_console_is_the_plain_table(nightdesk: Nightdesk) -> None:
    for arguments in ((), ("console",)):
        done = nightdesk.process(*arguments)
        assert done.code == 0
        assert done.err.count("\n") == 1
        assert done.out.endswith("nothing is live\n")
        assert "\x1b" not in done.out + done.err


def test_colour_is_written_to_a_pipe_only_on_request(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")

    assert "\x1b" not in nightdesk("history").out
    assert "\x1b[32mok\x1b[0m" in nightdesk("history", "--color", "always").out
    assert "\x1b" not in nightdesk("--color", "always", "history", "--color", "never").out


def test_created_files_are_readable_only_by_their_owner(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")

    modes = {stat.S_IMODE(path.stat().st_mode) for path in nightdesk.state.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert stat.S_IMODE(nightdesk.state.stat().st_mode) == 0o700


def test_the_demo_needs_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "console", "demo"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stderr.count("\n") == 1
    words = [line.split()[0] for line in done.stdout.splitlines() if line]
    assert words.count("running") == 5
    assert words.count("proposed") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_help_page_says_what_each_command_says_of_itself() -> None:
    """The help page does not import the commands, so it holds a copy of their first sentences."""
    for name, entry in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert command.get_short_help_str(limit=1000) == entry.summary
        assert command.hidden == entry.hidden


def test_command_names_are_completed_without_importing_commands(nightdesk: Nightdesk) -> None:
    completed = nightdesk.process(_NIGHTDESK_COMPLETE="bash_complete", COMP_WORDS="nightdesk pa", COMP_CWORD="1")
    assert completed.out.split() == ["plain,pause", "plain,paths"]
