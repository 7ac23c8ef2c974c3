"""A state folder is moved into a database row for row, once, and its own store is never used again."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from console.domain.caps import Cap
from console.domain.run import Outcome, State, StepRecord
from console.domain.task import Stage
from console.store.bootstrap import MOVED
from console.store.errors import StoreMissing, StoreRefused
from console.store.files import DATABASE
from console.store.fleet_settings import FleetSettings
from console.store.postgres.administration import create_store
from console.store.postgres.move import TABLES, move_store
from console.store.pragmas import database_uri
from console.store.store import Store
from tests.clock import ManualClock
from tests.store.harness import BY, StoreHarness, a_task, open_harness
from tests.tree import TESTS

ENDINGS = (Outcome.OK, Outcome.FAILED, Outcome.BUDGET, Outcome.REJECTED, Outcome.WRITTEN_OFF, Outcome.EXPIRED)


@pytest.fixture
def empty(postgres: str) -> FleetSettings:
    """A schema with an empty store."""
    settings = FleetSettings(url=postgres, schema=f"move_{os.urandom(6).hex()}", host="here")
    create_store(settings, ManualClock().now())
    return settings


@pytest.fixture
async def used(fresh: Path, folder: Path) -> Path:
    """A state folder with ended runs, skips, a raise, a pause and text that is hard to copy."""
    shutil.copytree(fresh, folder)
    harness = await open_harness(folder)
    store, now = harness.store, harness.now
    for number, outcome in enumerate(ENDINGS):
        await harness.ended(outcome, target=f"site {number}\t\\N 'ü' \u202e")
    await harness.claim(a_task(target="site 0\t\\N 'ü' \u202e"))
    await store.ledger.raise_cap(
        Cap.DAILY_RUNS, task=None, amount=3, by=BY, reason="more\nlines", caps=harness.caps, now=now
    )
    stepped = await harness.running(target="stepped")
    step = StepRecord(index=0, kind="code", text="ls", at_ms=10, units=5, done=True)
    await harness.settle(stepped, steps=(step,))
    await harness.at_stage(Stage.SEMI)
    await store.controls.pause(by=BY, now=now)
    await store.cursors.begin(["report 0 3 * * *"], now_ms=now.wall_ms, beyond_ms=0)
    await store.close()
    return folder


def _rows(folder: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database_uri(folder), uri=True)) as connection:
        names = sorted(row[1] for row in connection.execute(f"pragma table_info({table})"))
        columns = ", ".join(f'"{name}"' for name in names)
        return connection.execute(f"select {columns} from {table} order by {TABLES[table]}").fetchall()


def _moved_rows(settings: FleetSettings, folder: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database_uri(folder), uri=True)) as connection:
        names = sorted(row[1] for row in connection.execute(f"pragma table_info({table})"))
    columns = ", ".join(f'"{name}"' for name in names)
    with psycopg.connect(settings.conninfo, options=f"-c search_path={settings.schema}") as connection:
        return connection.execute(f"select {columns} from {table} order by {TABLES[table]}".encode()).fetchall()


async def _harness(settings: FleetSettings, folder: Path) -> StoreHarness:
    return StoreHarness(await Store.open(folder, now=ManualClock().now(), fleet=settings), ManualClock())


async def test_every_row_arrives_and_the_old_store_refuses(used: Path, empty: FleetSettings) -> None:
    moved = move_store(used, empty, ManualClock().now())
    assert moved.runs == len(ENDINGS) + 2
    for table in TABLES:
        rows = _rows(used, table)
        assert rows, f"nothing in {table} is compared"
        assert _moved_rows(empty, used, table) == rows
    for read_only in (False, True):
        with pytest.raises(StoreMissing, match="was moved into a database of several hosts"):
            await Store.open(used, now=ManualClock().now(), read_only=read_only)


async def test_the_moved_store_goes_on_where_the_old_one_ended(used: Path, empty: FleetSettings) -> None:
    moved = move_store(used, empty, ManualClock().now())
    harness = await _harness(empty, used)
    try:
        assert await harness.store.controls.resume(by=BY, now=harness.now)
        assert (await harness.records())[-1].ev == moved.lines + 1
        skipped = await harness.claim(a_task(target="site 0\t\\N 'ü' \u202e"))
        assert skipped.run.outcome is Outcome.SKIPPED
        run = await harness.claimed(target="another")
        assert run.attempt == 1
        assert await harness.store.stages.stage("report") is Stage.SEMI
        assert await harness.store.cursors.reached("report 0 3 * * *") is not None
    finally:
        await harness.store.close()


async def test_open_runs_and_full_schemas_are_refused(used: Path, empty: FleetSettings, tmp_path: Path) -> None:
    harness = await open_harness(used)
    await harness.store.controls.resume(by=BY, now=harness.now)
    run = await harness.sending(target="open")
    with pytest.raises(StoreRefused, match=r"runs are open: .* \(report\); nothing was moved"):
        move_store(used, empty, ManualClock().now())
    await harness.store.runs.record_not_sent(run, why="no", final=True, now=harness.now)
    await harness.store.close()
    target = await _harness(empty, tmp_path / "another host")
    await target.claimed(target="other")
    await target.store.close()
    with pytest.raises(StoreRefused, match="holds runs of another store"):
        move_store(used, empty, ManualClock().now())
    await (await Store.open(used, now=ManualClock().now())).close()


def test_a_move_that_ended_before_the_mark_is_completed(used: Path, empty: FleetSettings, tmp_path: Path) -> None:
    """The rows were committed, and the process died before the old store was marked."""
    before = shutil.copy(used / DATABASE, tmp_path)
    moved = move_store(used, empty, ManualClock().now())
    shutil.copy(before, used / DATABASE)
    assert move_store(used, empty, ManualClock().now()) == moved
    for table in TABLES:
        assert _moved_rows(empty, used, table) == _rows(used, table)
    with closing(sqlite3.connect(database_uri(used), uri=True)) as connection:
        assert connection.execute("pragma user_version").fetchone() == (MOVED,)


def _old_folder(folder: Path) -> None:
    """Puts a folder of version 0.1.0 there."""
    fixture = TESTS / "fixtures" / "state_0_1_0"
    (folder / "owners").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    shutil.copyfile(fixture / "state.id", folder / "state.id")
    (folder / DATABASE).write_bytes(gzip.decompress((fixture / "nightdesk.db.gz").read_bytes()))
    for name in ("state.id", DATABASE):
        (folder / name).chmod(0o600)


async def test_the_folder_of_an_old_version_is_moved(empty: FleetSettings, folder: Path) -> None:
    """Of version 0.1.0, once its open runs have ended."""
    _old_folder(folder)
    with pytest.raises(StoreRefused, match=r"runs are open: .* and \d more; nothing was moved"):
        move_store(folder, empty, ManualClock().now())
    harness = await open_harness(folder)
    for run in await harness.store.runs.open_runs():
        match run.state:
            case State.PROPOSED:
                await harness.store.claims.decline(run.id, by=BY, reason="old", now=harness.now)
            case State.CLAIMED | State.SENDING:
                sending = run if run.state is State.SENDING else await harness.store.runs.mark_sending(run, harness.now)
                await harness.store.runs.record_not_sent(sending, why="old", final=True, now=harness.now)
            case State.UNCONFIRMED:
                await harness.store.runs.write_off(run, by=BY, reason="old", now=harness.now)
            case _:
                await harness.settle(run)
    await harness.store.close()
    moved = move_store(folder, empty, ManualClock().now())
    assert (moved.runs, moved.lines) == (13, 23)
    for table in TABLES:
        assert _moved_rows(empty, folder, table) == _rows(folder, table)
