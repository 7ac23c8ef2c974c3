"""The state folder as files: ours alone, on this machine, and never silently empty again once it held keys.

An empty new database would forget every key, which is a double launch. So `state.id` stands beside the database:
where it is, a database of that id must be too. Nobody here opens the database file but SQLite, since any other
`close()` of it in this process would drop SQLite's locks.
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

from console.file_lock import LockedFile
from console.store.errors import StoreBusy, StoreError, StoreFull, StoreMissing, StoreUnsafe

DATABASE = "nightdesk.db"
STATE_ID = "state.id"
BESIDE = (DATABASE, f"{DATABASE}-journal", f"{DATABASE}-wal", f"{DATABASE}-shm", STATE_ID)
"""Files of the store: each must be a plain file, ours, mode 0600."""
FREE_BYTES = 50 * 1024 * 1024
"""Less room than this, and nothing is launched."""

_MOUNTINFO = Path("/proc/self/mountinfo")
_OTHERS = 0o077
_LOCK_WAIT_S = 30.0
_LOCK_EVERY_S = 0.01


def make_folder(folder: Path) -> None:
    """Makes the state folder, 0700, where it is absent. One that is there and empty is made 0700.

    Raises StoreError where it cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
            folder.chmod(0o700)
        except FileExistsError:
            _close_empty(folder)
    except OSError as error:
        raise StoreError(f"cannot make the state folder {folder}: {error.strerror}") from error


def _close_empty(folder: Path) -> None:
    entry = folder.lstat()
    mine = stat.S_ISDIR(entry.st_mode) and entry.st_uid == os.geteuid()
    if mine and entry.st_mode & _OTHERS and not any(folder.iterdir()):
        folder.chmod(0o700)


def check_folder(folder: Path) -> None:
    """Raises StoreMissing where there is no such folder, StoreUnsafe where it is not ours alone or not local."""
    try:
        entry = folder.lstat()
    except FileNotFoundError:
        raise StoreMissing(f"there is no state folder {folder}") from None
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
    """Raises StoreUnsafe where the folder lies on a network file system. Silent where the kernel has no list."""
    try:
        mountinfo = _MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    kind = file_system_of(mountinfo, os.path.realpath(folder))
    if kind is not None and is_network(kind):
        raise StoreUnsafe(f"the state folder {folder} is on a network file system ({kind}); locks do not hold there")


def check_files(folder: Path) -> None:
    """Raises StoreUnsafe where a file of the store is a link, not a plain file, another's, or open to others."""
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
    """A new file, 0600, with `content` on disk. Raises StoreUnsafe where anything is there already, a link too."""
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
    """`path` with `content`, whole or not at all, also over a crash. Held by the folder's lock."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    create_file(new, content)
    new.replace(path)
    sync_folder(path.parent)


def write_error(error: OSError, path: Path) -> StoreError:
    """What the system's answer to a write means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"no room for {path}: {error.strerror}")
    return StoreError(f"cannot write {path}: {error.strerror}")


def sync_folder(folder: Path) -> None:
    """Names in the folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def folder_lock(folder: Path, *, wait_s: float = _LOCK_WAIT_S) -> Iterator[None]:
    """One process at a time makes or changes the store of this folder. Raises StoreBusy after `wait_s`."""
    deadline = time.monotonic() + wait_s
    while (lock := LockedFile.try_lock_folder(folder)) is None:
        if time.monotonic() >= deadline:
            raise StoreBusy(f"another process is making the state store in {folder}")
        time.sleep(_LOCK_EVERY_S)
    try:
        yield
    finally:
        lock.release()


def read_state_id(folder: Path) -> str | None:
    """What `state.id` holds; None where there is none."""
    try:
        return (folder / STATE_ID).read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None


def free_bytes(folder: Path) -> int:
    """Room for us on the folder's disk. Raises StoreMissing where the folder is gone."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise StoreMissing(f"the state folder {folder} cannot be read: {error.strerror}") from error
    return disk.f_bavail * disk.f_frsize


def database_inode(folder: Path) -> tuple[int, int] | None:
    """Which file the name of the database leads to; None where it leads to none."""
    try:
        entry = (folder / DATABASE).lstat()
    except OSError:
        return None
    return entry.st_dev, entry.st_ino


NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4"}
    | {"ocfs2", "orangefs", "smb2", "smb3", "smbfs"}
)
"""Types that reach another machine."""

LOCAL_FUSE = frozenset({"bindfs", "encfs", "exfat", "fuse-overlayfs", "gocryptfs", "ntfs-3g", "ntfs"})
"""What may follow `fuse.`: any other driver is taken for a network one, since most of them are."""

_OCTAL = re.compile(r"\\([0-7]{3})")


def file_system_of(mountinfo: str, path: str) -> str | None:
    """The type of the file system that holds the absolute `path`; None where the list has no mount for it.

    `mountinfo` is the text of `/proc/self/mountinfo`, proc_pid_mountinfo(5). The deepest mount point wins, and of
    two mounts on one point the later, which covers the earlier.
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
    """True for a file system type on which the state store must not lie."""
    driver = kind.partition(".")[2] if kind.startswith("fuse.") else ""
    return kind in NETWORK or kind == "fuse" or (bool(driver) and driver not in LOCAL_FUSE)
