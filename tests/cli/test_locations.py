"""How the config and the state folder are located, with different or incomplete environments."""

from __future__ import annotations

import io
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from console.cli.invocation import Invocation
from console.cli.known_folders import other_folders, remember_folder
from console.cli.locations import configured_state_folder
from console.cli.main import run
from console.config import load
from console.store.files import DATABASE
from tests.cli.nightdesk import CAPS, Done, Nightdesk
from tests.terminal_session import TerminalSession
from tests.waiting import until_sync


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[store]\nstate_dir = "ledger"\n', "ledger"),
        ("[store]\nstate_dir = '/srv/ledger'\n", "/srv/ledger"),
        ('\ufeff[store]\nstate_dir = "ledger"\n', "ledger"),
        ('[store]\nstate_dir = "ledger"\n[[tasks]]\nname = "half a lin\n', "ledger"),
        ("[store]\n", None),
        ("oops = = 1\n", None),
        ("[store]\nstate_dir = 5\n", None),
    ],
)
def test_the_state_folder_is_read_from_an_invalid_config(tmp_path: Path, text: str, named: str | None) -> None:
    config = write(tmp_path / "nightdesk.toml", text)
    assert configured_state_folder(config) == (None if named is None else tmp_path / named)


def test_a_config_that_is_missing_or_is_no_text_names_no_folder(tmp_path: Path) -> None:
    assert configured_state_folder(tmp_path / "none.toml") is None
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    assert configured_state_folder(binary) is None


def without_flags(nightdesk: Nightdesk, *arguments: str, **environment: str) -> Done:
    """Run a command that finds config and state folder by itself."""
    own = {name: value for name, value in nightdesk.environment.items() if not name.startswith(("NIGHTDESK_", "XDG_"))}
    with patch.dict(os.environ, environment):
        return invoke(nightdesk.folder, {**own, **environment}, *arguments)


def invoke(folder: Path, environment: dict[str, str], *arguments: str) -> Done:
    """Run a command in this process, in `folder` and with exactly this environment."""
    stdin, stdout, stderr = io.StringIO(), io.StringIO(), io.StringIO()
    invocation = Invocation(environment=environment, stdin=stdin, stdout=stdout, stderr=stderr, working=folder)
    return Done(code=run(list(arguments), invocation), out=stdout.getvalue(), err=stderr.getvalue())


def test_the_config_selects_the_ledger_in_every_environment(nightdesk: Nightdesk) -> None:
    config = nightdesk.folder / "nightdesk.toml"
    write(config, config.read_text(encoding="utf-8") + '[store]\nstate_dir = "ledger"\n')
    for environment in ({}, {"XDG_STATE_HOME": str(nightdesk.folder / "xdg")}):
        paths = without_flags(nightdesk, "paths", "--json", **environment).json
        assert paths["state"]["path"] == str(nightdesk.folder / "ledger")
        assert paths["state"]["why"] == "state_dir in the config"
    assert without_flags(nightdesk, "run", "good", "--origin", "manual").code == 0
    assert (nightdesk.folder / "ledger" / "nightdesk.db").is_file()


def on_a_terminal(nightdesk: Nightdesk, *arguments: str) -> str:
    """Run a command on a terminal to its end and return all that it shows."""
    command = [sys.executable, "-m", "console", "--state-dir", str(nightdesk.state), *arguments]
    terminal = TerminalSession(command, environment=nightdesk.environment, folder=nightdesk.folder)
    try:
        terminal.ended()
        terminal.read()
        return terminal.received.decode()
    finally:
        terminal.close()


def test_a_terminal_names_a_state_folder_that_is_not_the_default_before_a_table_only(nightdesk: Nightdesk) -> None:
    named = f"state folder: {nightdesk.state}"
    nightdesk.launch("good")
    for word in ("ps", "log"):
        assert on_a_terminal(nightdesk, word).startswith(named)
        assert named not in on_a_terminal(nightdesk, word, "--json")
        assert named not in nightdesk.process(word).err
    nightdesk.configure(CAPS.replace("daily_runs", "dayly_runs"))
    (nightdesk.state / "nightdesk.db").unlink()
    assert on_a_terminal(nightdesk, "ps").startswith("nightdesk: ")


def test_init_names_the_state_folder(nightdesk: Nightdesk) -> None:
    path = nightdesk.folder / "fresh.toml"
    assert nightdesk("init", str(path)).code == 0
    assert load(path).store.state_dir == nightdesk.state


