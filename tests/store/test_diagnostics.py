"""The check of a whole database runs in another process, reports what it finds, and holds up no writer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from console.domain.run import Outcome
from console.store import diagnostics, integrity_probe
from console.store.diagnostics import check_integrity, inspect_database
from console.store.errors import StoreError
from console.store.integrity_probe import CheckFailed, copy_in_steps, problems_of
from console.store.pragmas import JournalMode, database_uri
from console.store.store import Store
from tests.clock import ManualClock
from tests.store.harness import BY, CAPS, StoreHarness, a_task

pytestmark = pytest.mark.sqlite


async def test_a_store_in_use_is_found_whole(harness: StoreHarness, folder: Path) -> None:
    await harness.ended(Outcome.OK)
    assert await check_integrity(folder) == ()
    await harness.ended(Outcome.OK, date="2026-11-24")


async def test_a_row_that_refers_to_nothing_is_found(harness: StoreHarness, folder: Path) -> None:
    run = await harness.ended(Outcome.OK)
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as foreign:
        foreign.execute(
            "insert into steps (run_id, n, kind, text, at_ms, units, done) values ('x', 0, '', '', 0, 0, 0)"
        )
    (line,) = await check_integrity(folder)
    assert "refers to no row of runs" in line
    assert (await harness.run(run)).outcome is Outcome.OK


@pytest.mark.parametrize(
    "damage", ["update day_sums set held = 0", "update day_sums set spent = 0", "delete from day_sums"]
)
async def test_sums_that_are_not_those_of_the_holds_are_found_and_added_up_again(
    harness: StoreHarness, folder: Path, damage: str
) -> None:
    """A wrong sum opens a cap, and a hold that is larger than the sum of its day cannot end."""
    await harness.ended(Outcome.OK, used=7_000)
    running = await harness.running(a_task("other"))
    before = await harness.store.ledger.cap_usages(CAPS, harness.now)
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as foreign:
        foreign.execute(damage)
    found = await check_integrity(folder)
    assert found
    assert all("not what counts against the caps" in line for line in found)

    assert await harness.store.ledger.recount(by=BY, now=harness.now) == (running.day,)
    assert await check_integrity(folder) == ()
    assert await harness.store.ledger.cap_usages(CAPS, harness.now) == before
    assert await harness.store.ledger.recount(by=BY, now=harness.now) == ()
    await harness.settle(running, used=1_000)


def _overwrite(database: Path, offset: int, content: bytes) -> None:
    with database.open("r+b") as file:
        file.seek(offset)
        file.write(content)


async def test_flipped_bytes_are_found(harness: StoreHarness, folder: Path) -> None:
    await harness.ended(Outcome.OK)
    await harness.store.close()
    size = (folder / "nightdesk.db").stat().st_size
    for page in range(1, size // 4096, 3):
        _overwrite(folder / "nightdesk.db", page * 4096, b"\xff" * 64)
    assert await check_integrity(folder) != ()


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to look like one" * 10])
async def test_what_is_no_database_is_a_finding_not_a_crash(tmp_path: Path, content: bytes) -> None:
    assert await check_integrity(tmp_path) == (f"{tmp_path}/nightdesk.db is missing",)
    (tmp_path / "nightdesk.db").write_bytes(content)
    assert len(await check_integrity(tmp_path)) == (1 if content else 0)


async def test_a_check_that_takes_too_long_is_stopped(harness: StoreHarness, folder: Path) -> None:
    with pytest.raises(StoreError, match="did not end within 0 s"):
        await check_integrity(folder, longest_s=0)


def test_the_probe_names_what_it_met(tmp_path: Path) -> None:
    uri = f"{(tmp_path / 'none.db').as_uri()}?mode=rw"
    assert problems_of(uri, str(tmp_path / "copy.db"), longest_s=1)[0].startswith("OperationalError")


def _connect(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(database_uri(folder), uri=True, isolation_level=None, timeout=0)


async def test_a_copy_lets_others_write_after_each_step(harness: StoreHarness, folder: Path, tmp_path: Path) -> None:
    """A writer that does not wait succeeds after every step; the copy starts anew and is complete in the end."""
    await harness.ended(Outcome.OK)
    steps = 0

    def write() -> None:
        nonlocal steps
        steps += 1
        others.execute("begin immediate")
        if steps == 3:
            others.execute("update meta set value = 'late' where name = 'made_ms'")
        others.execute("commit")

    with closing(_connect(folder)) as source, closing(_connect(folder)) as others:
        target = sqlite3.connect(tmp_path / "copy.db")
        with closing(target):
            copy_in_steps(source, target, longest_s=60, step_pages=4, pause=write)
            assert target.execute("select value from meta where name = 'made_ms'").fetchone() == ("late",)
            pages = target.execute("pragma page_count").fetchone()[0]
    assert steps >= pages / 4


async def test_a_small_store_that_is_written_to_all_the_time_is_copied_at_once(
    harness: StoreHarness, folder: Path, tmp_path: Path
) -> None:
    steps = 0

    def write() -> None:
        nonlocal steps
        steps += 1
        others.execute("update meta set value = ? where name = 'made_ms'", (str(steps),))

    with closing(_connect(folder)) as source, closing(_connect(folder)) as others:
        target = sqlite3.connect(tmp_path / "copy.db")
        with closing(target):
            copy_in_steps(source, target, longest_s=60, step_pages=4, pause=write)
            assert target.execute("select value from meta where name = 'made_ms'").fetchone() == (str(steps),)


async def test_a_large_store_that_is_written_to_all_the_time_is_given_up(
    harness: StoreHarness, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity_probe, "AT_ONCE_BYTES", 0)

    def write() -> None:
        others.execute("update meta set value = value + 1 where name = 'made_ms'")

    with closing(_connect(folder)) as source, closing(_connect(folder)) as others:
        target = sqlite3.connect(tmp_path / "copy.db")
        with closing(target), pytest.raises(CheckFailed, match="written to all the time"):
            copy_in_steps(source, target, longest_s=0.2, step_pages=4, pause=write)


@pytest.mark.parametrize("journal", list(JournalMode))
async def test_damage_is_found_in_both_journal_modes(folder: Path, journal: JournalMode) -> None:
    store = await Store.open(folder, now=ManualClock().now(), journal=journal)
    await store.close()
    with closing(_connect(folder)) as other:
        other.execute("insert into steps (run_id, n, kind, text, at_ms, units, done) values ('x', 0, '', '', 0, 0, 0)")
    (line,) = await check_integrity(folder)
    assert "refers to no row of runs" in line


async def test_what_the_journal_knows_is_compared_in_chunks(
    harness: StoreHarness, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnostics, "CHUNK", 2)
    running = [await harness.running(date=f"2026-12-{day}") for day in (10, 11, 12)]
    claimed = await harness.claimed(date="2026-12-13")
    ids = [*(run.id for run in running), claimed.id, "a", "b"]
    with inspect_database(folder) as inspector:
        assert inspector.unknown(ids) == ("a", "b")
        assert set(inspector.without_remote(ids)) == {"a", "b", claimed.id}
        assert inspector.unknown([]) == inspector.without_remote([]) == ()
