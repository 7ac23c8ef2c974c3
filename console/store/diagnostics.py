"""Diagnosis of a database that may be damaged, foreign or newer than this program. Nothing is created or changed.

`Store.open` refuses such a database as a whole; a diagnosis reads each fact by itself. SQLite itself completes or
undoes what a crash left half done, as it does for every reader.

No read here holds its lock for long: in DELETE mode no process can commit while another one reads.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from console.domain.run import Run
from console.domain.task import Stage
from console.domain.text import sanitize
from console.store import integrity_probe
from console.store.bootstrap import ID, migrate, packaged_migrations, version_of
from console.store.controls import SELECT_META, SELECT_OWNERS, SELECT_PAUSE, OwnerRow, owner_of
from console.store.errors import StoreDamaged, StoreError, StoreMissing, translate_sqlite_errors
from console.store.fast_read import list_open
from console.store.files import DATABASE
from console.store.identity import ACCEPTED_LOSS, PLACE, AcceptedLoss, DatabasePlace, parse_accepted_loss, parse_place
from console.store.pause_file import requested_pause
from console.store.pragmas import JournalMode, connection_pragmas, database_uri
from console.store.rollout import SELECT_STAGES

INSPECTION_BUSY_MS = 2_000
"""How long a diagnosis waits for locks of other processes."""
LONGEST_CHECK_S = 300.0
"""An integrity check that takes longer is given up."""
CHUNK = 500
"""Run ids that are looked up by one statement."""

SELECT_KNOWN = "select id, remote_id, state from runs where id in ({ids})"
SELECT_LAST_EV = "select coalesce(max(ev), 0) from events"


# Without what SQLite and the full-text index make for themselves.
SELECT_OBJECTS = r"""
    select type || ' ' || name, sql from sqlite_schema
    where name not like 'sqlite\_%' escape '\' and name not like 'runs\_text\_%' escape '\'
