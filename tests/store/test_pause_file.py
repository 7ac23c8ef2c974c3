"""The kill switch as a file counts like the stored one, and moves into the store once."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from console.domain.launch import LaunchKind
from console.store.errors import StaleRun, StoreBusy, StoreError
from console.store.files import DATABASE
from console.store.pause_file import PAUSE_FILE, PauseRow, request_pause, requested_pause, withdraw_pause
from console.store.pragmas import JournalMode
from tests.clock import ManualClock
from tests.store.harness import StoreHarness, open_harness

NOW = ManualClock().now()


async def test_a_requested_pause_blocks_claims_and_sends(harness: StoreHarness) -> None:
    folder = harness.store.database.folder
    claimed = await harness.claimed()
    request_pause(folder, by="anna", now=harness.now)
    assert await harness.store.controls.paused() == PauseRow(by="anna", since_ms=harness.now.wall_ms)
    with pytest.raises(StaleRun, match="paused"):
        await harness.store.runs.mark_sending(claimed, harness.now)
    refused = await harness.claim(date="2026-11-24")
    assert refused.kind is LaunchKind.REFUSED
    assert refused.refusal is not None
    assert "paused by anna" in refused.refusal.sentence


async def test_it_moves_into_the_store_once_and_the_file_goes_after_the_commit(harness: StoreHarness) -> None:
    controls, folder = harness.store.controls, harness.store.database.folder
    since = harness.now.wall_ms
    request_pause(folder, by="anna", now=harness.now)
    harness.clock.advance(5)
    await controls.adopt_pause()
    assert (folder / PAUSE_FILE).exists()
    await controls.adopt_pause()
    assert not (folder / PAUSE_FILE).exists()
    await controls.adopt_pause()
    assert await controls.paused() == PauseRow(by="anna", since_ms=since)
    assert [record.fields["event"] for record in await harness.records()] == ["pause"]


@pytest.mark.parametrize("adopted", [False, True])
async def test_resume_lifts_a_requested_pause(harness: StoreHarness, adopted: bool) -> None:
    controls, folder = harness.store.controls, harness.store.database.folder
    request_pause(folder, by="anna", now=harness.now)
    if adopted:
        await controls.adopt_pause()
    assert await controls.resume(by="bert", now=harness.now)
    await controls.adopt_pause()
    assert await controls.paused() is None
    assert requested_pause(folder) is None


async def test_a_resume_that_is_not_stored_leaves_the_pause(tmp_path: Path) -> None:
    """The commit waits for a reader and fails, after the unit has removed the file."""
    harness = await open_harness(tmp_path / "state", journal=JournalMode.DELETE, busy_ms=50)
    controls, folder = harness.store.controls, harness.store.database.folder
    try:
        request_pause(folder, by="anna", now=harness.now)
        with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select * from controls").fetchall()
            with pytest.raises(StoreBusy):
                await controls.resume(by="bert", now=harness.now)
        assert requested_pause(folder) == PauseRow(by="anna", since_ms=harness.now.wall_ms)
    finally:
        await harness.store.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"by": 1}', b"\xff"])
def test_a_file_without_its_content_pauses_too(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PAUSE_FILE).write_bytes(content)
    found = requested_pause(tmp_path)
    assert found is not None
    assert found.by == f"uid {os.getuid()}"


def test_whatever_has_the_name_pauses(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / PAUSE_FILE)
    assert requested_pause(tmp_path) is not None
    withdraw_pause(tmp_path)
    (tmp_path / PAUSE_FILE).symlink_to("/nonexistent")
    assert requested_pause(tmp_path) is not None
    withdraw_pause(tmp_path)
    assert requested_pause(tmp_path) is None


def test_the_first_request_stays_and_no_folder_is_an_error(tmp_path: Path) -> None:
    request_pause(tmp_path, by="anna", now=NOW)
    request_pause(tmp_path, by="bert", now=NOW)
    found = requested_pause(tmp_path)
    assert found is not None
    assert found.by == "anna"
    assert oct((tmp_path / PAUSE_FILE).stat().st_mode & 0o777) == "0o600"
    assert requested_pause(tmp_path / "missing") is None
    with pytest.raises(StoreError, match="cannot write"):
        request_pause(tmp_path / "missing", by="anna", now=NOW)
