"""`pause`, `cancel` and `ps` need only the state folder, and work with a broken config, key or log."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from console.store.pause_file import PAUSE_FILE
from tests.cli.nightdesk import Nightdesk
from tests.waiting import until_sync

Harm = Callable[[Path], object]


def tear(config: Path) -> None:
    config.write_text(config.read_text(encoding="utf-8") + "\noops = = 1\n", encoding="utf-8")


def replace_by_a_folder(config: Path) -> None:
    config.unlink()
    config.mkdir()


def replace_service(config: Path) -> None:
    """Replace the config by one without our tasks, with another service and without a key."""
    text = '[provider]\nbase_url = "http://127.0.0.1:9"\napi_key_env = "NOT_SET"\n[caps]\n'
    caps = "daily_units = 1\nmonthly_units = 1\ndaily_runs = 1\nconcurrent_runs = 1\n"
    config.write_text(text + caps, encoding="utf-8")


@pytest.mark.parametrize("folder", ["missing", "empty"])
@pytest.mark.parametrize("words", [("--all",), ("good",)], ids=" ".join)
def test_a_cancel_begins_no_state_folder(nightdesk: Nightdesk, words: tuple[str, ...], folder: str) -> None:
    """After the folder was moved away, an empty one would say that nothing is live."""
    if folder == "empty":
        nightdesk.state.mkdir(mode=0o700)
    done = nightdesk("cancel", *words)
    assert (done.code, done.out) == (8, "")
    (line,) = done.err.splitlines()
    assert line.startswith("nightdesk: there is no state ")
    assert str(nightdesk.state) in line
    assert [*nightdesk.state.iterdir()] == [] if folder == "empty" else not nightdesk.state.exists()


def test_a_pause_of_a_new_state_folder_says_so_and_holds(nightdesk: Nightdesk) -> None:
    done = nightdesk("pause")
    assert done.code == 0
    assert f"the state folder {nightdesk.state} is new" in done.err
    assert nightdesk("run", "good").code == 6
    assert "is new" not in nightdesk("pause").err


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
        pytest.param(("cancel", "--all"), replace_by_a_folder, id="a folder", marks=pytest.mark.proofs),
        pytest.param(("pause", "--cancel"), Path.unlink, id="missing", marks=pytest.mark.proofs),
        pytest.param(
            ("cancel", "--all"), lambda config: config.chmod(0o666), id="others may write it", marks=pytest.mark.proofs
        ),
        pytest.param(("pause", "--cancel"), replace_service, id="another service", marks=pytest.mark.proofs),
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


@pytest.mark.parametrize(
    "words", [pytest.param(("ps",), marks=pytest.mark.proofs), ("pause", "--cancel")], ids=" ".join
)
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


def test_a_damaged_index_hides_no_open_run(nightdesk: Nightdesk, guarding: subprocess.Popen[str]) -> None:
    (run,) = nightdesk.live()
    database = nightdesk.state / "nightdesk.db"
    with closing(sqlite3.connect(database)) as connection:
        (page,) = connection.execute("select rootpage from sqlite_schema where name = 'runs_open'").fetchone()
        (size,) = connection.execute("pragma page_size").fetchone()
    whole = database.read_bytes()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xee" * 8)
    listed, table = nightdesk.process("ps", "--json"), nightdesk.process("ps")
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(whole[(page - 1) * size :][:8])
    assert [each["run"] for each in listed.json] == [run["run"]]
    assert (table.code, run["run"][:12] in table.out, "damaged" in table.err) == (8, True, True)


@contextmanager
def held(nightdesk: Nightdesk, begin: str) -> Iterator[None]:
    """Keep a transaction of another process open on the database."""
    with closing(sqlite3.connect(nightdesk.state / "nightdesk.db", isolation_level=None)) as connection:
        connection.execute(begin)
        connection.execute("select count(*) from runs").fetchone()
        yield


HELD = (
    pytest.param("begin", marks=pytest.mark.proofs),
    "begin immediate",
    pytest.param("begin exclusive", marks=pytest.mark.proofs),
)
"""By a reader; by a writer, whom readers do not wait for; by a writer whom all wait for."""


@pytest.mark.parametrize("begin", HELD)
def test_a_held_store_does_not_delay_a_pause(nightdesk: Nightdesk, begin: str) -> None:
    nightdesk.launch("good")
    with held(nightdesk, begin):
        asked = time.monotonic()
        paused = nightdesk("pause", "--json")
        assert time.monotonic() - asked < 5
        assert (paused.code, paused.json) == (0, {"paused": True, "recorded": False, "runs": []})
        assert "not recorded in the store and the log yet" in paused.err
    assert nightdesk.launch("failing").code == 6
    assert "PAUSED" in nightdesk("ps").out
    # The first engine with time for it moves the pause into the store.
    serving = nightdesk.start("serve")
    until_sync(lambda: not (nightdesk.state / PAUSE_FILE).exists(), what="the pause in the store")
    serving.send_signal(signal.SIGTERM)
    nightdesk.ended(serving)
    assert "event=pause" in (nightdesk.state / "runs.log").read_text(encoding="utf-8")
    assert nightdesk.launch("failing").code == 6
    assert nightdesk("resume").code == 0
    assert nightdesk.launch("failing").code == 1


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        ("begin immediate", ("pause", "--cancel")),
        pytest.param("begin", ("cancel", "--all"), marks=pytest.mark.proofs),
        pytest.param("begin immediate", ("cancel", "RUN"), marks=pytest.mark.proofs),
        pytest.param("begin exclusive", ("pause", "--cancel"), marks=pytest.mark.proofs),
        pytest.param("begin exclusive", ("cancel", "RUN"), marks=pytest.mark.proofs),
    ],
)
def test_a_held_store_does_not_delay_a_cancel(
    nightdesk: Nightdesk, guarding: subprocess.Popen[str], begin: str, words: tuple[str, ...]
) -> None:
    """The command ends once the service shows the end; it does not wait for the store to record it."""
    (run,) = nightdesk.live()
    words = tuple(run["run"][:12] if word == "RUN" else word for word in words)
    with held(nightdesk, begin):
        done = nightdesk.process(*words, "--json")
        assert nightdesk.service.live() == 0
        assert done.code == 7
        runs = done.json["runs"] if words[0] == "pause" else done.json
        assert [(each["run"], each["shown"]) for each in runs] == [(run["run"], "cancelled")]
        assert "not recorded" in done.err
        if words[0] == "pause":
            assert (done.json["paused"], done.json["recorded"]) == (True, False)
    until_sync(lambda: not nightdesk.live(), what="the end in the store")
    assert (nightdesk.launch("good").code == 6) is (words[0] == "pause")


@pytest.mark.proofs
@pytest.mark.parametrize("begin", ["begin immediate", "begin exclusive"])
def test_a_held_store_does_not_delay_the_limit_of_a_run_whose_process_was_killed(
    nightdesk: Nightdesk, begin: str
) -> None:
    """Nobody can store a take-over, so every living process cancels the run at its limit."""
    serving = nightdesk.start("serve")
    until_sync(lambda: any((nightdesk.state / "owners").glob("*.lock")), what="serve")
    launcher = nightdesk.start("run", "limited", "--origin", "manual")
    until_sync(lambda: any(run["elapsed"] > 3 for run in nightdesk.live()), what="a round of serve with the run")
    with held(nightdesk, begin):
        launcher.kill()
        nightdesk.ended(launcher)
        until_sync(lambda: nightdesk.service.live() == 0, within=12, what="the cancel")
    until_sync(lambda: not nightdesk.live(), what="the end in the store")
    serving.send_signal(signal.SIGTERM)
    nightdesk.ended(serving)


@pytest.mark.proofs
def test_a_run_that_is_not_known_is_not_cancelled_while_the_store_cannot_be_read(
    nightdesk: Nightdesk, guarding: subprocess.Popen[str]
) -> None:
    with held(nightdesk, "begin exclusive"):
        other = nightdesk.process("cancel", "00000000")
    assert (other.code, nightdesk.service.live()) == (7, 1)


def test_a_database_that_is_gone_does_not_prevent_a_cancel(
    nightdesk: Nightdesk, guarding: subprocess.Popen[str]
) -> None:
    """The ids that the launches returned stand in launch.journal as well."""
    (nightdesk.state / "nightdesk.db").rename(nightdesk.state / "elsewhere.db")
    done = nightdesk.process("cancel", "--all")
    (nightdesk.state / "elsewhere.db").rename(nightdesk.state / "nightdesk.db")
    assert (done.code, nightdesk.service.live()) == (7, 0)
    assert "is missing" in done.err


def test_ps_reads_past_the_lock_of_a_process_that_keeps_all_others_out(
    nightdesk: Nightdesk, guarding: subprocess.Popen[str]
) -> None:
    (run,) = nightdesk.live()
    with held(nightdesk, "begin exclusive"):
        table, listed = nightdesk.process("ps"), nightdesk.process("ps", "--json")
    assert (table.code, listed.code) == (0, 0)
    assert run["run"][:12] in table.out
    assert [each["run"] for each in listed.json] == [run["run"]]
    assert "in the middle of a change" in table.err
    assert "in the middle of a change" in listed.err


@pytest.mark.proofs
def test_a_row_that_cannot_be_read_is_reported_and_its_agent_can_be_stopped(nightdesk: Nightdesk) -> None:
    assert nightdesk.launch("endless", "--no-wait").code == 0
    assert nightdesk.launch("good").code == 0
    (run,) = nightdesk.live()
    with closing(sqlite3.connect(nightdesk.state / "nightdesk.db", isolation_level=None)) as connection:
        for (name,) in connection.execute("select name from sqlite_schema where type = 'trigger'").fetchall():
            connection.execute(f"drop trigger {name}")
        connection.execute("update runs set fingerprint = '{' where id = ?", (run["run"],))
    for done in (nightdesk("ps"), nightdesk("ps", "--json")):
        assert done.code == 8
        assert "1 open run cannot be read" in done.out + done.err
        assert run["run"] in done.out + done.err
    stopped = nightdesk("cancel", "--all")
    assert stopped.code == 7
    assert nightdesk.service.live() == 0
    assert f"run {run['run'][:12]}: the service shows it as cancelled; not recorded" in stopped.err


@pytest.mark.proofs
@pytest.mark.parametrize("named", [False, True])
def test_a_run_that_a_restored_backup_has_forgotten_can_be_stopped(nightdesk: Nightdesk, named: bool) -> None:
    nightdesk.launch("good")
    backup = (nightdesk.state / "nightdesk.db").read_bytes()
    lost = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: any(run["state"] == "running" for run in nightdesk.live()))
    (run,) = nightdesk.live()
    lost.kill()
    nightdesk.ended(lost)
    (nightdesk.state / "nightdesk.db").write_bytes(backup)
    assert nightdesk.live() == []
    stopped = nightdesk("cancel", run["run"][:12] if named else "--all")
    assert (stopped.code, nightdesk.service.live()) == (7, 0)
    assert f"run {run['run'][:12]}: the service shows it as cancelled; not recorded" in stopped.err


@pytest.mark.parametrize(
    ("begin", "command"),
    [
        ("begin immediate", ("resume",)),
        pytest.param("begin", ("resume",), marks=pytest.mark.proofs),
        pytest.param("begin exclusive", ("history",), marks=pytest.mark.proofs),
        pytest.param("begin exclusive", ("serve",), marks=pytest.mark.proofs),
        pytest.param("begin immediate", ("run", "good", "--origin", "manual"), marks=pytest.mark.proofs),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_command_that_waits_for_a_held_store_says_so_at_once(
    nightdesk: Nightdesk, begin: str, command: tuple[str, ...]
) -> None:
    assert nightdesk("history").code == 0, "it begins the store"
    with held(nightdesk, begin):
        waiting = nightdesk.start(*command)
        assert waiting.stderr is not None
        told = next(line for line in waiting.stderr if "state store" in line)
    assert told.startswith("waiting for the state store: another process holds or upgrades it, or its disk is slow")
    if command == ("serve",):
        next(line for line in waiting.stderr if "serving" in line)
        waiting.terminate()
    assert nightdesk.ended(waiting).code == 0
