"""No line is lost when Nightdesk or logrotate renames the log, and a rebuild is all or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.journal.log_files import JournalBusy, JournalFull, rotated_names
from console.journal.runs_log import LogWriter
from tests.journal.samples import evs, no_space, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.log"


def numbers(path: Path) -> dict[str, list[int]]:
    return {found.name: evs(found) for found in (path, *rotated_names(path)) if found.exists()}


def test_the_next_line_recreates_a_log_that_logrotate_renamed(path: Path) -> None:
    writer = LogWriter(path)
    writer.append([record(1)], sync=False)
    path.rename(path.with_name("runs.log-20261123"))
    writer.append([record(2)], sync=False)
    assert numbers(path) == {"runs.log": [2], "runs.log-20261123": [1]}


def test_a_log_that_logrotate_recreated_is_used(path: Path) -> None:
    writer = LogWriter(path)
    writer.append([record(1)], sync=False)
    path.rename(path.with_name("runs.log.1"))
    path.touch(mode=0o600)
    writer.append([record(2)], sync=False)
    assert numbers(path) == {"runs.log": [2], "runs.log.1": [1]}


def test_rotation_keeps_the_newest_files_and_starts_an_empty_one(path: Path) -> None:
    writer = LogWriter(path)
    for ev in range(1, 6):
        writer.append([record(ev)], sync=False)
        assert writer.rotate(keep=2, force=True) == path.with_name("runs.log.1")
    assert numbers(path) == {"runs.log": [], "runs.log.1": [5], "runs.log.2": [4]}


def test_another_writer_follows_a_rotation(path: Path) -> None:
    one, other = LogWriter(path), LogWriter(path)
    one.append([record(1)], sync=False)
    other.append([record(2)], sync=False)
    one.rotate(keep=3, force=True)
    other.append([record(3)], sync=False)
    one.append([record(4)], sync=False)
    assert numbers(path) == {"runs.log": [3, 4], "runs.log.1": [1, 2]}


def test_size_decides_unless_forced(path: Path) -> None:
    writer = LogWriter(path)
    assert writer.rotate(keep=1, force=True) is None
    writer.append([record(1)], sync=False)
    size = path.stat().st_size
    assert writer.rotate(keep=1) is None
    assert writer.rotate(keep=1, max_bytes=size + 1) is None
    assert writer.rotate(keep=1, max_bytes=size) == path.with_name("runs.log.1")
    assert writer.rotate(keep=1, force=True) is None


def test_at_least_one_rotated_file_is_kept(path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        LogWriter(path).rotate(keep=0, force=True)


def test_rotation_waits_for_the_lock_that_another_holds(path: Path) -> None:
    one, other = LogWriter(path), LogWriter(path)
    one.append([record(1)], sync=False)
    with one.locked(), pytest.raises(JournalBusy, match=r"runs\.log\.lock"), other.locked(wait=0.02):
        pytest.fail("two within the lock")
    with other.locked(wait=0):
        assert other.rotate(keep=1, force=True) is not None


async def test_an_event_loop_waits_for_the_lock(path: Path) -> None:
    one, other = LogWriter(path), LogWriter(path)
    async with one.locked_async():
        with pytest.raises(JournalBusy, match=r"0\.02 s"):
            async with other.locked_async(wait=0.02):
                pytest.fail("two within the lock")
    async with other.locked_async(wait=0):
        other.append([record(1)], sync=False)
    assert evs(path) == [1]


def test_a_rebuild_replaces_all_files(path: Path) -> None:
    writer = LogWriter(path)
    writer.append([record(7)], sync=False)
    writer.rotate(keep=1, force=True)
    writer.append([record(9)], sync=False)
    with writer.locked(), writer.rebuilding() as add:
        add([record(1), record(2)])
        assert evs(path) == [9]
        add([record(3)])
    writer.append([record(4)], sync=False)
    assert numbers(path) == {"runs.log": [1, 2, 3, 4]}
    assert evs(path.with_name("runs.log.replaced")) == [9]
    assert evs(path.with_name("runs.log.1.replaced")) == [7]


def test_a_rebuild_that_fails_changes_nothing(path: Path) -> None:
    writer = LogWriter(path)
    writer.append([record(9)], sync=False)
    for trouble, told in ((no_space(), JournalFull), (KeyError("the store broke"), KeyError)):
        with pytest.raises(told):
            _rebuild_with(writer, trouble)
    assert numbers(path) == {"runs.log": [9]}
    assert sorted(found.name for found in path.parent.iterdir()) == ["runs.log", "runs.log.lock"]


def _rebuild_with(writer: LogWriter, trouble: Exception) -> None:
    with writer.locked(), writer.rebuilding() as add:
        add([record(1)])
        raise trouble


def test_a_rebuild_with_no_records_and_no_log_makes_an_empty_log(path: Path) -> None:
    with LogWriter(path).rebuilding():
        pass
    assert numbers(path) == {"runs.log": []}
