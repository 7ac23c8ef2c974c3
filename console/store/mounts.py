"""On which file system a folder lies, by the kernel's list. Locks over a network do not keep a database whole."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

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
