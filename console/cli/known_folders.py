"""The state folders that one config was used with. Each has caps and keys of its own, so there should be one.

They are written down in a hidden file beside the config, because everything else that could say so, such as
XDG_STATE_HOME or HOME, may differ from one environment to the next. Where that file cannot be written, none is kept.
Kept apart because the record, unlike everything else in `locations`, is written.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MAX_FOLDERS = 16
MAX_BYTES = 64 << 10
DATABASE = "nightdesk.db"


def other_folders(config: Path, folder: Path) -> tuple[Path, ...]:
    """Return the state folders other than `folder` in which runs of `config` are recorded."""
    here = os.path.realpath(folder)
    return tuple(
        known for known in _read(_record(config)) if os.path.realpath(known) != here and (known / DATABASE).is_file()
    )


def remember_folder(config: Path, folder: Path) -> None:
    """Write down that `config` is used with the state folder `folder`."""
    record = _record(config)
    known = _read(record)
    if folder in known or not config.is_file():
        return
    text = "".join(f"{each}\n" for each in (*known, folder)[-MAX_FOLDERS:])
    new = record.with_name(f"{record.name}.{os.getpid()}")
    with suppress(OSError):
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.replace(new, record)


def _record(config: Path) -> Path:
    return config.with_name(f".{config.name}.state-folders")


def _read(record: Path) -> tuple[Path, ...]:
    try:
        descriptor = os.open(record, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ()
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
            return ()
        lines = os.fsdecode(file.read(MAX_BYTES)).splitlines()
    return tuple(Path(line) for line in lines if os.path.isabs(line))
