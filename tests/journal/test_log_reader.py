"""Every complete line is read once and in order through torn lines, duplicates, rotation and rebuilds."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Protocol

import pytest

from console.domain.log_record import format_line
from console.journal.log_files import JournalError, JournalUnsafe
from console.journal.log_reader import BLOCK, LogReader, LogTail
from console.journal.runs_log import LogWriter
from tests.journal.samples import record


class OpenReader(Protocol):
    """Opens a reader of the log, which is closed after the test."""

    def __call__(self, *, since_ms: int | None = None, last: int | None = None) -> LogReader: ...


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.log"


@pytest.fixture
def writer(path: Path) -> Iterator[LogWriter]:
    with closing(LogWriter(path)) as writer:
        yield writer


@pytest.fixture
def open_reader(path: Path) -> Iterator[OpenReader]:
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(LogReader(path, **how))


def write(writer: LogWriter, *evs: int) -> None:
    writer.append([record(ev) for ev in evs], sync=False)


def read(reader: LogReader) -> list[int]:
    return [line.record.ev for line in reader.read()]


def test_a_missing_log_is_empty(open_reader: OpenReader, path: Path, writer: LogWriter) -> None:
    reader = open_reader()
    assert read(reader) == []
    with LogReader(path / "no" / "folder") as nowhere:
        assert read(nowhere) == []
    write(writer, 1)
    assert read(reader) == [1]


def test_a_line_is_returned_unchanged(open_reader: OpenReader, path: Path, writer: LogWriter) -> None:
    hostile = record(1, status="note", text='\x1b]0;x\x07" ev=2')
    writer.append([hostile], sync=False)
    (line,) = open_reader().read()
    assert line.text == format_line(hostile).decode("ascii").removesuffix("\n")
    assert line.text.isprintable()
    assert line.record.fields == {"text": '␛]0;x␇" ev=2'}


def test_a_second_read_reads_only_new_bytes(path: Path, writer: LogWriter) -> None:
    with closing(LogTail(path)) as tail:
        write(writer, *range(1, 1000))
        assert sum(len(block.data) for block in tail.blocks()) == path.stat().st_size
        before = path.stat().st_size
        write(writer, 1000)
        assert [len(block.data) for block in tail.blocks()] == [path.stat().st_size - before]
        assert tail.position == (path.stat().st_ino, path.stat().st_size)
        assert list(tail.blocks()) == []


def test_an_incomplete_last_line_waits_for_the_next_read(
    open_reader: OpenReader, path: Path, writer: LogWriter
) -> None:
    reader, line = open_reader(), format_line(record(2))
    write(writer, 1)
    for end in range(0, len(line), 7):
        path.write_bytes(format_line(record(1)) + line[:end])
        assert read(open_reader()) == [1]
    path.write_bytes(format_line(record(1)))
    with path.open("ab", buffering=0) as file:
        for at in range(len(line) - 1):
            file.write(line[at : at + 1])
            assert read(reader) == ([1] if at == 0 else [])
        file.write(b"\n")
    assert read(reader) == [2]
    assert reader.foreign == 0


def test_torn_and_foreign_lines_are_counted_and_spoil_no_other(
    open_reader: OpenReader, path: Path, writer: LogWriter
) -> None:
    reader = open_reader()
    write(writer, 1)
    with path.open("ab") as file:
        file.write(b"an operator was here\n\n\x00\xff\n" + format_line(record(2))[:50])
    write(writer, 2, 3)
    assert read(reader) == [1, 2, 3]
    assert (reader.foreign, reader.duplicates, reader.gaps) == (3, 0, ())


def test_an_endless_line_is_returned_in_pieces(open_reader: OpenReader, path: Path, writer: LogWriter) -> None:
    path.touch(mode=0o600)
    with path.open("ab") as file:
        file.write(b"x" * (3 * BLOCK))
    reader = open_reader()
    assert read(reader) == []
    write(writer, 1)
    assert read(reader) == [1]
    assert reader.foreign >= 3


def test_duplicates_are_dropped_and_gaps_reported(open_reader: OpenReader, path: Path, writer: LogWriter) -> None:
    reader = open_reader()
    write(writer, 5, 6, 6, 9, 5, 7, 12)
    assert read(reader) == [5, 6, 9, 7, 12]
    assert (reader.duplicates, reader.gaps) == (2, ((8, 8), (10, 11)))
    write(writer, 8, 12)
    assert read(reader) == [8]
    assert (reader.duplicates, reader.gaps) == (3, ((10, 11),))


def test_rotated_files_are_read_first_oldest_first(open_reader: OpenReader, path: Path, writer: LogWriter) -> None:
    for ev in range(1, 13):
        write(writer, ev)
        if ev < 12:
            writer.rotate(keep=20, force=True)
    reader = open_reader()
    assert read(reader) == list(range(1, 13))
    assert reader.gaps == ()


def test_names_of_logrotate_and_compressed_files_are_read_too(
    open_reader: OpenReader, path: Path, writer: LogWriter
) -> None:
    for ev, name in ((1, "runs.log-20261121.gz"), (2, "runs.log-20261122"), (3, "runs.log.2.gz"), (4, "runs.log.1")):
        content = format_line(record(ev))
        path.with_name(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    path.with_name("runs.log.replaced").write_bytes(format_line(record(99)))
    write(writer, 5)
    assert read(open_reader()) == [1, 2, 3, 4, 5]


def test_an_incomplete_compressed_file_is_read_as_far_as_possible(
    open_reader: OpenReader, path: Path, writer: LogWriter
) -> None:
    content = b"".join(format_line(record(ev)) for ev in range(1, 2000))
    path.with_name("runs.log.1.gz").write_bytes(gzip.compress(content)[:-2000])
    path.with_name("runs.log.2.gz").write_bytes(b"not packed at all")
    write(writer, 2000)
    found = read(open_reader())
    assert found[-1] == 2000
    assert found[:-1] == list(range(1, len(found)))


def test_files_last_written_too_early_are_skipped(open_reader: OpenReader, path: Path, writer: LogWriter) -> None:
    write(writer, 1)
    writer.rotate(keep=2, force=True)
    ended_ms = path.with_name("runs.log.1").stat().st_mtime_ns // 1_000_000
    write(writer, 2)
    assert read(open_reader(since_ms=ended_ms)) == [1, 2]
    assert read(open_reader(since_ms=ended_ms + 1)) == [2]


@pytest.mark.parametrize("rotations", [1, 2, 3])
def test_rotation_between_two_reads_loses_nothing(
    open_reader: OpenReader, path: Path, writer: LogWriter, rotations: int
) -> None:
    reader = open_reader()
    write(writer, 1)
    assert read(reader) == [1]
    for rotation in range(rotations):
        write(writer, 2 + rotation)
        writer.rotate(keep=5, force=True)
    write(writer, 9)
    assert read(reader) == [*range(2, 2 + rotations), 9]
    write(writer, 10)
    assert read(reader) == [10]


def test_lines_written_late_to_the_renamed_file_are_read(
    open_reader: OpenReader, path: Path, writer: LogWriter
) -> None:
    reader = open_reader()
    write(writer, 1)
    assert read(reader) == [1]
    with path.open("ab", buffering=0) as late:
        path.rename(path.with_name("runs.log.1"))
        assert read(reader) == []
        late.write(format_line(record(2)) + format_line(record(3))[:30])
        write(writer, 4)
        assert read(reader) == [2, 4]
    assert reader.foreign == 1


def test_a_rotation_during_a_read(open_reader: OpenReader, path: Path, writer: LogWriter) -> None:
    write(writer, *range(1, 6000))
    reader = open_reader()
    lines = reader.read()
    first = next(lines)
    writer.rotate(keep=2, force=True)
    write(writer, 6000)
    assert [first.record.ev, *(line.record.ev for line in lines)] == list(range(1, 6001))


def _rebuild(path: Path, writer: LogWriter) -> None:
    with writer.rebuilding() as add:
        add([record(ev) for ev in (1, 2, 3, 4)])


def _truncate(path: Path, writer: LogWriter) -> None:
    path.with_name("runs.log.1").write_bytes(path.read_bytes())
    path.write_bytes(format_line(record(4)))


def _pack(path: Path, writer: LogWriter) -> None:
    path.with_name("runs.log.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    write(writer, 4)


@pytest.mark.parametrize("change", [_rebuild, _truncate, _pack])
def test_a_replaced_log_gives_only_new_lines(
    open_reader: OpenReader, path: Path, writer: LogWriter, change: Callable[[Path, LogWriter], None]
) -> None:
    reader = open_reader()
    write(writer, 1, 2, 3)
    assert read(reader) == [1, 2, 3]
    change(path, writer)
    assert read(reader) == [4]
    assert (reader.duplicates, reader.foreign, reader.gaps) == (0, 0, ())
    write(writer, 5)
    assert read(reader) == [5]


def test_a_reader_of_the_last_lines_gives_no_old_ones_after_a_rebuild(
    open_reader: OpenReader, path: Path, writer: LogWriter
) -> None:
    write(writer, 1, 2, 3)
    reader = open_reader(last=1)
    assert read(reader) == [3]
    _rebuild(path, writer)
    assert read(reader) == [4]


@pytest.mark.parametrize(
    ("last", "found"), [(0, []), (1, [9]), (3, [7, 8, 9]), (5, [5, 6, 7, 8, 9]), (99, [*range(1, 10)])]
)
def test_the_last_lines_are_found_through_rotated_files(
    open_reader: OpenReader, path: Path, writer: LogWriter, last: int, found: list[int]
) -> None:
    for start in (1, 4, 7):
        write(writer, start, start + 1, start + 2)
        if start == 4:
            packed = gzip.compress(path.read_bytes())
            path.unlink()
            path.with_name("runs.log.1.gz").write_bytes(packed)
        elif start == 1:
            path.rename(path.with_name("runs.log.2"))
    reader = open_reader(last=last)
    assert read(reader) == found
    write(writer, 10)
    assert read(reader) == [10]


def test_a_closed_reader_starts_over_and_repeats_nothing(
    open_reader: OpenReader, path: Path, writer: LogWriter
) -> None:
    reader = open_reader()
    write(writer, 1, 2)
    assert read(reader) == [1, 2]
    reader.close()
    write(writer, 3)
    assert read(reader) == [3]


def test_a_symbolic_link_and_a_pipe_are_not_read(open_reader: OpenReader, path: Path) -> None:
    path.symlink_to("/etc/passwd")
    with pytest.raises(JournalUnsafe, match="symbolic link"):
        read(open_reader())
    path.unlink()
    path.mkdir()
    with pytest.raises(JournalError, match="not a regular file"):
        read(open_reader())


def test_a_log_that_is_rotated_between_two_reads_is_read_on(
    open_reader: OpenReader, path: Path, writer: LogWriter
) -> None:
    write(writer, *range(1, 1000))
    reader = open_reader(last=500)
    assert [line.record.ev for line in reader.read()] == list(range(500, 1000))
    writer.rotate(keep=1, force=True)
    write(writer, 1000)
    assert [line.record.ev for line in reader.read()] == [1000]
