"""A kernel lock shows which owner is alive: released when the process dies, kept while it is stopped, not inherited."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from console.engine.ownership import OwnerLock, SchedulerLock, if_dead, is_alive, lock_path
from console.engine.problems import Published, read_published
from console.os_files import LockedFile
from tests.waiting import until

HOLDER = """
import sys, subprocess
from pathlib import Path
from console.engine.ownership import OwnerLock
lock = OwnerLock(Path(sys.argv[1]))
if len(sys.argv) > 2:
    null = subprocess.DEVNULL
    subprocess.Popen(["sleep", "10"], stdin=null, stdout=null, stderr=null, start_new_session=True)
print(lock.id, flush=True)
sys.stdin.read()
"""


def start_holder(folder: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    return holder, holder.stdout.readline().strip()


def kill(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()


def test_an_owner_is_alive_while_its_lock_is_held(tmp_path: Path) -> None:
    lock = OwnerLock(tmp_path / "owners")
    assert is_alive(tmp_path / "owners", lock.id)
    assert (tmp_path / "owners" / f"{lock.id}.lock").stat().st_mode & 0o777 == 0o600
    lock.release()
    assert not is_alive(tmp_path / "owners", lock.id)
    lock.release()


async def test_a_killed_process_releases_the_lock_and_a_stopped_one_does_not(tmp_path: Path) -> None:
    holder, owner = start_holder(tmp_path)
    assert is_alive(tmp_path, owner)
    holder.send_signal(signal.SIGSTOP)
    assert is_alive(tmp_path, owner)
    kill(holder)
    await until(lambda: not is_alive(tmp_path, owner))


async def test_a_child_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    holder, owner = start_holder(tmp_path, "with a child")
    kill(holder)
    await until(lambda: not is_alive(tmp_path, owner))


def test_only_one_process_at_a_time_can_take_over_a_dead_owner(tmp_path: Path) -> None:
    lock = OwnerLock(tmp_path)
    path = tmp_path / f"{lock.id}.lock"
    os.link(path, tmp_path / "kept")
    lock.release()
    os.rename(tmp_path / "kept", path)
    with if_dead(tmp_path, lock.id) as first, if_dead(tmp_path, lock.id) as second:
        assert (first, second) == (True, False)
    path.unlink()
    with if_dead(tmp_path, lock.id) as gone:
        assert gone


@pytest.mark.parametrize("owner", ["../../etc/passwd", "", "zz", "A" * 32])
def test_an_owner_id_that_is_not_ours_is_no_path_and_nobody_alive(tmp_path: Path, owner: str) -> None:
    with pytest.raises(ValueError, match="not an owner id"):
        lock_path(tmp_path, owner)
    assert not is_alive(tmp_path, owner)


def test_a_lock_whose_file_was_removed_is_not_held(tmp_path: Path) -> None:
    lock = OwnerLock(tmp_path / "owners")
    assert lock.is_held()
    lock_path(tmp_path / "owners", lock.id).unlink()
    assert not lock.is_held()
    lock_path(tmp_path / "owners", lock.id).touch()
    assert not lock.is_held(), "another file with the same name is not the lock"
    lock.release()
    assert not lock.is_held()


@pytest.mark.parametrize("error", [ValueError("unexpected"), OSError(24, "Too many open files"), MemoryError()])
def test_an_owner_whose_lock_cannot_be_tried_is_not_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    lock = OwnerLock(tmp_path / "owners")

    def fails(path: Path, *, create: bool = True) -> LockedFile | None:
        raise error

    monkeypatch.setattr(LockedFile, "try_lock", fails)
    with pytest.raises(type(error)):
        is_alive(tmp_path / "owners", lock.id)
    lock.release()


def test_a_named_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "scheduler.lock")
    assert SchedulerLock(tmp_path).holder() is None
    os.mkfifo(tmp_path / "published")
    assert read_published(tmp_path / "published") == Published()
