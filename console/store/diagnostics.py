"""A look into a database that may be damaged, foreign or newer: each fact by itself, nothing made, nothing changed.

`Store.open` refuses what is not whole; a diagnosis has to say what is not. SQLite itself finishes what a crash left
half done, as it does for every reader; nobody here asks it for more.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from console.domain.run import Run
from console.domain.text import sanitize
from console.store import integrity_probe
from console.store.bootstrap import ID, packaged_migrations, version_of
from console.store.controls import SELECT_META, SELECT_OWNERS, OwnerRow, owner_of
from console.store.errors import StoreDamaged, StoreError, StoreMissing, translate_sqlite_errors
from console.store.fast_read import list_open
from console.store.files import DATABASE
from console.store.pragmas import JournalMode, connection_pragmas, database_uri

INSPECTION_BUSY_MS = 2_000
"""A diagnosis does not wait long."""

SELECT_REMOTE = "select id, remote_id from runs where remote_id is not null or state = 'sending'"
SELECT_IDS = "select id from runs"
SELECT_LAST_EV = "select coalesce(max(ev), 0) from events"
COUNT_UNLOGGED = "select count(*) from events where ev is not null and logged = 0"
SELECT_PAUSE = "select by, since_ms from controls where name = 'paused'"


class DatabaseInspector:
    """Facts about one open database. Every property raises StoreError where it cannot be read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def schema(self) -> int:
        """The version of its schema; 0 where nothing was made yet."""
        with translate_sqlite_errors():
            return version_of(self._connection)

    @property
    def journal(self) -> str:
        """Its journal mode, in SQLite's word."""
        return str(self._one("pragma journal_mode"))

    @property
    def synchronous(self) -> int:
        """What SQLite really uses on a connection that asked for what every connection of ours asks for."""
        with translate_sqlite_errors():
            for setting in connection_pragmas(JournalMode(self.journal), INSPECTION_BUSY_MS):
                self._connection.execute(setting)
        return int(str(self._one("pragma synchronous")))

    @property
    def identity(self) -> str | None:
        """What `state.id` must say."""
        return self.meta(ID)

    @property
    def owners(self) -> tuple[OwnerRow, ...]:
        """Every process that announced itself and has not left."""
        return tuple(map(owner_of, self._all(SELECT_OWNERS)))

    @property
    def open_runs(self) -> tuple[Run, ...]:
        """All that are not ended, oldest first."""
        listing = list_open(self._connection)
        if listing.unreadable:
            raise StoreDamaged("; ".join(row.why for row in listing.unreadable))
        return listing.runs

    @property
    def last_ev(self) -> int:
        """The number of the newest line of the log; 0 where there is none."""
        return int(str(self._one(SELECT_LAST_EV)))

    @property
    def unlogged(self) -> int:
        """Lines that are not in the file yet."""
        return int(str(self._one(COUNT_UNLOGGED)))

    @property
    def pause(self) -> tuple[str, int] | None:
        """Who pulled the kill switch, as it was written, and when in UTC ms."""
        rows = self._all(SELECT_PAUSE)
        return (str(rows[0]["by"]), int(rows[0]["since_ms"])) if rows else None

    def meta(self, name: str) -> str | None:
        """The small fact of that name; None where it was never set."""
        rows = self._all(SELECT_META, name=name)
        return str(rows[0]["value"]) if rows else None

    def unknown(self, run_ids: Iterable[str]) -> tuple[str, ...]:
        """Those of `run_ids` that no row has."""
        wanted = set(run_ids)
        return tuple(sorted(wanted - {row["id"] for row in self._all(SELECT_IDS)})) if wanted else ()

    def without_remote(self, run_ids: Iterable[str]) -> tuple[str, ...]:
        """Those of `run_ids` whose row has neither a remote id nor a launch on its way."""
        wanted = set(run_ids)
        return tuple(sorted(wanted - {row["id"] for row in self._all(SELECT_REMOTE)})) if wanted else ()

    def _all(self, sql: str, **parameters: str) -> list[sqlite3.Row]:
        with translate_sqlite_errors():
            return self._connection.execute(sql, parameters).fetchall()

    def _one(self, sql: str) -> object:
        return self._all(sql)[0][0]


def latest_schema() -> int:
    """The newest version that this program knows."""
    return len(packaged_migrations())


@contextmanager
def inspect_database(folder: Path) -> Iterator[DatabaseInspector]:
    """The database of `folder`, to be looked at. Raises StoreError where there is none or it does not open."""
    if not (folder / DATABASE).exists():
        raise StoreMissing(f"{folder / DATABASE} is missing")
    with translate_sqlite_errors():
        connection = sqlite3.connect(
            database_uri(folder), uri=True, isolation_level=None, timeout=INSPECTION_BUSY_MS / 1000
        )
    with closing(connection):
        connection.row_factory = sqlite3.Row
        with translate_sqlite_errors():
            connection.execute("pragma query_only = on")
            connection.execute("pragma trusted_schema = off")
        yield DatabaseInspector(connection)


LONGEST_S = 300.0
"""A check that takes longer says nothing."""


async def check_integrity(folder: Path, *, longest_s: float = LONGEST_S) -> tuple[str, ...]:
    """What is wrong with the database of `folder`, one cleaned line each; empty: nothing was found.

    Reads in a process of its own, so that no file descriptor of ours on the database is ever closed. Raises
    StoreError where the check itself does not work or takes longer than `longest_s` seconds.
    """
    if not (folder / DATABASE).exists():
        return (f"{folder / DATABASE} is missing",)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", integrity_probe.__file__, database_uri(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), longest_s)
        lines = json.loads(output)
    except TimeoutError:
        raise StoreError(f"the integrity check of {folder} did not end within {longest_s:g} s") from None
    except ValueError:
        raise StoreError(f"the integrity check of {folder} did not work (exit {process.returncode})") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return tuple(sanitize(str(line), limit=400) for line in lines)
