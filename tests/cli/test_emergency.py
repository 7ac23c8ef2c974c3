"""`pause`, `cancel` and `ps` need only the state folder, and work with a broken config, key or log."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.nightdesk import Nightdesk
from tests.waiting import until_sync

Harm = Callable[[Path], object]


def tear(config: Path) -> None:
    config.write_text(config.read_text(encoding="utf-8") + "\noops = = 1\n", encoding="utf-8")


def replace_service(config: Path) -> None:
    """Replace the config by one without our tasks, with another service and without a key."""
    text = '[provider]\nbase_url = "http://127.0.0.1:9"\napi_key_env = "NOT_SET"\n[caps]\n'
    caps = "daily_units = 1\nmonthly_units = 1\ndaily_runs = 1\nconcurrent_runs = 1\n"
    config.write_text(text + caps, encoding="utf-8")


@pytest.fixture
def guarding(nightdesk: Nightdesk) -> Iterator[subprocess.Popen[str]]:
    process = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: any(run["state"] == "running" for run in nightdesk.live()))
    yield process
    process.send_signal(signal.SIGTERM)
    nightdesk.ended(process)


@pytest.mark.parametrize(
    ("words", "harm"),
    [
        pytest.param(("cancel", "--all"), tear, id="torn"),
        pytest.param(("pause", "--cancel"), Path.unlink, id="missing"),
        pytest.param(("cancel", "--all"), lambda config: config.chmod(0o666), id="others may write it"),
        pytest.param(("pause", "--cancel"), replace_service, id="another service"),
    ],
)
def test_all_runs_can_be_stopped_with_a_broken_config(
    nightdesk: Nightdesk, guarding: subprocess.Popen[str], words: tuple[str, ...], harm: Harm
) -> None:
    harm(nightdesk.folder / "nightdesk.toml")
    assert nightdesk("ps").code == 0
    (run,) = nightdesk("ps", "--json").json
    done = nightdesk(*words, "--json")
    assert done.code == 0, done
    runs = done.json if words[0] == "cancel" else done.json["runs"]
    assert [(each["run"], each["outcome"]) for each in runs] == [(run["run"], "cancelled")]
    assert nightdesk.service.live() == 0
    assert guarding.wait(10) == 5


def test_pausing_needs_no_config_and_no_key(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    config = nightdesk.folder / "nightdesk.toml"
    whole = config.read_text(encoding="utf-8")
    tear(config)
    del nightdesk.environment["GEMINI_API_KEY"]
    paused = nightdesk("pause")
    assert paused.code == 0
    assert "going on without the config" in paused.err
    assert "PAUSED" in nightdesk("ps").out
    config.write_text(whole, encoding="utf-8")
    nightdesk.environment["GEMINI_API_KEY"] = "canary-key"
    assert nightdesk.launch("failing").code == 6


def test_without_a_key_the_supervising_process_sends_the_cancel(
    nightdesk: Nightdesk, guarding: subprocess.Popen[str]
) -> None:
    del nightdesk.environment["GEMINI_API_KEY"]
    assert nightdesk("cancel", "--all").code == 0
    assert nightdesk.service.live() == 0


def test_without_a_state_folder_the_error_is_that_of_the_config(nightdesk: Nightdesk) -> None:
    tear(nightdesk.folder / "nightdesk.toml")
    for words in (("ps",), ("ps", "--json"), ("pause",), ("cancel", "--all")):
        done = nightdesk(*words)
        assert done.code == 2
        assert "not TOML" in done.err
    assert not nightdesk.state.exists()


@pytest.mark.parametrize("words", [("pause", "--cancel"), ("ps",)], ids=" ".join)
def test_a_locked_log_does_not_delay_a_stop(
    nightdesk: Nightdesk, guarding: subprocess.Popen[str], words: tuple[str, ...]
) -> None:
    lock = os.open(nightdesk.state / "runs.log.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        assert nightdesk(*words).code == 0
    finally:
        os.close(lock)
    if "cancel" in " ".join(words):
        assert nightdesk.service.live() == 0
    nightdesk("resume")


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        ("begin", ("cancel", "--all")),
        ("begin immediate", ("pause", "--cancel")),
        ("begin exclusive", ("pause", "--cancel")),
    ],
)
def test_a_locked_store_does_not_prevent_a_cancel(
    nightdesk: Nightdesk, guarding: subprocess.Popen[str], begin: str, words: tuple[str, ...]
) -> None:
    """Another process keeps a read, immediate or exclusive transaction open on the database."""
    with closing(sqlite3.connect(nightdesk.state / "nightdesk.db", isolation_level=None)) as connection:
        connection.execute(begin)
        connection.execute("select count(*) from runs").fetchone()
        stopping = nightdesk.start(*words, "--timeout", "2")
        until_sync(lambda: nightdesk.service.live() == 0, what="the cancel")
        done = nightdesk.ended(stopping)
    assert done.code in (7, 8)
    assert "not recorded" in done.err or "NOT PAUSED" in done.err


def test_a_run_can_be_named_while_the_store_cannot_be_read(
    nightdesk: Nightdesk, guarding: subprocess.Popen[str]
) -> None:
    (run,) = nightdesk.live()
    with closing(sqlite3.connect(nightdesk.state / "nightdesk.db", isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        other = nightdesk.process("cancel", "00000000")
        assert (other.code, nightdesk.service.live()) == (7, 1)
        done = nightdesk.process("cancel", run["run"][:12])
        assert (done.code, nightdesk.service.live()) == (7, 0)
        assert f"run {run['run'][:12]}: cancel sent, not recorded" in done.err
