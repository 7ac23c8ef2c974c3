"""A long-running process reloads the config when the file changes, and reports when it cannot."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.cli.nightdesk import CAPS, Nightdesk
from tests.waiting import until_sync

FEWER = CAPS.replace("daily_runs = 100", "daily_runs = 1")


def serving(nightdesk: Nightdesk) -> subprocess.Popen[str]:
    process = nightdesk.start("serve")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("serving 9 tasks")
    return process


def said(process: subprocess.Popen[str], words: str) -> str:
    """Return the next line that contains `words`."""
    assert process.stderr is not None
    while words not in (line := process.stderr.readline()):
        assert line, f"it ended without {words!r}"
    return line


def stop(nightdesk: Nightdesk, process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert nightdesk.ended(process).code == 0


def test_a_changed_config_is_loaded_and_an_invalid_one_is_not(nightdesk: Nightdesk) -> None:
    process = serving(nightdesk)
    nightdesk.configure(FEWER)
    assert said(process, "reloaded") == "nightdesk.toml reloaded: 9 tasks\n"

    config = nightdesk.folder / "nightdesk.toml"
    whole = config.read_text()
    config.write_text(f"{whole}\noops = = 1\n")
    until_sync(lambda: "not reloaded, the one of before stays in force" in nightdesk("doctor").out, what="the problem")
    assert "not reloaded" in nightdesk("ps").out + nightdesk("ps").err

    config.write_text(whole.replace("daily_runs = 1", "daily_runs = 2"))
    assert said(process, "reloaded")
    until_sync(lambda: "not reloaded" not in nightdesk("doctor").out, what="the end of the problem")
    stop(nightdesk, process)


@pytest.mark.proofs
def test_sighup_loads_the_file_at_once(nightdesk: Nightdesk) -> None:
    process = serving(nightdesk)
    nightdesk.configure(FEWER)
    process.send_signal(signal.SIGHUP)
    assert said(process, "reloaded")
    stop(nightdesk, process)


@pytest.mark.proofs
def test_a_change_of_the_service_requires_a_restart(nightdesk: Nightdesk) -> None:
    process = serving(nightdesk)
    config = nightdesk.folder / "nightdesk.toml"
    config.write_text(config.read_text().replace(nightdesk.url, "http://127.0.0.1:1"))
    until_sync(lambda: "[provider] has changed, which takes a restart" in nightdesk("doctor").out, what="the problem")
    assert "uses another version of the config" in nightdesk("doctor").out
    assert "uses another version of the config" in nightdesk("caps").err
    stop(nightdesk, process)