def test_runs_of_the_same_config_in_another_state_folder_are_reported(nightdesk: Nightdesk) -> None:
    """A login shell sets XDG_STATE_HOME and cron does not, which gives two ledgers with separate caps and keys."""
    xdg = nightdesk.folder / "xdg"
    first = without_flags(nightdesk, "run", "good", "--origin", "manual", XDG_STATE_HOME=str(xdg))
    second = without_flags(nightdesk, "run", "good", "--origin", "manual")
    assert "another state folder" not in first.err
    assert f"another state folder with runs of this config: {xdg / 'nightdesk'}" in second.err
    doctor = without_flags(nightdesk, "doctor")
    assert str(xdg / "nightdesk") in doctor.out
    shutil.rmtree(xdg)
    assert "another state folder" not in without_flags(nightdesk, "doctor").out


def test_a_record_that_others_may_write_is_ignored(tmp_path: Path) -> None:
    config = write(tmp_path / "nightdesk.toml", "")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nightdesk.db").touch()
        remember_folder(config, tmp_path / name)
        remember_folder(config, tmp_path / name)
    assert other_folders(config, tmp_path / "one") == (tmp_path / "two",)
    record = tmp_path / ".nightdesk.toml.state-folders"
    record.chmod(0o666)
    assert other_folders(config, tmp_path / "one") == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == [record.name, "nightdesk.toml", "one", "two"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("paths",), 2),
        (("doctor",), 2),
        (("ps",), 2),
        (("run", "good"), 2),
        (("paths", "--config", "c.toml", "--state-dir", "s"), 0),
        (("init", "c.toml"), 0),
    ],
)
def test_without_a_home_folder_the_error_names_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    def unknown(_: object) -> None:
        raise KeyError

    for name in ("getpwuid", "getpwnam"):
        monkeypatch.setattr(pwd, name, unknown)
    monkeypatch.delenv("HOME")
    done = invoke(tmp_path, {"PATH": os.environ["PATH"]}, *arguments)
    assert done.code == code, done
    if code:
        (line,) = done.err.splitlines()
        assert all(word in line for word in ("HOME", "--state-dir", "--config"))


def test_a_target_is_checked_as_in_the_file(nightdesk: Nightdesk) -> None:
    for target in ("", "x\ny", "site "):
        done = nightdesk("run", "good", "--origin", "manual", "--target", target)
        assert done.code == 2
        assert "--target" in done.err
    assert nightdesk.service.started() == 0
    assert nightdesk("run", "good", "--origin", "manual", "--target", "site").code == 0


UNFINISHED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("pragma cache_size = 2")
connection.execute("begin immediate")
connection.execute("create table filling (text)")
connection.executemany("insert into filling values (?)", [("x" * 3000,)] * 100)
os.kill(os.getpid(), signal.SIGKILL)
"""
"""A process that dies inside a commit: its journal is on disk, and changed pages are in the database."""


def read_only(nightdesk: Nightdesk, *commands: str) -> list[tuple[int, str]]:
    """Run commands with the state folder on a read-only file system; return the exit code and output of each."""
    state = nightdesk.state
    command = f"{sys.executable} -m console --state-dir {state}"
    mount = f"mount --bind {state} {state} && mount -o remount,ro,bind {state} || exit 99"
    results = []
    for words in commands:
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", f"{mount}; {command} {words}"],
            cwd=nightdesk.folder,
            env=nightdesk.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 99:
            pytest.skip("this container may not mount")
        results.append((done.returncode, done.stdout + done.stderr))
    return results


@pytest.mark.proofs
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="a read-only mount takes root and a mount namespace"
)
def test_on_a_read_only_file_system_reading_works_and_a_launch_is_refused(nightdesk: Nightdesk) -> None:
    """A dead owner's lock file is among what is read, and so is what a process left that died inside a commit."""
    running = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: any(run["state"] == "running" for run in nightdesk.live()))
    running.kill()
    nightdesk.ended(running)
    (run,) = nightdesk.live()  # a commit that the kill left unfinished is undone by this
    codes = [code for code, _ in read_only(nightdesk, "ps", "caps", "run good --origin manual", "doctor")]
    assert codes == [0, 0, 8, 8]

    subprocess.run([sys.executable, "-c", UNFINISHED, str(nightdesk.state / DATABASE)], check=False)
    ps, as_json, caps = read_only(nightdesk, "ps", "ps --json", "caps")
    assert ps[0] == as_json[0] == 0, (ps, as_json)
    assert run["key"] in as_json[1]
    assert caps[0] == 8
    for _, text in (ps, as_json, caps):
        assert "unfinished commit" in text
    nightdesk("cancel", "--all")
    assert nightdesk.live() == []
