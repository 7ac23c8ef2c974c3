"""The files of the state folder: who may use them, where they lie, and how they are created.

The folder and its files belong to one user alone and lie on a local file system, because locks over a network do not
keep a database whole. `state.id` holds the id of the database: if the database is lost, a new empty one would not know
the keys that were taken, so it is not created as long as `state.id` is there. This program never opens the database
file itself: closing it would drop the locks that SQLite holds in this process.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from console.os_files import LockedFile, sync_folder
from console.store.errors import StoreAbsent, StoreBusy, StoreError, StoreFull, StoreMissing, StoreUnsafe
from console.trusted_files import Unreadable, read_bounded

DATABASE = "nightdesk.db"
STATE_ID = "state.id"
BESIDE = (DATABASE, f"{DATABASE}-journal", f"{DATABASE}-wal", f"{DATABASE}-shm", STATE_ID)
"""The files of the store; each must be a regular file of this user with mode 0600."""
FREE_BYTES = 50 * 1024 * 1024
"""Nothing is launched with less free space on the disk."""

MAX_STATE_ID = 4_096
"""Bytes of `state.id`, which holds 33."""

_MOUNTINFO = Path("/proc/self/mountinfo")
_OTHERS = 0o077
_LOCK_WAIT_S = 30.0
_LOCK_EVERY_S = 0.01

NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4"}
    | {"ocfs2", "orangefs", "smb2", "smb3", "smbfs"}
)
"""File systems that are on another machine."""

LOCAL_FUSE = frozenset({"bindfs", "encfs", "exfat", "fuse-overlayfs", "gocryptfs", "ntfs-3g", "ntfs"})
"""Drivers after `fuse.` that are local; any other one counts as a network file system, as most of them are."""

_OCTAL = re.compile(r"\\([0-7]{3})")


def make_folder(folder: Path) -> None:
    """Create the state folder with mode 0700 if there is none. An empty one gets mode 0700.

    Raises StoreError if it cannot be created.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
            folder.chmod(0o700)
        except FileExistsError:
            _close_if_empty(folder)
    except OSError as error:
        raise StoreError(f"cannot make the state folder {folder}: {error.strerror}") from error


def _close_if_empty(folder: Path) -> None:
    entry = folder.lstat()
    is_mine = stat.S_ISDIR(entry.st_mode) and entry.st_uid == os.geteuid()
    if is_mine and entry.st_mode & _OTHERS and not any(folder.iterdir()):
        folder.chmod(0o700)


def check_folder(folder: Path) -> None:
    """Raise StoreAbsent if there is no such folder, StoreUnsafe if others may use it or it is not local."""
    try:
        entry = folder.lstat()
    except FileNotFoundError:
        raise StoreAbsent(folder) from None
    if stat.S_ISLNK(entry.st_mode):
        raise StoreUnsafe(f"the state folder {folder} is a symbolic link; name the folder it leads to")
    if not stat.S_ISDIR(entry.st_mode):
        raise StoreUnsafe(f"the state folder {folder} is not a folder")
    if entry.st_uid != os.geteuid():
        raise StoreUnsafe(f"the state folder {folder} belongs to another user (uid {entry.st_uid})")
    if entry.st_mode & _OTHERS:
        raise StoreUnsafe(f"others may look into the state folder {folder}; accepted is mode 0700: chmod 700 {folder}")
    check_local(folder)


def check_local(folder: Path) -> None:
    """Raise StoreUnsafe if the folder is on a network file system. Without a list of mounts nothing is checked."""
    try:
        mountinfo = _MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    kind = file_system_of(mountinfo, os.path.realpath(folder))
    if kind is not None and is_network(kind):
        raise StoreUnsafe(f"the state folder {folder} is on a network file system ({kind}); locks do not hold there")


def check_files(folder: Path) -> None:
    """Raise StoreUnsafe if a file of the store is not a regular file, belongs to another user, or others may use it."""
    for name in BESIDE:
        path = folder / name
        try:
            entry = path.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(entry.st_mode):
            what = "a symbolic link" if stat.S_ISLNK(entry.st_mode) else "not a plain file"
            raise StoreUnsafe(f"{path} is {what}")
        if entry.st_uid != os.geteuid():
            raise StoreUnsafe(f"{path} belongs to another user (uid {entry.st_uid})")
        if entry.st_mode & _OTHERS:
            raise StoreUnsafe(f"others may use {path}; accepted is mode 0600: chmod 600 {path}")


def create_file(path: Path, content: bytes = b"") -> None:
    """Create a file with mode 0600 and `content`, flushed to disk. Raises StoreUnsafe if the path exists already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise StoreUnsafe(f"{path} is in the way of a new file") from None
    except OSError as error:
        raise write_error(error, path) from error
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, content)
        os.fsync(descriptor)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Replace the content of `path` at once, also if the system crashes. The caller holds the lock of the folder."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    create_file(new, content)
    new.replace(path)
    sync_folder(path.parent)


def write_error(error: OSError, path: Path) -> StoreError:
    """Return the StoreError for a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"no room for {path}: {error.strerror}")
    return StoreError(f"cannot write {path}: {error.strerror}")


@contextmanager
def folder_lock(folder: Path, *, wait_s: float = _LOCK_WAIT_S) -> Iterator[None]:
    """Hold the lock under which one process creates or upgrades the store. Raises StoreBusy after `wait_s` seconds."""
    deadline = time.monotonic() + wait_s
    while (lock := LockedFile.try_lock_folder(folder)) is None:
        if time.monotonic() >= deadline:
            raise StoreBusy(f"another process is making the state store in {folder}")
        time.sleep(_LOCK_EVERY_S)
    try:
        yield
    finally:
        lock.release()


def read_state_id(folder: Path, name: str = STATE_ID) -> str | None:
    """Return the content of `state.id`, or None if there is none. Raises StoreUnsafe if it cannot be read.

    `name` is that of another file that holds the id of a store.
    """
    path = folder / name
    if not os.path.lexists(path):
        return None
    try:
        return read_bounded(path, most=MAX_STATE_ID).decode("ascii", "replace").strip()
    except Unreadable as error:
        raise StoreUnsafe(f"{path} {error}") from None


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free for this user on the disk of the folder. Raises StoreMissing if it is gone."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise StoreMissing(f"the state folder {folder} cannot be read: {error.strerror}") from error
    return disk.f_bavail * disk.f_frsize


def database_inode(folder: Path) -> tuple[int, int] | None:
    """Return device and inode number of the database file, or None if there is none."""
    try:
        entry = (folder / DATABASE).lstat()
    except OSError:
        return None
    return entry.st_dev, entry.st_ino


def file_system_of(mountinfo: str, path: str) -> str | None:
    """Return the type of the file system that holds the absolute `path`, or None if no mount of the list does.

    `mountinfo` is the text of `/proc/self/mountinfo`, proc_pid_mountinfo(5). The deepest mount point decides, and of
    two mounts on the same point the later one, which covers the earlier one.
    """
    wanted = PurePosixPath(path)
    best: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        mount, separator, source = line.partition(" - ")
        fields, kinds = mount.split(" "), source.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = PurePosixPath(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        if wanted.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), kinds[0])
    return best[1] if best else None


def is_network(kind: str) -> bool:
    """Return whether this type of file system is on another machine, where the state store must not lie."""
    driver = kind.partition(".")[2] if kind.startswith("fuse.") else ""
    return kind in NETWORK or kind == "fuse" or (bool(driver) and driver not in LOCAL_FUSE)
