"""A database that is older than the log or the journal launches nothing until it is reconciled."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from console.doctor.reconcile import reconcile
from console.domain.launch import LaunchKind
from console.domain.run import RunId, State
from console.domain.usage import Usage
from console.engine.errors import StoreOlder
from console.engine.restore_check import RestoreCheck
from console.journal.launch_journal import LaunchJournal
from console.store.files import DATABASE
from tests.clock import ManualClock
from tests.engine.building import BY, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.waiting import until


def spent(agent: FakeAgent) -> None:
    agent.usage = Usage(total=1_000)


def _append_unknown_launch(folder: Path) -> None:
    """Add a launch to the journal that the database does not have."""
    journal = LaunchJournal(folder / "launch.journal")
    journal.append(RunId("01" + "a" * 24), 1, "v1_forgotten")
    journal.close()


def _copy(source: Path, target: Path) -> None:
    """Copy a database over another one, whose file stays the same."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


async def test_a_restored_database_launches_nothing_until_it_is_reconciled(tmp_path: Path) -> None:
    provider, clock = FakeProvider(), ManualClock()
    async with engine_harness(tmp_path, provider, clock=clock) as here:
        _append_unknown_launch(here.folder)
        for _ in range(2):
            with pytest.raises(StoreOlder, match=r"1 runs of runs\.log and launch\.journal"):
                await here.launch()
        assert provider.orders == []
        assert await here.store.runs.open_runs() == ()
        lines = await reconcile(here.folder, by=BY, now=clock.now())
        assert any("lost: run" in line for line in lines)
        assert (await here.launch()).kind is LaunchKind.LAUNCHED
        assert await reconcile(here.folder, by=BY, now=clock.now()) == ()


async def test_a_launch_is_refused_when_the_log_has_later_events_than_the_database(tmp_path: Path) -> None:
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider, clock=ManualClock()) as here:
        await here.engine.operations.pause(by=BY)
        await here.engine.operations.resume(by=BY)
        log = here.folder / "runs.log"
        content = log.read_bytes()
        records = here.log()
    async with engine_harness(tmp_path / "other", provider, clock=ManualClock()) as other:
        (other.folder / "runs.log").write_bytes(content)
        with pytest.raises(StoreOlder, match=f"goes up to event {records[-1].ev}, the database only to 0"):
            await other.launch()


async def test_a_backup_that_is_put_back_under_a_living_process_refuses_launches(tmp_path: Path) -> None:
    provider = FakeProvider(lambda agent: setattr(agent, "status", "completed"))
    async with engine_harness(tmp_path, provider) as here:
        journal = LaunchJournal(here.folder / "launch.journal")
        check = RestoreCheck(here.store, journal, here.folder / "runs.log", again_s=0.0)
        _copy(here.folder / DATABASE, tmp_path / "backup.db")
        await here.engine.wait((await here.launch()).run.id)
        await check.require_complete()
        await check.require_complete()
        _copy(tmp_path / "backup.db", here.folder / DATABASE)
        for _ in range(2):
            with pytest.raises(StoreOlder, match="nothing is launched until"):
                await check.require_complete()


async def test_a_run_whose_row_a_backup_has_forgotten_is_supervised_to_its_end(tmp_path: Path) -> None:
    """No other process can know of the agent, so this one stops it at its limit."""
    provider = FakeProvider(spent)
    async with engine_harness(tmp_path, provider, settings(a_task(max_ms=1_000))) as here:
        _copy(here.folder / DATABASE, tmp_path / "backup.db")
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        _copy(tmp_path / "backup.db", here.folder / DATABASE)
        (agent,) = provider.agents.values()
        await until(lambda: agent.status == "cancelled")
        await until(lambda: run_id not in here.engine.guarded)
        assert any(f"run {run_id} was supervised to its end" in each.text for each in here.engine.problems.entries())


async def test_new_records_under_the_numbers_of_lost_ones_do_not_hide_a_lost_run(tmp_path: Path) -> None:
    """Processes that work on an older database go on numbering where it ends."""
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider, clock=ManualClock()) as here:
        await here.launch()
        await until(lambda: len(here.log()) > 0)
        content, last = (here.folder / "runs.log").read_bytes(), here.log()[-1].ev
    async with engine_harness(tmp_path / "other", provider, clock=ManualClock()) as other:
        while not other.log() or other.log()[-1].ev <= last:
            await other.engine.operations.pause(by=BY)
            await other.engine.operations.resume(by=BY)
        (other.folder / "runs.log").write_bytes(content)
        with pytest.raises(StoreOlder, match=r"1 runs of runs\.log"):
            await other.launch()


async def test_the_files_are_read_beside_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = list[threading.Thread]()
    read = LaunchJournal.read

    def noted(journal: LaunchJournal) -> dict[RunId, str]:
        threads.append(threading.current_thread())
        return read(journal)

    monkeypatch.setattr(LaunchJournal, "read", noted)
    async with engine_harness(tmp_path, FakeProvider(spent)) as here:
        await here.launch()
    assert threads
    assert threading.main_thread() not in threads
