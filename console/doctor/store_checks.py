"""Checks of the state store: the folder, its files, and the database as a whole."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from console.doctor.runner import Area, Check, Level, Results, Subject
from console.domain.text import sanitize
from console.store.diagnostics import check_integrity, inspect_database, latest_schema
from console.store.errors import StoreAbsent
from console.store.files import (
    BESIDE,
    DATABASE,
    FREE_BYTES,
    STATE_ID,
    check_files,
    check_folder,
    check_local,
    free_bytes,
    read_state_id,
)
from console.store.identity import DatabasePlace, copy_sentence
from console.store.pragmas import JournalMode, safe_journal_mode, sqlite_version

OTHER_FILES = ("runs.log", "runs.log.lock", "launch.journal", "diag.log", "scheduler.lock", "owners")
SYNC_WORDS = {0: "off", 1: "normal", 2: "full", 3: "extra"}


def folder(subject: Subject) -> Results:
    """Check that the folder is private and writable, and the only one that the config is used with."""
    for other in subject.other_folders:
        yield Level.WARN, f"{other} holds runs of this config too; caps and keys count apart: set [store] state_dir"
    if subject.folder_is_lost:
        yield Level.FAIL, str(StoreAbsent(subject.folder, was_used=True))
        return
    if not os.path.lexists(subject.folder):
        yield Level.OK, f"{subject.folder} does not exist yet; first use creates it"
        return
    check_folder(subject.folder)
    for place in (subject.folder, subject.folder / "owners"):
        # Also false on a read-only file system, for root too.
        if place.exists() and not os.access(place, os.W_OK | os.X_OK):
            read_only = os.statvfs(place).f_flag & os.ST_RDONLY
            reason = "its file system is read-only" if read_only else "this user may not write into it"
            yield Level.FAIL, f"{place} cannot be written: {reason}; nothing can be launched"
            return
    yield Level.OK, f"{subject.folder} is private to you (0700)"


def files(subject: Subject) -> Results:
    """Check that every file is a regular file of this user with mode 0600."""
    check_files(subject.folder)
    names = [name for name in BESIDE if (subject.folder / name).exists()]
    yield Level.OK, f"{', '.join(names)}: private to you (0600)" if names else "none yet"
    for name in OTHER_FILES:
        yield from _other_file(subject.folder / name)


def _other_file(path: Path) -> Results:
    try:
        entry = path.lstat()
    except FileNotFoundError:
        return
    kind = stat.S_ISDIR if path.name == "owners" else stat.S_ISREG
    if not kind(entry.st_mode):
        yield (
            Level.FAIL,
            f"{path} is {'a symbolic link' if stat.S_ISLNK(entry.st_mode) else 'of the wrong type'}",
        )
    elif entry.st_uid != os.geteuid():
        yield Level.FAIL, f"{path} belongs to another user (uid {entry.st_uid})"
    elif entry.st_mode & 0o022:
        yield Level.FAIL, f"others may write {path} (mode {stat.S_IMODE(entry.st_mode):04o}); do: chmod go= {path}"
    elif entry.st_mode & 0o077:
        yield Level.WARN, f"others may read {path} (mode {stat.S_IMODE(entry.st_mode):04o}); do: chmod go= {path}"


def disk(subject: Subject) -> Results:
    """Check that the disk is local and has room."""
    place = next(each for each in (subject.folder, *subject.folder.parents) if each.exists())
    check_local(place)
    free = free_bytes(place)
    message = f"local, {free >> 20} MiB free"
    if free < FREE_BYTES:
        yield Level.FAIL, f"{message}; launches are refused below {FREE_BYTES >> 20} MiB"
    else:
        yield Level.OK, message


def identity(subject: Subject) -> Results:
    """Check that the database belongs to this folder."""
    state_id, present = read_state_id(subject.folder), (subject.folder / DATABASE).exists()
    if state_id is None and not present:
        yield Level.OK, "no database yet; first use creates it"
        return
    if not present:
        yield Level.FAIL, f"{DATABASE} is missing, but {STATE_ID} shows that it held runs; restore it from a backup"
        return
    with inspect_database(subject.folder) as found:
        version = found.schema
        if version == 0:
            message = f"{DATABASE} is empty"
            if state_id is None:
                yield Level.OK, f"{message}; first use fills it"
            else:
                yield Level.FAIL, f"{message}, but {STATE_ID} shows that it held runs; restore it from a backup"
            return
        held, original = found.identity, found.original
    if state_id is None:
        yield Level.WARN, f"{STATE_ID} is missing beside the database; the next launch creates it"
    elif held != state_id:
        yield Level.FAIL, f"the database is not the one that {STATE_ID} names; restore the right one"
    elif original is not None and (place := DatabasePlace.of(subject.folder)) and not place.is_same_file(original):
        yield Level.FAIL, sanitize(copy_sentence(subject.folder, original))
    else:
        yield Level.OK, f"{STATE_ID} and {DATABASE} belong together"


def schema(subject: Subject) -> Results:
    """Check that this program understands the version of the database, and that its schema is that of the version."""
    if not (subject.folder / DATABASE).exists():
        return
    with inspect_database(subject.folder) as found:
        version = found.schema
        latest = latest_schema()
        changed = found.changed_objects if version == latest else ()
    if version < 0:
        yield Level.FAIL, f"the database is of version {version}, which no program writes: it is damaged"
    elif changed:
        yield Level.FAIL, sanitize(f"the database is damaged, or another program changed it: {', '.join(changed)}")
    elif version > latest:
        yield (
            Level.FAIL,
            f"the database is of version {version}, this program knows versions up to {latest}; use the newer one",
        )
    elif version < latest:
        yield Level.OK, f"version {version}; next use upgrades it to {latest}"
    else:
        yield Level.OK, f"version {version}, the current one"


def durability(subject: Subject) -> Results:
    """Check that a commit survives a power loss."""
    built = f"SQLite {sqlite_version()}"
    if not (subject.folder / DATABASE).exists():
        yield Level.OK, f"{built}; a new database gets journal mode {safe_journal_mode().value}"
        return
    with inspect_database(subject.folder) as found:
        if found.schema == 0:
            yield Level.OK, f"{built}; a new database gets journal mode {safe_journal_mode().value}"
            return
        mode = found.journal
        if mode not in list(JournalMode):
            yield Level.FAIL, f"{built}, journal mode {mode}: a crash could tear it"
            return
        level = found.synchronous
    message = f"{built}, journal mode {mode}, synchronous {SYNC_WORDS.get(level, str(level))}"
    if level != JournalMode(mode).synchronous:
        yield Level.FAIL, f"{message}: the last commits could be lost in a power failure"
    elif mode == JournalMode.WAL.value and safe_journal_mode() is JournalMode.DELETE:
        yield Level.FAIL, f"{message}: this SQLite has the WAL-reset bug and may lose commits"
    else:
        yield Level.OK, message


def integrity(subject: Subject) -> Results:
    """Check the database for damage, in another process."""
    if not (subject.folder / DATABASE).exists():
        return
    problems = asyncio.run(check_integrity(subject.folder))
    for problem in problems:
        yield Level.FAIL, problem
    if not problems:
        yield Level.OK, "integrity_check and foreign_key_check passed"


STORE_CHECKS = tuple(
    Check(name=run.__name__, area=Area.STORE, run=run)
    for run in (folder, files, disk, identity, schema, durability, integrity)
)
