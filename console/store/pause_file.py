"""The kill switch while the state store does not take it: a file in the state folder that counts like the stored row.

A pause must block launches at once, also while another process holds the database or its disk is full. The file counts
from its creation, for claims and for sends; every engine moves it into the store as soon as that works. Its name alone
counts, because a full disk may not take the content.

Kept apart because it needs no database, so that `pause` can use it where the database does not even open.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from console.domain.timestamps import Timestamp
from console.store.files import write_error
from console.trusted_files import Unreadable, read_bounded

PAUSE_FILE = "launches.paused"
MAX_BYTES = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRow:
    """The kill switch while it is on."""

    by: str
    """Who turned it on; not sanitized."""
    since_ms: int
    why: str = ""
    """The reason that was given; not sanitized. Known until the pause is stored, and in its event after that."""


def request_pause(folder: Path, *, by: str, now: Timestamp, why: str = "") -> None:
    """Create the file; one that is there stays as it is. Raises StoreError if it cannot be created."""
    path = folder / PAUSE_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise write_error(error, path) from error
    with suppress(OSError), os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps({"by": by, "since_ms": now.wall_ms, "why": why}, ensure_ascii=True).encode("ascii"))


def requested_pause(folder: Path) -> PauseRow | None:
    """Return who asked for the pause in the file and when, or None without a file."""
    path = folder / PAUSE_FILE
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        # The folder cannot be looked into. A pause is the safe reading of that.
        return PauseRow(by="somebody", since_ms=0)
    try:
        content = json.loads(read_bounded(path, most=MAX_BYTES))
        why = str(content.get("why", ""))
        return PauseRow(by=str(content["by"]), since_ms=int(content["since_ms"]), why=why)
    except (Unreadable, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # Nothing fits on a full disk.
        return PauseRow(by=f"uid {status.st_uid}", since_ms=status.st_mtime_ns // 1_000_000)


def withdraw_pause(folder: Path) -> None:
    """Remove the file, if there is one. Raises StoreError."""
    path = folder / PAUSE_FILE
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(error, path) from error
