"""The log is a whole copy of the store's records, whatever happened to the file, to its writer or to the database."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from functools import partialmethod
from pathlib import Path

import pytest

from console.domain.log_record import LogParseError, LogRecord, format_line, parse_line
from console.domain.run import Outcome
from console.engine.log_flush import LogCopy
from console.journal.log_files import JournalBusy, JournalError, JournalFull, rotated_names
from console.journal.log_reader import LogReader
from console.journal.runs_log import LogWriter
from console.store.store import Store
from tests.journal.samples import StutteringWrite, no_space
from tests.store.harness import StoreHarness, a_task, open_harness


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[StoreHarness]:
    harness = await open_harness(tmp_path)
    yield harness
    await harness.store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.log"


async def copy(store: Store, path: Path) -> None:
    """Bring the log up to date as a process does that begins now."""
    with closing(LogWriter(path)) as log:
        await LogCopy(store, log).append_missing()


async def ended(harness: StoreHarness, *names: str) -> None:
    """Write two records for each name: a launch and an ending."""
    for name in names:
        await harness.ended(Outcome.OK, a_task(name))


def content(path: Path) -> bytes:
    """Return the bytes of the growing file; none if it does not exist."""
    return path.read_bytes() if path.exists() else b""


def put(path: Path, data: bytes) -> None:
    """Replace the content of the growing file."""
    path.write_bytes(data)


def whole(path: Path) -> list[int]:
    """Return the numbers of the whole lines of the growing file in their order."""
    found = []
    for line in content(path).split(b"\n"):
        try:
            found.append(parse_line(line).ev)
        except LogParseError:
            continue
    return found


def read(path: Path) -> list[int]:
    """Return the numbers that a reader of the log gets; each line is there once and none is missing."""
    with LogReader(path) as reader:
        numbers = [line.record.ev for line in reader.read()]
        assert (reader.duplicates, reader.gaps) == (0, ())
    return numbers


async def test_what_follows_the_last_line_is_appended_once(harness: StoreHarness, path: Path) -> None:
    await copy(harness.store, path)
    assert not content(path), "nothing to write"
    for name in ("one", "two"):
        await ended(harness, name)
        await copy(harness.store, path)
        await copy(harness.store, path)
    assert whole(path) == [1, 2, 3, 4]
    assert content(path) == b"".join(map(format_line, await harness.records()))


async def test_a_long_log_is_written_in_batches_and_synced_at_its_end(
    harness: StoreHarness, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1201):
        await harness.store.runs.note(event="clock", fields={"step_s": f"{number}"}, run=None, now=harness.now)
    append, synced = LogWriter.append, list[tuple[int, bool]]()

    def noted(log: LogWriter, records: Sequence[LogRecord], *, sync: bool) -> None:
        synced.append((len(records), sync))
        append(log, records, sync=sync)

    monkeypatch.setattr(LogWriter, "append", noted)
    await copy(harness.store, path)
    assert synced == [(500, False), (500, False), (201, True)]
    assert whole(path) == list(range(1, 1202))


@pytest.mark.parametrize("kept", [0, 1, 40, -20, -2, -1])
async def test_a_line_torn_by_a_crash_is_written_again_and_no_line_twice(
    harness: StoreHarness, path: Path, kept: int
) -> None:
    await ended(harness, "one")
    await copy(harness.store, path)
    before, last = content(path).splitlines(keepends=True)
    put(path, before + last[:kept])
    await ended(harness, "two")
    await copy(harness.store, path)
    assert whole(path) == [1, 2, 3, 4]
    assert read(path) == [1, 2, 3, 4]


async def test_a_whole_line_without_its_newline_is_shown_without_another_event(
    harness: StoreHarness, path: Path
) -> None:
    await ended(harness, "one")
    await copy(harness.store, path)
    whole_log = content(path)
    put(path, whole_log[:-1])
    await copy(harness.store, path)
    assert content(path) == whole_log


def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    os.truncate(path, 0)


def _lose_the_last_lines(path: Path) -> None:
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])


def _append_foreign(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"kilroy was here\n" * 1000)


@pytest.mark.parametrize("change", [_remove, _truncate, _lose_the_last_lines, _append_foreign])
async def test_a_log_that_lost_lines_becomes_whole_again(
    harness: StoreHarness, path: Path, change: Callable[[Path], None]
) -> None:
    await ended(harness, "one", "two")
    await copy(harness.store, path)
    change(path)
    await ended(harness, "three")
    await copy(harness.store, path)
    assert whole(path) == read(path) == [1, 2, 3, 4, 5, 6]


def _rotate(path: Path) -> None:
    LogWriter(path).rotate(keep=3, force=True)


def _rename(path: Path) -> None:
    path.rename(path.with_name("runs.log-20261123"))


def _pack(path: Path) -> None:
    path.with_name("runs.log.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.write_bytes(b"")


def _copy_and_truncate_late(path: Path) -> None:
    """As logrotate does with `copytruncate`, where a line is written between the two: it is lost from both files."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.with_name("runs.log.1").write_bytes(b"".join(lines[:3]))
    os.truncate(path, 0)


