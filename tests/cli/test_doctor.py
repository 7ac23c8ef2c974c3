"""`doctor` reports what would prevent a launch, with any damage, and changes nothing."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from console.store.pragmas import database_uri
from tests.cli.nightdesk import Done, Nightdesk
from tests.store.unprivileged import as_nobody
from tests.waiting import until_sync

ALL = {
    *("folder", "files", "disk", "identity", "schema", "durability", "integrity"),
    *("log", "launches", "owners", "problems", "scheduler", "runs", "clock"),
    *("config", "key", "service", "notify", "otel", "terminal", "background", "limits", "prices"),
}


def findings(done: Done) -> dict[str, list[tuple[str, str]]]:
    """Return the level and text of each finding, by check."""
    found: dict[str, list[tuple[str, str]]] = {}
    for finding in done.json:
        found.setdefault(finding["check"], []).append((finding["level"], finding["told"]))
    return found


def failing(done: Done) -> dict[str, str]:
    """Return the text of each FAIL, by check."""
    return {check: told for check, several in findings(done).items() for level, told in several if level == "FAIL"}


def warned(done: Done) -> dict[str, str]:
    """Return the text of each warning, by check."""
    return {check: told for check, several in findings(done).items() for level, told in several if level == "warn"}


def contents(folder: Path) -> dict[str, Any]:
    """Return the state of a folder that any write would change."""
    return {
        str(path.relative_to(folder)): (
            (status := path.lstat()).st_mode,
            # SQLite creates and removes files next to the WAL for each reader.
            status.st_mtime_ns if path.is_file() else None,
            path.read_bytes() if path.is_file() else None,
        )
        for path in sorted(folder.rglob("*"))
    }


def examined(nightdesk: Nightdesk) -> Done:
    """Run `doctor` and return its findings; fail if it changed anything."""
    before = contents(nightdesk.folder)
    done = nightdesk("doctor", "--json")
    assert contents(nightdesk.folder) == before
    assert done.err == ""
    return done


def change(nightdesk: Nightdesk, sql: str) -> None:
    """Execute SQL directly on the database."""
    with closing(sqlite3.connect(database_uri(nightdesk.state), uri=True, isolation_level=None)) as foreign:
        foreign.execute(sql)


def test_every_check_passes_on_an_intact_installation(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    done = examined(nightdesk)

    assert done.code == 0
    assert set(findings(done)) == ALL
    assert not failing(done)
    assert set(warned(done)) == {"prices"}
    assert findings(done)["scheduler"] == [("ok", "no process, and every scheduled task is at stage manual")]
    lines = nightdesk("doctor").out.splitlines()
    assert len(lines) == len(done.json)
    assert {line.split()[0] for line in lines} == {"ok", "warn"}


def test_doctor_creates_nothing_before_the_first_use(nightdesk: Nightdesk) -> None:
    done = examined(nightdesk)

    assert done.code == 0
    assert not nightdesk.state.exists()
    assert "first use creates it" in findings(done)["folder"][0][1]


@pytest.mark.parametrize("mounted", [True, False])
def test_a_state_folder_that_was_moved_away_is_not_begun_anew(
    nightdesk: Nightdesk, tmp_path: Path, mounted: bool
) -> None:
    nightdesk.launch("good")
    shutil.move(nightdesk.state, tmp_path / "away")
    if not mounted:
        # What is left of a folder whose disk is not mounted.
        nightdesk.state.mkdir(mode=0o700)
    ((level, text),) = findings(examined(nightdesk))["folder"]
    assert level == "FAIL"
    advice = text.replace("`nightdesk ", f"`nightdesk --state-dir {nightdesk.state} ")
    for words in (("run", "good"), ("serve",), ("ps",), ("pause",), ("pause", "--cancel"), ("cancel", "--all")):
        refused = nightdesk(*words)
        assert refused.code == 8
        assert refused.err.splitlines()[-1] == f"nightdesk: {advice}"
    assert [*nightdesk.state.iterdir()] == [] if not mounted else not nightdesk.state.exists()
    if not mounted:
        nightdesk.state.rmdir()
    shutil.move(tmp_path / "away", nightdesk.state)
    assert "of this key ended ok" in nightdesk("run", "good", "--origin", "manual").err


def test_a_person_begins_an_empty_folder_in_place_of_one_that_is_gone(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    shutil.rmtree(nightdesk.state)
    (decided,) = nightdesk("doctor", "--reconcile", "--json").json["reconciled"]
    assert "an empty state folder was begun" in decided
    assert [each["act"] for each in nightdesk("audit", "--json").json] == ["accept"]
    assert nightdesk.launch("good").code == 0


def test_the_source_of_the_key_is_shown_but_not_the_key(nightdesk: Nightdesk) -> None:
    assert findings(examined(nightdesk))["key"] == [("ok", "in the environment variable GEMINI_API_KEY")]
    assert "canary-key" not in nightdesk("doctor").out
    del nightdesk.environment["GEMINI_API_KEY"]
    done = examined(nightdesk)
    assert done.code == 2
    assert "GEMINI_API_KEY with the API key is not set" in failing(done)["key"]


def test_a_config_that_cannot_be_used(nightdesk: Nightdesk) -> None:
    config = nightdesk.folder / "nightdesk.toml"
    config.write_text(config.read_text().replace("daily_runs = 100", "dayly_runs = 100"))
    done = examined(nightdesk)
    assert done.code == 2
    assert len(findings(done)["config"]) == 2
    config.unlink()
    assert "`nightdesk init` writes one" in failing(examined(nightdesk))["config"]


def _database(nightdesk: Nightdesk) -> Path:
    return nightdesk.state / "nightdesk.db"


def _scribble(nightdesk: Nightdesk) -> None:
    with _database(nightdesk).open("r+b") as file:
        for page in range(1, _database(nightdesk).stat().st_size // 4096, 2):
            file.seek(page * 4096)
            file.write(b"\xff" * 300)


def _orphan(nightdesk: Nightdesk) -> None:
    change(nightdesk, "insert into steps (run_id, n, kind, text, at_ms, units, done) values ('x', 0, '', '', 0, 0, 0)")


def _link(nightdesk: Nightdesk) -> None:
    _database(nightdesk).rename(nightdesk.state / "else.db")
    _database(nightdesk).symlink_to("else.db")


def _log_line_from_the_future(nightdesk: Nightdesk) -> None:
    older = _database(nightdesk).read_bytes()
    nightdesk.launch("failing")
    _database(nightdesk).write_bytes(older)


Harm = Callable[[Nightdesk], object]


@pytest.mark.parametrize(
    ("check", "words", "harm"),
    [
        ("folder", "others may look into", lambda nightdesk: nightdesk.state.chmod(0o755)),
        ("files", "others may use", lambda nightdesk: _database(nightdesk).chmod(0o644)),
        ("files", "is a symbolic link", _link),
        ("files", "others may write", lambda nightdesk: (nightdesk.state / "runs.log").chmod(0o622)),
        ("identity", "is missing, but state.id", lambda nightdesk: _database(nightdesk).unlink()),
        ("identity", "is empty, but state.id", lambda nightdesk: os.truncate(_database(nightdesk), 0)),
        (
            "identity",
            "not the one that state.id names",
            lambda nightdesk: (nightdesk.state / "state.id").write_text("f" * 32),
        ),
        ("schema", "is of version 99", lambda nightdesk: change(nightdesk, "pragma user_version = 99")),
        ("durability", "journal mode", lambda nightdesk: change(nightdesk, "pragma journal_mode = wal")),
        ("integrity", "", _scribble),
        ("integrity", "refers to no row of runs", _orphan),
        ("schema", "not a database", lambda nightdesk: _database(nightdesk).write_bytes(b"no database " * 1000)),
        ("log", "it is older than its log and lacks runs", _log_line_from_the_future),
        ("launches", "1 launched runs are not in the database", _log_line_from_the_future),
    ],
)
def test_damage_for_which_the_store_refuses_to_open_is_a_fail(
    nightdesk: Nightdesk, check: str, words: str, harm: Harm
) -> None:
    if words == "journal mode" and sqlite3.sqlite_version_info >= (3, 51, 3):
        pytest.skip("this SQLite may use a WAL")
    nightdesk.launch("good")
    harm(nightdesk)
    done = examined(nightdesk)

    assert done.code == 8
    assert words in failing(done)[check]
    assert "internal error" not in done.out
    assert nightdesk("doctor").out.count("FAIL") >= len(failing(done))


def test_a_state_folder_that_is_not_a_folder(nightdesk: Nightdesk) -> None:
    nightdesk.state.write_text("a file")
    assert failing(examined(nightdesk))["folder"].endswith("is not a folder")
    nightdesk.state.unlink()
    (nightdesk.folder / "real").mkdir(mode=0o700)
    nightdesk.state.symlink_to("real")
    done = examined(nightdesk)
    assert done.code == 8
    assert "is a symbolic link" in failing(done)["folder"]


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("drop index runs_key_taken", "index runs_key_taken"),
        ("drop trigger holds_never_deleted", "trigger holds_never_deleted"),
        ("create trigger more after insert on runs begin select 1; end", "trigger more"),
        ("alter table raises rename to other", "table raises"),
    ],
)
def test_a_changed_schema_is_reported(nightdesk: Nightdesk, statement: str, name: str) -> None:
    nightdesk.launch("good")
    change(nightdesk, "create table notes (text)")
    assert "schema" not in failing(examined(nightdesk)), "a table more is no damage"
    change(nightdesk, statement)
    done = examined(nightdesk)
    assert done.code == 8
    assert name in failing(done)["schema"]


def test_lost_log_lines_are_reported(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    nightdesk.launch("failing")
    log = nightdesk.state / "runs.log"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + lines[2] + b"foreign\n")

    told = warned(examined(nightdesk))["log"]
    assert "1 lines are missing, 1 lines are torn or foreign, 1 events wait to be written" in told
    log.write_bytes(lines[0])
    assert "3 events wait to be written" in warned(examined(nightdesk))["log"]


def test_a_journaled_remote_id_that_its_run_lacks_is_reported(nightdesk: Nightdesk) -> None:
    done = nightdesk.launch("good").json
    change(nightdesk, "drop trigger runs_end_is_final")
    change(nightdesk, f"update runs set remote_id = null where id = '{done['run']}'")

    assert done["run"] in warned(examined(nightdesk))["launches"]


def test_runs_that_need_a_decision_are_reported(nightdesk: Nightdesk) -> None:
    lost = nightdesk.launch("lost").json
    nightdesk("pause")
    waiting = [told for level, told in findings(nightdesk("doctor", "--json"))["runs"] if level == "warn"]

    assert "launches are paused by" in waiting[0]
    assert lost["run"] in waiting[1]


def test_living_dead_and_stuck_owners_are_reported(nightdesk: Nightdesk) -> None:
    running = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: nightdesk.service.started() == 1, what="the launch", within=30)
    until_sync(lambda: nightdesk.live()[0]["state"] == "running", what="the run")

    found = findings(nightdesk("doctor", "--json"))
    assert found["owners"] == [("ok", f"alive: run (pid {running.pid})")]
    assert [level for level, _ in found["runs"]] == ["ok"]
    change(nightdesk, "update owners set beat_ms = beat_ms - 100000")
    assert "holds its lock but sent no heartbeat for" in warned(nightdesk("doctor", "--json"))["owners"]
    running.send_signal(signal.SIGKILL)
    nightdesk.ended(running)
    found = findings(examined(nightdesk))
    assert found["owners"] == [
        ("ok", "no Nightdesk process is running; 1 died, the next process takes over their runs")
    ]
    assert "have no living supervisor" in found["runs"][0][1]


@pytest.mark.proofs
def test_a_stop_that_is_not_proven_is_reported(nightdesk: Nightdesk) -> None:
    running = nightdesk.start("run", "endless", "--origin", "manual")
    until_sync(lambda: nightdesk.live() and nightdesk.live()[0]["state"] == "running", what="the run", within=30)
    nightdesk.service.set_faults(("cancel.503",))
    assert nightdesk("cancel", "--all", "--timeout", "0.1").code == 7

    assert "1 stop not confirmed yet" in warned(nightdesk("doctor", "--json"))["runs"]
    nightdesk.service.clear_faults()
    nightdesk.ended(running)


def test_a_clock_step_is_reported(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    assert "clock agree" in findings(examined(nightdesk))["clock"][0][1]
    change(nightdesk, "update meta set value = value || '000' where name = 'clock_baseline'")
    assert "the wall clock stepped by" in warned(examined(nightdesk))["clock"]


def test_a_folder_that_may_not_be_read() -> None:
    told = as_nobody(
        """
        async def work(folder, now):
            folder.mkdir(mode=0o700)
            (folder / "nightdesk.db").write_bytes(b"x")
            folder.chmod(0)
            return await asyncio.to_thread(doctor, folder)
        """,
        first="""
        import io
        from console.cli.main import run
        from console.cli.invocation import Invocation

        def doctor(folder):
            out, streams = io.StringIO(), {"stdin": io.StringIO(), "stderr": io.StringIO()}
            shell = Invocation(environment={}, stdout=out, working=place, **streams)
            return [run(["--state-dir", str(folder), "doctor"], shell), out.getvalue()]

        doctor(place / "none")
        """,
    )
    assert isinstance(told, list)
    code, out = told
    assert code == 8
    assert "Permission denied" in out
    assert "internal error" not in out


def test_a_copied_folder_launches_only_after_it_was_reconciled(nightdesk: Nightdesk, tmp_path: Path) -> None:
    nightdesk.launch("good")
    original = tmp_path / "original"
    nightdesk.state.rename(original)
    shutil.copytree(original, nightdesk.state)

    assert f"is a copy of {nightdesk.state}" in failing(examined(nightdesk))["identity"]
    refused = nightdesk("run", "good", "--origin", "manual", "--date", "2026-01-02")
    assert refused.code == 8
    assert f"`nightdesk --state-dir {nightdesk.state} doctor --reconcile`" in refused.err
    done = nightdesk("doctor", "--reconcile")
    assert done.code == 0
    assert "this copy of the state folder may launch now" in done.out + done.err
    assert not failing(examined(nightdesk))
    assert nightdesk("run", "good", "--origin", "manual", "--date", "2026-01-02").code == 0


@pytest.mark.proofs
def test_a_run_that_damaged_sums_keep_from_ending_ends_after_they_were_reconciled(nightdesk: Nightdesk) -> None:
    guarding = nightdesk.start("run", "limited", "--origin", "manual")
    until_sync(lambda: any(run["state"] == "running" for run in nightdesk.live()))
    with closing(sqlite3.connect(nightdesk.state / "nightdesk.db", isolation_level=None, timeout=30)) as connection:
        connection.execute("update day_sums set held = 0")
    until_sync(lambda: nightdesk.service.live() == 0, what="the cancel at its limit")
    found = nightdesk("doctor")
    assert (found.code, " doctor --reconcile` adds it up again" in found.out) == (8, True)
    decided = nightdesk("doctor", "--reconcile", "--json").json["reconciled"]
    assert [line for line in decided if "added up again" in line]
    (recount,) = nightdesk("audit", "--act", "recount", "--json").json
    assert recount["what"].startswith("the sums of 20")
    until_sync(lambda: not nightdesk.live(), what="the end in the store")
    assert nightdesk.ended(guarding).code == 3
    assert not failing(examined(nightdesk))


def test_a_restored_database_launches_only_after_it_was_reconciled(nightdesk: Nightdesk, tmp_path: Path) -> None:
    nightdesk.launch("good")
    shutil.copyfile(nightdesk.state / "nightdesk.db", tmp_path / "backup.db")
    forgotten = nightdesk("run", "good", "--origin", "manual", "--date", "2026-01-02", "--json").json
    shutil.copyfile(tmp_path / "backup.db", nightdesk.state / "nightdesk.db")

    assert set(failing(examined(nightdesk))) == {"log", "launches"}
    assert nightdesk("run", "good", "--origin", "manual", "--date", "2026-01-02").code == 8
    decided = nightdesk("doctor", "--reconcile", "--json")
    assert decided.code == 0
    key = forgotten["key"]
    assert f"key {key} stays taken by the lost run {forgotten['run']}: ok" in decided.json["reconciled"]
    assert nightdesk("doctor", "--reconcile", "--json").json == {"reconciled": []}
    assert not failing(examined(nightdesk))
    again = ("run", "good", "--origin", "manual", "--date", "2026-01-02")
    refused = nightdesk(*again)
    assert refused.code == 6
    assert f"run {forgotten['run']} of this key, which the restored database has lost, was ok" in refused.err
    assert nightdesk(*again, "--rerun", "--reason", "its report was lost as well").code == 0
    assert nightdesk("run", "good", "--origin", "manual", "--date", "2026-01-03").code == 0


def test_a_task_that_is_due_without_a_scheduler_is_a_warning_that_can_be_acted_on(nightdesk: Nightdesk) -> None:
    assert nightdesk("stage", "nightly", "semi", "--force", "--reason", "a test").code == 0
    told = warned(examined(nightdesk))["scheduler"]
    assert told == "no process launches 1 scheduled task; start `nightdesk serve`, or keep the console open"
    path = nightdesk.folder / "nightdesk.toml"
    path.write_text(path.read_text(encoding="utf-8") + "[scheduler]\nconsole = false\n", encoding="utf-8")
    told = warned(examined(nightdesk))["scheduler"]
    assert "keep the console open" not in told
    assert "[scheduler] console = false" in told
