"""The whole database is read by another process, whose finding is told and never acted on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from console.domain.run import Outcome
from console.store.diagnostics import check_integrity
from console.store.errors import StoreError
from console.store.integrity_probe import problems_of
from console.store.pragmas import database_uri
from tests.store.harness import StoreHarness


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
    assert problems_of(f"{(tmp_path / 'none.db').as_uri()}?mode=rw")[0].startswith("OperationalError")