"""


class DatabaseInspector:
    """Facts about one open database. Each property and method raises StoreError if its fact cannot be read."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._connection = connection

    @property
    def schema(self) -> int:
        """The version of its schema; 0 for an empty database."""
        with translate_sqlite_errors():
            return version_of(self._connection)

    @property
    def changed_objects(self) -> tuple[str, ...]:
        """The tables, indexes and triggers that are missing or not as this program makes them: `index runs_open`."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
            migrate(fresh, packaged_migrations())
            expected = dict(fresh.execute(SELECT_OBJECTS).fetchall())
        with translate_sqlite_errors():
            found = dict(self._connection.execute(SELECT_OBJECTS).fetchall())
        added = found.keys() - expected.keys()
        changed = [name for name, sql in expected.items() if found.get(name) != sql]
        return tuple(sorted([*changed, *(name for name in added if name.startswith("trigger "))]))

    @property
    def journal(self) -> str:
        """Its journal mode, as SQLite names it."""
        return str(self._value("pragma journal_mode"))

    @property
    def synchronous(self) -> int:
        """What `pragma synchronous` is on a connection that has set the pragmas of this program."""
        with translate_sqlite_errors():
            for pragma in connection_pragmas(JournalMode(self.journal), INSPECTION_BUSY_MS):
                self._connection.execute(pragma)
        return self._number("pragma synchronous")

    @property
    def identity(self) -> str | None:
        """The id that `state.id` must hold."""
        return self.meta(ID)

    @property
    def original(self) -> DatabasePlace | None:
        """The place of the database at its first launch, or None if it has not launched."""
        return parse_place(self.meta(PLACE))

    @property
    def accepted_loss(self) -> AcceptedLoss:
        """The history that a person has given up after a restore."""
        return parse_accepted_loss(self.meta(ACCEPTED_LOSS))

    @property
    def owners(self) -> tuple[OwnerRow, ...]:
        """All registered processes."""
        return tuple(map(owner_of, self._rows(SELECT_OWNERS)))

    @property
    def open_runs(self) -> tuple[Run, ...]:
        """All runs that have not ended, oldest first. Raises StoreDamaged if one of them cannot be read."""
        listing = list_open(self._connection)
        if listing.unreadable:
            raise StoreDamaged("; ".join(row.why for row in listing.unreadable))
        return listing.runs

    @property
    def last_ev(self) -> int:
        """The number of the newest log record; 0 if there is none."""
        return self._number(SELECT_LAST_EV)

    @property
    def pause(self) -> tuple[str, int] | None:
        """Who turned the kill switch on, not sanitized, and when, UTC ms; None while it is off."""
        rows = self._rows(SELECT_PAUSE)
        if not rows and (request := requested_pause(self._folder)) is not None:
            return request.by, request.since_ms
        return (str(rows[0]["by"]), int(rows[0]["since_ms"])) if rows else None

    @property
    def stages(self) -> Mapping[str, Stage]:
        """The stage of each task that was ever changed; one whose stage cannot be read is left out."""
        names = {stage.label: stage for stage in Stage}
        return {row["task"]: names[row["after"]] for row in self._rows(SELECT_STAGES) if row["after"] in names}

    def meta(self, name: str) -> str | None:
        """Return the value stored under `name`, or None."""
        rows = self._rows(SELECT_META, name=name)
        return str(rows[0]["value"]) if rows else None

    def unknown(self, run_ids: Iterable[str]) -> tuple[str, ...]:
        """Return those of `run_ids` of which there is no run."""
        wanted = set(run_ids)
        return tuple(sorted(wanted - {row["id"] for row in self._known(wanted)}))

    def without_remote(self, run_ids: Iterable[str]) -> tuple[str, ...]:
        """Return those of `run_ids` whose run has no remote id and is not being sent, or of which there is no run."""
        wanted = set(run_ids)
        found = {row["id"] for row in self._known(wanted) if row["remote_id"] is not None or row["state"] == "sending"}
        return tuple(sorted(wanted - found))

    def _known(self, run_ids: Iterable[str]) -> Iterator[sqlite3.Row]:
        wanted = sorted(run_ids)
        for first in range(0, len(wanted), CHUNK):
            names = {f"id_{number}": run_id for number, run_id in enumerate(wanted[first : first + CHUNK])}
            yield from self._rows(SELECT_KNOWN.format(ids=", ".join(f":{name}" for name in names)), **names)

    def _rows(self, sql: str, **parameters: str) -> list[sqlite3.Row]:
        with translate_sqlite_errors():
            return self._connection.execute(sql, parameters).fetchall()

    def _value(self, sql: str) -> object:
        return self._rows(sql)[0][0]

    def _number(self, sql: str) -> int:
        value = self._value(sql)
        if not isinstance(value, int):
            raise StoreDamaged(f"the state store is damaged: {sql} gave {sanitize(str(value), limit=40)}")
        return value


def latest_schema() -> int:
    """Return the newest schema version that this program knows."""
    return len(packaged_migrations())


@contextmanager
def inspect_database(folder: Path) -> Iterator[DatabaseInspector]:
    """Open the database of `folder` for an inspection. Raises StoreError if there is none or it cannot be opened."""
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
        yield DatabaseInspector(folder, connection)


async def check_integrity(folder: Path, *, longest_s: float = LONGEST_CHECK_S) -> tuple[str, ...]:
    """Return what is wrong with the database of `folder`, one sanitized line each; empty if nothing was found.

    The check runs in a process of its own, so that this process never closes a file descriptor of the database, which
    would drop SQLite's locks. In DELETE mode it works on a temporary copy. Raises StoreError if the check itself fails
    or takes longer than `longest_s` seconds.
    """
    if not (folder / DATABASE).exists():
        return (f"{folder / DATABASE} is missing",)
    with tempfile.TemporaryDirectory(prefix="nightdesk-check-") as place:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", integrity_probe.__file__, database_uri(folder), f"{place}/copy.db", f"{longest_s}"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), longest_s)
            report = json.loads(output)
        except TimeoutError:
            raise StoreError(f"the integrity check of {folder} did not end within {longest_s:g} s") from None
        except ValueError:
            raise StoreError(f"the integrity check of {folder} did not work (exit {process.returncode})") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
    if not isinstance(report, list):
        raise StoreError(f"the integrity check of {folder} did not work: {sanitize(str(report), limit=200)}")
    return tuple(sanitize(str(line), limit=400) for line in report)
