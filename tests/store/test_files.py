"""A state folder that others may use, that is not local or that is incomplete is refused with one line."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from console.store.errors import StoreBusy, StoreError, StoreFull, StoreMissing, StoreUnsafe
from console.store.files import (
    check_files,
    check_folder,
    create_file,
    file_system_of,
    folder_lock,
    free_bytes,
    is_network,
    make_folder,
    read_state_id,
    replace_file,
    write_error,
)
from tests.store.unprivileged import as_nobody

OTHERS = 65534
"""The uid of another user."""


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_a_new_folder_has_mode_0700_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_folder(tmp_path / "state")
        create_file(tmp_path / "state" / "file", b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "state") == 0o700
    assert mode(tmp_path / "state" / "file") == 0o600


def test_an_empty_folder_of_this_user_gets_mode_0700(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    make_folder(folder)
    check_folder(folder)
    assert mode(folder) == 0o700


def test_a_folder_with_something_in_it_is_left_alone_and_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    (folder / "letter").touch()
    make_folder(folder)
    assert mode(folder) == 0o755
    with pytest.raises(StoreUnsafe, match=f"chmod 700 {folder}"):
        check_folder(folder)


@pytest.mark.parametrize("bits", [0o710, 0o707, 0o770, 0o777])
def test_a_folder_that_others_may_use_is_refused(tmp_path: Path, bits: int) -> None:
    tmp_path.chmod(bits)
    with pytest.raises(StoreUnsafe):
        check_folder(tmp_path)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        check_folder(tmp_path / "absent")
    (tmp_path / "file").touch(mode=0o600)
    with pytest.raises(StoreUnsafe, match="not a folder"):
        check_folder(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StoreUnsafe, match="symbolic link"):
        check_folder(tmp_path / "link")
    with pytest.raises(StoreError, match="cannot make"):
        make_folder(tmp_path / "file" / "below")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_what_belongs_to_another_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    make_folder(folder)
    create_file(folder / "nightdesk.db")
    os.chown(folder / "nightdesk.db", OTHERS, OTHERS)
    with pytest.raises(StoreUnsafe, match="another user"):
        check_files(folder)
    os.chown(folder, OTHERS, OTHERS)
    with pytest.raises(StoreUnsafe, match="another user"):
        check_folder(folder)


@pytest.mark.parametrize("name", ["nightdesk.db", "nightdesk.db-wal", "nightdesk.db-journal", "state.id"])
def test_a_file_of_the_store_is_plain_and_closed(tmp_path: Path, name: str) -> None:
    check_files(tmp_path)
    (tmp_path / name).symlink_to("/etc/passwd")
    with pytest.raises(StoreUnsafe, match="symbolic link"):
        check_files(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(StoreUnsafe, match="not a plain file"):
        check_files(tmp_path)
    (tmp_path / name).rmdir()
    (tmp_path / name).touch()
    (tmp_path / name).chmod(0o640)
    with pytest.raises(StoreUnsafe, match="chmod 600"):
        check_files(tmp_path)


def test_a_new_file_never_follows_a_link_and_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "there").write_text("kept")
    for name in ("dangling", "there"):
        with pytest.raises(StoreUnsafe, match="in the way"):
            create_file(tmp_path / name, b"x")
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "there").read_text() == "kept"


def test_a_named_pipe_in_place_of_the_id_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.id")
    with pytest.raises(StoreUnsafe, match="not a regular file"):
        read_state_id(tmp_path)


def test_a_replaced_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.id"
    assert read_state_id(tmp_path) is None
    (tmp_path / "state.id.new").symlink_to(tmp_path / "victim")
    for content in (b"one\n", b"two\n"):
        replace_file(path, content)
        assert read_state_id(tmp_path) == content.decode().strip()
    assert mode(path) == 0o600
    assert not (tmp_path / "victim").exists()


def test_one_process_at_a_time_makes_a_store(tmp_path: Path) -> None:
    with folder_lock(tmp_path), pytest.raises(StoreBusy), folder_lock(tmp_path, wait_s=0.02):
        pytest.fail("two held it")
    with folder_lock(tmp_path, wait_s=0):
        pass


def test_an_errno_becomes_the_right_store_error(tmp_path: Path) -> None:
    import errno

    assert isinstance(write_error(OSError(errno.ENOSPC, "No space left"), tmp_path), StoreFull)
    assert not isinstance(write_error(OSError(errno.EIO, "I/O error"), tmp_path), StoreFull)
    assert free_bytes(tmp_path) > 0
    with pytest.raises(StoreMissing):
        free_bytes(tmp_path / "absent")


def test_an_ordinary_user_makes_a_store_that_only_they_can_read() -> None:
    """Permissions do not restrict root, so an unprivileged process creates and uses the folder."""
    done = as_nobody(
        """
        async def work(folder, now):
            store = await Store.open(folder, now=now)
            await store.controls.pause(by="me", now=now)
            await store.close()
            return {path.name: oct(path.stat().st_mode & 0o777) for path in [folder, *folder.iterdir()]}
        """,
    )
    assert done == {"state": "0o700", "nightdesk.db": "0o600", "state.id": "0o600"}


def test_an_ordinary_user_is_refused_where_they_may_not_write() -> None:
    done = as_nobody(
        """
        async def work(folder, now):
            folder.parent.chmod(0o500)
            try:
                await Store.open(folder, now=now)
            except StoreError as error:
                return str(error)
        """,
    )
    assert isinstance(done, str)
    assert done.startswith("cannot make the state folder")


MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:30 / /home rw,nosuid shared:2 master:1 - nfs4 files:/home rw,vers=4.2
31 30 0:31 / /home/ann/local rw - xfs /dev/vdb rw
32 27 0:32 / /mnt/a\040b\134c rw - cifs //server/share rw
33 27 0:33 / /over rw - ext4 /dev/vdc rw
34 33 0:34 / /over rw - fuse.sshfs ann@host: rw
35 27 0:35 / /mnt/a rw - tmpfs tmpfs rw
torn line
36 27 0:36
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib/nightdesk", "ext4"),
        ("/homework", "ext4"),
        ("/home", "nfs4"),
        ("/home/ann/state", "nfs4"),
        ("/home/ann/local/state", "xfs"),
        ("/mnt/a b\\c/state", "cifs"),
        ("/mnt/a/state", "tmpfs"),
        ("/mnt/a b", "ext4"),
        ("/over/state", "fuse.sshfs"),
        ("/proc/self", "proc"),
    ],
)
def test_the_deepest_and_latest_mount_holds_the_path(path: str, kind: str) -> None:
    assert file_system_of(MOUNTS, path) == kind


def test_a_list_without_the_path_has_no_answer() -> None:
    assert file_system_of("", "/state") is None
    assert file_system_of("31 30 0:31 / /home rw - xfs /dev/vdb rw", "/state") is None


def test_this_machine_is_understood(tmp_path: Path) -> None:
    assert file_system_of(Path("/proc/self/mountinfo").read_text(), str(tmp_path)) is not None


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse", "fuse.sshfs", "fuse.rclone"])
def test_what_reaches_another_machine_is_refused(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", "fuse.gocryptfs"])
def test_what_is_here_is_not(kind: str) -> None:
    assert not is_network(kind)
