"""A line is one write, a torn line spoils no other, and an unsafe file is refused."""

from __future__ import annotations

import os
import resource
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from console.domain.log_record import LogParseError, format_line, parse_line
from console.domain.text import is_sanitized
from console.journal.log_files import JournalError, JournalFull, JournalUnsafe
from console.journal.runs_log import LogWriter
from tests.journal.samples import StutteringWrite, evs, no_space, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.log"


def whole_and_torn(path: Path) -> tuple[list[int], int]:
    whole, torn = [], 0
    for line in path.read_bytes().split(b"\n"):
        try:
            whole.append(parse_line(line).ev)
        except LogParseError:
            torn += bool(line)
    return whole, torn


def test_lines_have_the_format_of_the_domain(path: Path) -> None:
    records = [record(ev, task="nightly-report") for ev in (1, 2, 3)]
    LogWriter(path).append(records, sync=True)
    assert path.read_bytes() == b"".join(map(format_line, records))


def test_each_line_is_one_write(path: Path) -> None:
    write = StutteringWrite([])
    LogWriter(path, write=write).append([record(ev) for ev in range(5)], sync=False)
    assert write.calls == 5


def test_file_and_lock_are_for_the_owner_only_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        writer = LogWriter(path)
        with writer.locked():
            writer.append([record(1)], sync=False)
            writer.rotate(keep=1, force=True)
    finally:
        os.umask(before)
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    assert modes == {"runs.log": 0o600, "runs.log.1": 0o600, "runs.log.lock": 0o600}


def test_nothing_to_append_makes_no_file(path: Path) -> None:
    LogWriter(path).append([], sync=True)
    assert not path.exists()


@pytest.mark.parametrize("taken", [1, 50, 90])
def test_a_short_write_is_repeated_on_a_new_line(path: Path, taken: int) -> None:
    LogWriter(path, write=StutteringWrite([taken])).append([record(1), record(2)], sync=False)
    assert whole_and_torn(path) == ([1, 2], 1)


def test_a_write_without_its_newline_gets_only_the_newline(path: Path) -> None:
    line = format_line(record(1))
    LogWriter(path, write=StutteringWrite([len(line) - 1])).append([record(1), record(2)], sync=False)
    assert path.read_bytes() == line + format_line(record(2))


def test_a_line_torn_by_a_dead_process_does_not_spoil_the_next(path: Path) -> None:
    writer = LogWriter(path)
    writer.append([record(1)], sync=False)
    with path.open("ab") as other:
        other.write(format_line(record(2))[:40])
    writer.append([record(3)], sync=False)
    assert whole_and_torn(path) == ([1, 3], 1)


def test_repeated_short_writes_mean_a_full_disk(path: Path) -> None:
    writer = LogWriter(path, write=StutteringWrite([len(format_line(record(1))), 10, 10, 0]))
    with pytest.raises(JournalFull, match=r"no room for .*runs\.log") as caught:
        writer.append([record(1), record(2)], sync=False)
    assert caught.value.written == 1


def test_a_full_disk_is_one_error_and_writing_goes_on_once_there_is_room(path: Path) -> None:
    writer = LogWriter(path, write=StutteringWrite([60, no_space(), no_space()]))
    for _ in range(2):
        with pytest.raises(JournalFull, match=r"^no room for .*runs\.log: No space left on device$") as caught:
            writer.append([record(1)], sync=True)
        assert caught.value.written == 0
    writer.append([record(1)], sync=True)
    assert whole_and_torn(path) == ([1], 1)


def test_a_size_limit_tears_one_line_and_means_full(path: Path) -> None:
    writer = LogWriter(path)
    writer.append([record(1)], sync=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, hard))
    try:
        with pytest.raises(JournalFull, match="File too large"):
            writer.append([record(2)], sync=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.append([record(3)], sync=False)
    assert whole_and_torn(path) == ([1, 3], 1)


def test_a_device_in_place_of_the_log_is_refused() -> None:
    with pytest.raises(JournalUnsafe, match="not a regular file"):
        LogWriter(Path("/dev/full")).append([record(1)], sync=False)


def test_a_symbolic_link_is_refused_even_if_it_leads_nowhere(path: Path) -> None:
    victim = path.with_name("victim")
    path.symlink_to(victim)
    with pytest.raises(JournalUnsafe, match="symbolic link"):
        LogWriter(path).append([record(1)], sync=False)
    assert not victim.exists()


def test_a_symbolic_link_put_there_later_is_refused_too(path: Path) -> None:
    writer = LogWriter(path)
    writer.append([record(1)], sync=False)
    victim = path.rename(path.with_name("victim"))
    path.symlink_to(victim)
    with pytest.raises(JournalUnsafe):
        writer.append([record(2)], sync=False)
    assert evs(victim) == [1]


def test_the_lock_is_not_taken_through_a_symbolic_link(path: Path) -> None:
    path.with_name("runs.log.lock").symlink_to(path.with_name("victim"))
    with pytest.raises(JournalUnsafe), LogWriter(path).locked():
        pytest.fail("locked through a link")
    assert not path.with_name("victim").exists()


def test_a_file_that_others_may_write_is_refused(path: Path) -> None:
    path.touch(mode=0o600)
    path.chmod(0o620)
    with pytest.raises(JournalUnsafe, match="0620"):
        LogWriter(path).append([record(1)], sync=False)
    assert path.read_bytes() == b""


def test_a_pipe_in_place_of_the_log_is_refused_and_does_not_block(path: Path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(JournalUnsafe, match="not a regular file"):
        LogWriter(path).append([record(1)], sync=False)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"cannot use .*nowhere.runs\.log: No such file or directory"):
        LogWriter(tmp_path / "nowhere" / "runs.log").append([record(1)], sync=False)


def test_the_path_of_a_log_is_shown_sanitized(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "no\x9b31m\x1b[0m\u202etxt.exe" / "runs.log")
    with pytest.raises(JournalError) as caught:
        writer.append([record(1)], sync=True)
    assert is_sanitized(str(caught.value))


def test_a_forged_field_name_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="not a field name"):
        LogWriter(path).append([record(1, **{"end": "x"})], sync=False)


def test_a_closed_writer_opens_again(path: Path) -> None:
    writer = LogWriter(path)
    writer.append([record(1)], sync=True)
    writer.close()
    writer.close()
    writer.append([record(2)], sync=False)
    assert evs(path) == [1, 2]


def test_closing_waits_for_no_append_in_another_thread_and_takes_no_file_from_it(path: Path) -> None:
    begun, answers = threading.Event(), threading.Event()

    def slow(descriptor: int, line: bytes) -> int:
        begun.set()
        assert answers.wait(10)
        return os.write(descriptor, line)

    writer = LogWriter(path, write=slow)
    with ThreadPoolExecutor(1) as thread:
        appending = thread.submit(writer.append, [record(1)], sync=True)
        assert begun.wait(10)
        writer.close()
        assert not appending.done()
        answers.set()
        appending.result(10)
    writer.close()
    assert evs(path) == [1]


def test_no_descriptor_is_left_behind(path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        writer = LogWriter(path)
        with writer.locked():
            writer.append([record(1)], sync=True)
            writer.rotate(keep=2, force=True)
        path.unlink()
        path.symlink_to("x")
        with pytest.raises(JournalUnsafe):
            writer.append([record(1)], sync=True)
        path.unlink()
        writer.close()
    assert set(os.listdir("/proc/self/fd")) == before
