"""The last whole line of a log is found whatever stands after it, and through rotation."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from console.domain.log_record import MAX_LINE, format_line
from console.journal.log_files import JournalError, JournalUnsafe, LogEnd
from console.journal.runs_log import LogWriter
from tests.journal.samples import evs, record

LINES = [format_line(record(ev, text="x" * 150)) for ev in range(1, 3001)]
"""A log of several blocks."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.log"


def last_ev(path: Path) -> int | None:
    last = LogEnd(path).last()
    return None if last is None else last.ev


def test_a_missing_log_and_an_empty_one_have_no_line(path: Path) -> None:
    assert last_ev(path) is None
    path.touch()
    assert last_ev(path) is None
    assert list(LogEnd(path).newest_first()) == []


def test_every_line_is_read_back_from_the_last_one(path: Path) -> None:
    path.write_bytes(b"".join(LINES))
    assert last_ev(path) == 3000
    assert [line.ev for line in LogEnd(path).newest_first()] == list(range(3000, 0, -1))


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(LINES[9][:40], id="torn"),
        pytest.param(LINES[9][:-3], id="torn in its checksum"),
        pytest.param(b"\n\n", id="empty lines"),
        pytest.param(b"foreign\n" * 3000, id="foreign lines"),
        pytest.param(b"\0" * (3 * MAX_LINE), id="zeros"),
        pytest.param(b"x" * 1_000_000 + b"\n", id="an endless line"),
        pytest.param(b"x" * 1_000_000 + LINES[9], id="an endless line that ends like a whole one"),
        pytest.param(LINES[9][:60] + LINES[10], id="two lines run together"),
    ],
)
def test_what_is_no_whole_line_is_passed_over(path: Path, after: bytes) -> None:
    path.write_bytes(b"".join(LINES[:9]) + after)
    assert last_ev(path) == 9


def test_a_whole_line_that_lacks_its_newline_counts_and_is_ended(path: Path) -> None:
    path.write_bytes(LINES[0] + LINES[1][:-1])
    writer = LogWriter(path)
    last = writer.last()
    assert last is not None
    assert last.ev == 2
    assert path.read_bytes() == LINES[0] + LINES[1]
    writer.append([record(3)], sync=False)
    assert evs(path) == [1, 2, 3]


def test_a_torn_line_is_ended_so_that_the_next_one_is_whole(path: Path) -> None:
    path.write_bytes(LINES[0] + LINES[1][:40])
    writer = LogWriter(path)
    last = writer.last()
    assert last is not None
    assert last.ev == 1
    assert path.read_bytes() == LINES[0] + LINES[1][:40] + b"\n"


def test_looking_makes_no_file(path: Path) -> None:
    assert LogWriter(path).last() is None
    assert list(path.parent.iterdir()) == []


def _rename(path: Path) -> None:
    path.rename(path.with_name("runs.log.1"))


def _create(path: Path) -> None:
    _rename(path)
    path.touch()


def _pack(path: Path) -> None:
    path.with_name("runs.log.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.write_bytes(b"")


def _copy_and_truncate(path: Path) -> None:
    shutil.copyfile(path, path.with_name("runs.log-20261123"))
    os.truncate(path, 0)


@pytest.mark.parametrize("rotate", [_rename, _create, _pack, _copy_and_truncate])
def test_after_a_rotation_the_last_line_is_that_of_the_newest_rotated_file(
    path: Path, rotate: Callable[[Path], None]
) -> None:
    older = path.with_name("runs.log.2")
    older.write_bytes(b"".join(LINES[:10]))
    os.utime(older, (0, 0))
    path.write_bytes(b"".join(LINES[10:]))
    end = LogEnd(path)
    rotate(path)
    for _ in range(2):
        last = end.last()
        assert last is not None
        assert last.ev == 3000
    path.write_bytes(format_line(record(3001)))
    assert last_ev(path) == 3001


def test_the_end_of_a_large_compressed_file_is_enough(path: Path) -> None:
    lines = b"".join(format_line(record(ev, text="x" * 250)) for ev in range(1, 8001))
    path.with_name("runs.log.1.gz").write_bytes(gzip.compress(lines))
    assert last_ev(path) == 8000


def test_a_rotated_file_that_changes_is_read_again(path: Path) -> None:
    rotated, end = path.with_name("runs.log.1"), LogEnd(path)
    rotated.write_bytes(LINES[0])
    assert end.last() == record(1, text="x" * 150)
    rotated.unlink()
    assert end.last() is None


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("elsewhere", path)])
def test_a_rotated_name_that_is_no_file_is_passed_over(path: Path, make: Callable[[Path], None]) -> None:
    path.with_name("runs.log.2").write_bytes(LINES[0])
    make(path.with_name("runs.log.1"))
    assert last_ev(path) == 1


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("elsewhere", path)])
def test_a_growing_log_that_is_no_file_is_an_error(path: Path, make: Callable[[Path], None]) -> None:
    path.with_name("runs.log.1").write_bytes(LINES[0])
    make(path)
    with pytest.raises(JournalError, match=r"runs\.log"):
        LogWriter(path).last()


def test_a_fifo_is_named_as_what_it_is(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(JournalUnsafe, match="not a regular file"):
        LogWriter(path).last()
