"""Copies the database of a state folder out, while processes use it, and back in, while none does.

A copy is that of one moment. What is put back launches nothing until a person accepts it: its recorded place is that of
the backup, so that it counts as a copied folder (`identity`), and its newer files show what it has forgotten.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from console.os_files import sync_folder
from console.store.bootstrap import ID, check_version, packaged_migrations, version_of
from console.store.errors import StoreAbsent, StoreBusy, StoreDamaged, StoreError, StoreMissing, translate_sqlite_errors
from console.store.files import (
    BESIDE,
    DATABASE,
    STATE_ID,
    check_files,
    check_folder,
    create_file,
    folder_lock,
    make_folder,
    replace_file,
)
from console.store.identity import PLACE, DatabasePlace
from console.store.integrity_probe import CheckFailed, copy_in_steps
from console.store.pragmas import database_uri

LONGEST_S = 600.0
"""A copy that takes longer is given up."""
BUSY_S = 30.0
DRAFT = f".{DATABASE}.restoring"
"""A database that is being put back."""

SELECT_ID = "select value from meta where name = ?"
SELECT_LAST_EV = "select coalesce(max(ev), 0) from events"
COUNT_RUNS = "select count(*), coalesce(sum(state <> 'ended'), 0) from runs where attempt > 0"
UPSERT_PLACE = "insert into meta (name, value) values (?, ?) on conflict (name) do update set value = excluded.value"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts:
    """What a copy of a database holds."""

    state_id: str
    version: int
    """Of the schema."""
    last_ev: int
    """The number of its newest log record."""
    runs: int
    open_runs: int
    """Runs that had not ended."""


def copy_out(folder: Path, target: Path, *, longest_s: float = LONGEST_S) -> BackupFacts:
    """Copy the database of `folder` to the new folder `target`, in steps between which others write; check the copy.

    `target` must not exist, or be empty. Raises StoreError, FileExistsError for a `target` that holds anything.
    """
    check_folder(folder)
    check_files(folder)
    if not (folder / DATABASE).exists():
        raise StoreAbsent(folder)
    _make_empty(target)
    create_file(target / DATABASE)
    with translate_sqlite_errors(), closing(_connect(database_uri(folder))) as source:
        source.execute("pragma query_only = on")
        _copy(source, target, longest_s)
        facts = read_backup(target)
    create_file(target / STATE_ID, f"{facts.state_id}\n".encode("ascii"))
    return facts


def read_backup(source: Path) -> BackupFacts:
    """Check the copy in the folder `source`, and say what it holds. Raises StoreError."""
    if not (source / DATABASE).is_file():
        raise StoreMissing(f"there is no backup in {source}: it has no {DATABASE}")
    with translate_sqlite_errors(), closing(_connect(_reading_uri(source))) as connection:
        found = connection.execute("pragma quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreDamaged(f"the copy in {source} is damaged: {found}")
        version = version_of(connection)
        if version == 0:
            raise StoreMissing(f"the database in {source} is empty")
        check_version(version, len(packaged_migrations()))
        row = connection.execute(SELECT_ID, (ID,)).fetchone()
        if row is None:
            raise StoreDamaged(f"the copy in {source} has no id")
        runs, open_runs = connection.execute(COUNT_RUNS).fetchone()
        (last_ev,) = connection.execute(SELECT_LAST_EV).fetchone()
        return BackupFacts(state_id=row[0], version=version, last_ev=last_ev, runs=runs, open_runs=open_runs)


def put_back(source: Path, folder: Path, *, aside: Path) -> BackupFacts:
    """Make the copy in `source` the database of `folder`; the one that is there is moved to the new folder `aside`.

    No process may use `folder`. Interrupted at any point, `folder` either holds what it held, or refuses to be used
    until this is done again. Raises StoreError, OSError.
    """
    facts = read_backup(source)
    make_folder(folder)
    check_folder(folder)
    with folder_lock(folder):
        (folder / DRAFT).unlink(missing_ok=True)
        create_file(folder / DRAFT)
        with translate_sqlite_errors():
            with closing(_connect(_reading_uri(source))) as backup:
                _copy_to(backup, folder / DRAFT, LONGEST_S)
            _mark_as_copy(folder / DRAFT, source)
        _sync(folder / DRAFT)
        _move_aside(folder, aside)
        (folder / DRAFT).rename(folder / DATABASE)
        replace_file(folder / STATE_ID, f"{facts.state_id}\n".encode("ascii"))
    return facts


def _make_empty(target: Path) -> None:
    """Make the folder (mode 0700). Raises FileExistsError if it holds anything, StoreError."""
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise FileExistsError(f"{target} is not empty")
        target.chmod(0o700)
    except FileExistsError:
        raise
    except OSError as error:
        raise StoreError(f"cannot make the folder {target}: {error.strerror}") from error


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)


def _reading_uri(source: Path) -> str:
    return f"{(source.absolute() / DATABASE).as_uri()}?mode=ro"


def _copy(source: sqlite3.Connection, target: Path, longest_s: float) -> None:
    _copy_to(source, target / DATABASE, longest_s)
    _sync(target / DATABASE)
    sync_folder(target)


def _copy_to(source: sqlite3.Connection, path: Path, longest_s: float) -> None:
    with _writing(path) as copy:
        try:
            copy_in_steps(source, copy, longest_s=longest_s)
        except CheckFailed as error:
            raise StoreBusy(str(error)) from error
        # The header says WAL where the source is in that mode; one file is easier to keep.
        copy.execute("pragma journal_mode = delete").fetchone()


def _mark_as_copy(path: Path, source: Path) -> None:
    """Record a place that no file has, so that the database counts as a copy wherever it lies."""
    place = DatabasePlace(inode=0, device=0, folder=str(source.resolve()), machine="")
    with _writing(path) as connection:
        connection.execute(UPSERT_PLACE, (PLACE, json.dumps(asdict(place), sort_keys=True)))


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(_connect(f"{path.absolute().as_uri()}?mode=rw")) as connection:
        yield connection


def _sync(path: Path) -> None:
    # By a descriptor of a file that no connection of this process has open any more.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move_aside(folder: Path, aside: Path) -> None:
    """Move the files of the store to `aside` but for `state.id`: as long as it is there, no empty database is made."""
    there = [folder / name for name in BESIDE if name != STATE_ID and (folder / name).exists()]
    if not there:
        return
    aside.mkdir(mode=0o700)
    for path in there:
        path.rename(aside / path.name)
    sync_folder(folder)