@pytest.mark.parametrize("rotate", [_rotate, _rename, _pack, _copy_and_truncate_late])
async def test_after_a_rotation_the_log_goes_on_in_the_new_file(
    harness: StoreHarness, path: Path, rotate: Callable[[Path], None]
) -> None:
    await ended(harness, "one", "two")
    await copy(harness.store, path)
    rotate(path)
    await ended(harness, "three")
    await copy(harness.store, path)
    assert rotated_names(path)
    assert whole(path)[0] >= 4
    assert read(path) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("elsewhere", path)])
async def test_what_is_no_file_is_an_error_until_it_is_gone(
    harness: StoreHarness, path: Path, make: Callable[[Path], None]
) -> None:
    await ended(harness, "one")
    await copy(harness.store, path)
    kept, put_away = path.with_name("kept"), path.with_name("put-away")
    os.rename(path, kept)
    make(path)
    await ended(harness, "two")
    with pytest.raises(JournalError, match=r"runs\.log"):
        await copy(harness.store, path)
    os.rename(path, put_away)
    os.rename(kept, path)
    await copy(harness.store, path)
    assert whole(path) == [1, 2, 3, 4]


async def test_a_full_disk_loses_and_doubles_nothing(harness: StoreHarness, path: Path) -> None:
    await ended(harness, "one", "two")
    first = len(format_line((await harness.records())[0]))
    with closing(LogWriter(path, write=StutteringWrite([first, 30, no_space()]))) as log:
        copying = LogCopy(harness.store, log)
        with pytest.raises(JournalFull):
            await copying.append_missing()
        await copying.append_missing()
    assert whole(path) == read(path) == [1, 2, 3, 4]


async def test_a_log_kept_locked_by_another_process_is_left_alone(
    harness: StoreHarness, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(harness, "one")
    with LogWriter(path).locked():
        monkeypatch.setattr(LogWriter, "locked_async", partialmethod(LogWriter.locked_async, wait=0.05))
        with pytest.raises(JournalBusy):
            await copy(harness.store, path)
    assert not content(path)
    await copy(harness.store, path)
    assert whole(path) == [1, 2]


async def test_many_writers_at_once_write_each_line_once(harness: StoreHarness, path: Path) -> None:
    async def work(number: int) -> None:
        await ended(harness, f"task-{number}")
        await copy(harness.store, path)

    await asyncio.gather(*map(work, range(8)))
    assert whole(path) == list(range(1, 17))


async def test_an_older_database_goes_on_after_the_last_line_that_it_knows(
    harness: StoreHarness, path: Path, tmp_path: Path
) -> None:
    await ended(harness, "one")
    await harness.store.database.close()
    shutil.copyfile(tmp_path / "nightdesk.db", tmp_path / "older")
    later = await open_harness(tmp_path)
    await ended(later, "lost", "lost-too")
    await copy(later.store, path)
    lost = content(path)
    assert whole(path) == [1, 2, 3, 4, 5, 6]
    await later.store.close()

    shutil.copyfile(tmp_path / "older", tmp_path / "nightdesk.db")
    restored = await open_harness(tmp_path)
    restored.clock.advance(60_000)
    with closing(LogWriter(path)) as log:
        copying = LogCopy(restored.store, log)
        for _ in range(2):
            await copying.append_missing()
            assert content(path) == lost, "every record of the older database is in the log"
        await ended(restored, "new")
        await copying.append_missing()
        await ended(restored, "newer")
        await copying.append_missing()
    assert content(path).startswith(lost)
    assert whole(path) == [1, 2, 3, 4, 5, 6, 3, 4, 5, 6]
    expected = [format_line(record) for record in await restored.records()]
    assert content(path).splitlines(keepends=True)[-4:] == expected[2:]
    await restored.store.close()


async def test_a_log_of_another_store_is_followed_by_all_records(harness: StoreHarness, path: Path) -> None:
    await ended(harness, "one")
    put(path, b"".join(format_line(record) for record in await harness.records()))
    other = await open_harness(path.parent / "other")
    other.clock.advance(60_000)
    await ended(other, "two")
    await copy(other.store, path)
    assert whole(path) == [1, 2, 1, 2]
    await copy(other.store, path)
    assert whole(path) == [1, 2, 1, 2]
    await other.store.close()
