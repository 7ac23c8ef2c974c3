"""`service` writes a unit that systemd understands, starts it once the keys are there, and leaves no run unguarded."""

from __future__ import annotations

import configparser
import shlex
from pathlib import Path

import pytest

from console.cli.service_unit import MARK, missing_variables, unit_text
from tests.cli.nightdesk import Nightdesk
from tests.waiting import until_sync

FAKE = """#!/bin/sh
# A manager of which only the command line is there: it writes down what it is asked.
echo "$@" >> "$FAKE_LOG"
case "$*" in
  *is-system-running*) echo "${FAKE_STATE:-running}"; exit 0;;
  *show*) echo ActiveState=active; echo SubState=running; echo UnitFileState=enabled; echo MainPID=7;;
  *restart*) [ -z "$FAKE_FAILS" ] || { echo "Job failed."; exit 1; };;
esac
"""


class Manager:
    """A fake systemctl on PATH."""

    def __init__(self, nightdesk: Nightdesk, folder: Path) -> None:
        self._log = folder / "systemctl.log"
        program = folder / "bin" / "systemctl"
        program.parent.mkdir()
        program.write_text(FAKE, encoding="utf-8")
        program.chmod(0o700)
        self.home = folder / "config"
        nightdesk.environment |= {
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "FAKE_LOG": str(self._log),
            "XDG_CONFIG_HOME": str(self.home),
        }

    @property
    def unit(self) -> Path:
        return self.home / "systemd" / "user" / "nightdesk.service"

    @property
    def keys(self) -> Path:
        return self.home / "nightdesk" / "nightdesk.env"

    def asked(self) -> list[str]:
        """What it was asked since the last time, without the question whether it is there."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        self._log.write_text("", encoding="utf-8")
        return [line.removeprefix("--user --no-pager ") for line in lines if "is-system-running" not in line]


@pytest.fixture
def manager(nightdesk: Nightdesk, tmp_path: Path) -> Manager:
    return Manager(nightdesk, tmp_path)


def test_the_service_starts_once_the_key_is_in_its_environment(nightdesk: Nightdesk, manager: Manager) -> None:
    done = nightdesk("service", "install")
    assert done.code == 0, done.err
    assert manager.asked() == ["daemon-reload", "enable nightdesk.service"]
    assert f"not started: set GEMINI_API_KEY in {manager.keys}" in done.err
    assert manager.keys.stat().st_mode & 0o777 == 0o600
    assert "canary-key" not in manager.keys.read_text() + manager.unit.read_text()

    manager.keys.write_text("GEMINI_API_KEY=mine\n", encoding="utf-8")
    done = nightdesk("service", "install", "--json")
    assert done.json["started"] is True
    assert manager.asked() == ["daemon-reload", "enable nightdesk.service", "restart nightdesk.service"]
    assert manager.keys.read_text() == "GEMINI_API_KEY=mine\n", "never overwritten"
    assert "nightdesk.service is active (running, pid 7), enabled" in nightdesk("service", "status").out
    shown = nightdesk("service", "status", "--json").json
    assert (shown["installed"], shown["active"], shown["enabled"], shown["pid"]) == (True, "active", "enabled", 7)


def test_the_unit_starts_serve_on_this_config_and_this_folder(nightdesk: Nightdesk, manager: Manager) -> None:
    nightdesk("service", "install")
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names of systemd have a case
    unit.read_string(manager.unit.read_text())
    words = shlex.split(unit["Service"]["ExecStart"])
    assert words[-1] == "serve"
    assert words[words.index("--config") + 1] == str(nightdesk.folder / "nightdesk.toml")
    assert words[words.index("--state-dir") + 1] == str(nightdesk.state)
    assert Path(words[0]).is_absolute()
    assert unit["Service"]["Type"] == "notify"
    assert unit["Service"]["EnvironmentFile"] == f"-{manager.keys}"


def test_a_ledger_with_a_name_has_a_service_of_its_own(nightdesk: Nightdesk, manager: Manager) -> None:
    config = nightdesk.folder / "nightdesk.toml"
    config.write_text(config.read_text() + '[store]\nname = "prod"\n', encoding="utf-8")
    assert nightdesk("service", "install", "--json").json["unit"].endswith("/nightdesk-prod.service")


def test_a_unit_of_somebody_else_is_neither_replaced_nor_removed(nightdesk: Nightdesk, manager: Manager) -> None:
    manager.unit.parent.mkdir(parents=True)
    manager.unit.write_text("[Unit]\n", encoding="utf-8")
    for word in ("install", "remove"):
        done = nightdesk("service", word)
        assert (done.code, "was not written by nightdesk service install" in done.err) == (2, True)
    assert manager.unit.read_text() == "[Unit]\n"
    assert manager.asked() == []


def test_what_systemctl_says_is_passed_on(nightdesk: Nightdesk, manager: Manager) -> None:
    nightdesk("service", "install")
    manager.keys.write_text("GEMINI_API_KEY=mine\n", encoding="utf-8")
    nightdesk.environment["FAKE_FAILS"] = "1"
    done = nightdesk("service", "install")
    assert (done.code, "`systemctl --user restart nightdesk.service` failed: Job failed." in done.err) == (2, True)


@pytest.mark.parametrize("word", ["install", "status", "remove"])
def test_without_systemd_one_line_says_what_to_do_instead(nightdesk: Nightdesk, manager: Manager, word: str) -> None:
    nightdesk.environment["FAKE_STATE"] = "offline"
    done = nightdesk("service", word)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "no systemd for this user: offline; without systemd: leave a scheduler in the background" in done.err
    nightdesk.environment["PATH"] = "/nowhere"
    assert "there is no systemctl here" in nightdesk("service", word).err
    assert not manager.unit.exists()


def test_removing_the_service_leaves_no_run_without_a_guard(nightdesk: Nightdesk, manager: Manager) -> None:
    nightdesk("service", "install")
    running = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: [run["state"] for run in nightdesk.live()] == ["running"])
    running.kill()
    running.wait()
    manager.asked()
    done = nightdesk.process("service", "remove", "--json")
    assert done.code == 0, done.err
    assert manager.asked() == ["disable --now nightdesk.service", "daemon-reload"]
    assert done.json["guard"].startswith("the background supervisor (pid ")
    assert not manager.unit.exists()
    assert manager.keys.exists()
    assert nightdesk("cancel", "endless").code == 0


def test_words_with_signs_of_systemd_reach_the_program_unchanged() -> None:
    text = unit_text(("/opt/a b/nightdesk", '--config=/x/100%/$HOME/"q"\\'), Path("/x/100%.env"))
    assert 'ExecStart="/opt/a b/nightdesk" "--config=/x/100%%/$$HOME/\\"q\\"\\\\"\n' in text
    assert "EnvironmentFile=-/x/100%%.env\n" in text
    assert text.startswith(MARK)


def test_an_empty_or_commented_variable_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# A=1\nB=\n  C = 2\nD=3\n", encoding="utf-8")
    assert missing_variables(file, ["A", "B", "C", "D"]) == ["A", "B"]
