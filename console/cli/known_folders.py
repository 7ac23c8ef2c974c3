"""The state folders that one config was used with. Each has caps and keys of its own, so there should be one.

They are written down in a hidden file beside the config, because everything else that could say so, such as
XDG_STATE_HOME or HOME, may differ from one environment to the next. Where that file cannot be written, none is kept.
Kept apart because the record, unlike everything else in `locations`, is written.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from console.trusted_files import WRITABLE_BY_OTHERS, Unreadable, read_bounded

MAX_FOLDERS = 16
MAX_BYTES = 64 << 10
DATABASE, STATE_ID, FLEET_ID = "nightdesk.db", "state.id", "fleet.id"


def other_folders(config: Path, folder: Path) -> tuple[Path, ...]:
    """Return the state folders other than `folder` in which runs of `config` are recorded."""
    here = os.path.realpath(folder)
    return tuple(
        known for known in _read(_record(config)) if os.path.realpath(known) != here and (known / DATABASE).is_file()
    )


def was_used(config: Path, folder: Path) -> bool:
    """Return whether launches of `config` were made with the state folder `folder`, also if it is gone by now."""
    here = os.path.realpath(folder)
    return any(os.path.realpath(known) == here for known in _read(_record(config)))


def is_lost(config: Path, folder: Path) -> bool:
    """Return whether launches of `config` were made with `folder` and nothing of a state store is there any more.

    It was moved away, or the disk that holds it is not mounted.
    """
    return not any(os.path.lexists(folder / name) for name in (DATABASE, STATE_ID, FLEET_ID)) and was_used(
        config, folder
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
        content = read_bounded(record, most=MAX_BYTES, forbidden_mode=WRITABLE_BY_OTHERS)
    except Unreadable:
        return ()
    return tuple(Path(line) for line in os.fsdecode(content).splitlines() if os.path.isabs(line))
