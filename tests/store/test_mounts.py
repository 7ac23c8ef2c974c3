"""The kernel's list of mounts is read right, odd names included, and every network file system is known as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.store.mounts import file_system_of, is_network

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


def test_a_list_without_the_path_says_nothing() -> None:
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
