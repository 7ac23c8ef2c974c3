"""A kernel lock shows which owner is alive: released when the process dies, kept while it is stopped, not inherited."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from console.engine.kernel_locks import KernelLocks
from console.engine.ownership import NOBODY
from console.engine.problems import Published, problems_path, read_published
from console.os_files import LockedFile
from tests.waiting import until

HOLDER = """
import sys, subprocess
from pathlib import Path
from console.engine.kernel_locks import KernelLocks
lock = KernelLocks(Path(sys.argv[1]), supervises=True)
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


def path_of(folder: Path, lock: KernelLocks) -> Path:
    return folder / "owners" / f"{lock.id}.lock"


def kill(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()


def test_an_owner_is_alive_while_its_lock_is_held(tmp_path: Path) -> None:
    lock, other = KernelLocks(tmp_path, supervises=True), KernelLocks(tmp_path)
    assert other.is_alive(lock.id)
    assert other.held_locks() == 1
    assert path_of(tmp_path, lock).stat().st_mode & 0o777 == 0o600
    lock.release()
    assert not other.is_alive(lock.id)
    assert other.held_locks() == 0
    lock.release()


def test_a_process_that_supervises_nothing_is_no_owner_and_makes_no_file(tmp_path: Path) -> None:
    nobody = KernelLocks(tmp_path)
    assert (nobody.id, nobody.is_held(), nobody.is_alive(NOBODY)) == (NOBODY, False, False)
    nobody.release()
    assert list(tmp_path.iterdir()) == []


async def test_a_killed_process_releases_the_lock_and_a_stopped_one_does_not(tmp_path: Path) -> None:
    holder, owner = start_holder(tmp_path)
    assert KernelLocks(tmp_path).is_alive(owner)
    holder.send_signal(signal.SIGSTOP)
    assert KernelLocks(tmp_path).is_alive(owner)
    kill(holder)
    await until(lambda: not KernelLocks(tmp_path).is_alive(owner))


async def test_a_child_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    holder, owner = start_holder(tmp_path, "with a child")
    kill(holder)
    await until(lambda: not KernelLocks(tmp_path).is_alive(owner))


def test_only_one_process_at_a_time_can_take_over_a_dead_owner(tmp_path: Path) -> None:
    lock, other = KernelLocks(tmp_path, supervises=True), KernelLocks(tmp_path)
    path = path_of(tmp_path, lock)
    os.link(path, tmp_path / "kept")
    lock.release()
    os.rename(tmp_path / "kept", path)
    with other.if_dead(lock.id) as first, other.if_dead(lock.id) as second:
        assert (first, second) == (True, False)
    path.unlink()
    with other.if_dead(lock.id) as gone:
        assert gone


@pytest.mark.parametrize("owner", ["../../etc/passwd", "", "zz", "A" * 32])
def test_an_owner_id_that_is_not_ours_is_no_path_and_nobody_alive(tmp_path: Path, owner: str) -> None:
    with pytest.raises(ValueError, match="not an owner id"):
        problems_path(tmp_path, owner)
    locks = KernelLocks(tmp_path)
    assert not locks.is_alive(owner)
    locks.remove(owner)


def test_a_lock_whose_file_was_removed_is_not_held(tmp_path: Path) -> None:
    lock = KernelLocks(tmp_path, supervises=True)
    assert lock.is_held()
    path_of(tmp_path, lock).unlink()
    assert not lock.is_held()
    path_of(tmp_path, lock).touch()
    assert not lock.is_held(), "another file with the same name is not the lock"
    lock.release()
    assert not lock.is_held()


@pytest.mark.parametrize("error", [ValueError("unexpected"), OSError(24, "Too many open files"), MemoryError()])
def test_an_owner_whose_lock_cannot_be_tried_is_not_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    lock = KernelLocks(tmp_path, supervises=True)

    def fails(path: Path, *, create: bool = True) -> LockedFile | None:
        raise error

    monkeypatch.setattr(LockedFile, "try_lock", fails)
    with pytest.raises(type(error)):
        KernelLocks(tmp_path).is_alive(lock.id)
    lock.release()


def test_a_named_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "scheduler.lock")
    assert KernelLocks(tmp_path).scheduler() is None
    os.mkfifo(tmp_path / "published")
    assert read_published(tmp_path / "published") == Published()


def test_one_owner_at_a_time_schedules_and_all_see_which(tmp_path: Path) -> None:
    one, other = KernelLocks(tmp_path, supervises=True), KernelLocks(tmp_path, supervises=True)
    assert other.scheduler() is None
    assert one.take_schedule()
    assert one.take_schedule(), "it has it already"
    assert not other.take_schedule()
    assert other.scheduler() == one.id
    one.release_schedule()
    assert other.scheduler() is None
    one.release_schedule()
    assert other.take_schedule()
    assert one.scheduler() == other.id
    other.release_schedule()
    one.release()
    other.release()


def test_only_old_files_of_dead_and_unknown_owners_are_removed(tmp_path: Path) -> None:
    living, dead, known = (KernelLocks(tmp_path, supervises=True) for _ in range(3))
    paths = [path_of(tmp_path, lock) for lock in (living, dead, known)]
    kept = [path.with_suffix(".kept") for path in paths]
    for lock, path, link in zip((dead, known), paths[1:], kept[1:], strict=True):
        os.link(path, link)
        lock.release()
        os.rename(link, path)
    (tmp_path / "owners" / "guard.lock").touch()
    for path in (tmp_path / "owners").iterdir():
        os.utime(path, (1, 1))
    locks = KernelLocks(tmp_path)
    assert locks.remove_leftovers({known.id}, before_ms=1000) == (), "not old enough"
    assert locks.remove_leftovers({known.id}, before_ms=1001) == (dead.id,)
    assert {path.name for path in (tmp_path / "owners").iterdir()} == {paths[0].name, paths[2].name, "guard.lock"}
    locks.remove(known.id)
    locks.remove(known.id)
    assert not paths[2].exists()
    living.release()
