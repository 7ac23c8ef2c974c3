"""Opens the database of several hosts for the state folder of one of them, and checks that the two belong together.

An empty database would forget every key that was ever taken. So the folder keeps the id of its store, and is refused
where it holds keys of a store of its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from console.store.bootstrap import ID
from console.store.controls import SELECT_META
from console.store.errors import StoreAbsent, StoreMissing, translate_sqlite_errors
from console.store.files import DATABASE, check_folder, folder_lock, make_folder, read_state_id, replace_file
from console.store.fleet_settings import FleetSettings
from console.store.postgres.database import PostgresDatabase
from console.store.postgres.schema import DURABLE, SELECT_SETTINGS, VERSION, refuse_unusable
from console.store.pragmas import database_uri
from console.store.rows import fetch_batch, fetch_one
from console.store.transaction import Statement, Transaction

FLEET_ID = "fleet.id"
"""The file of the folder that names the store it belongs to."""
MOVED_TO = "moved_to"
"""Name in the table `meta` of a store of one machine under which stands where its rows were moved to."""
SELECT_IS_MADE = "select to_regclass(:meta) is not null as is_made"


async def open_fleet(
    folder: Path, settings: FleetSettings, *, read_only: bool = False, create: bool = True
) -> PostgresDatabase:
    """Return the database, connected and checked. Without `create` the folder is not made; a reader has an empty one.

    Raises StoreAbsent without a folder, StoreMissing for the wrong store or none, StoreError.
    """
    await asyncio.to_thread(_prepare_folder, folder, create=create)
    database = PostgresDatabase(folder, settings, read_only=read_only)
    try:
        store_id = await database.read(lambda tx: _usable_store_id(tx, settings.schema))
        await asyncio.to_thread(_check_belongs, folder, store_id, read_only=read_only)
    except BaseException:
        await database.close()
        raise
    return database


def _prepare_folder(folder: Path, *, create: bool) -> None:
    if create:
        make_folder(folder)
    elif not folder.is_dir():
        raise StoreAbsent(folder)
    check_folder(folder)
    if keys := local_keys(folder):
        raise StoreMissing(
            f"this folder holds a local store of {keys} run{'' if keys == 1 else 's'}; nightdesk store move carries "
            "them over"
        )


def local_keys(folder: Path) -> int:
    """Return how many runs the store of one machine in `folder` holds; 0 without one, and if it was moved."""
    if not (folder / DATABASE).exists():
        return 0
    with translate_sqlite_errors(), closing(sqlite3.connect(database_uri(folder), uri=True)) as connection:
        if connection.execute("select 1 from sqlite_schema where name = 'runs'").fetchone() is None:
            return 0
        if connection.execute("select 1 from meta where name = ?", (MOVED_TO,)).fetchone() is not None:
            return 0
        (runs,) = connection.execute("select count(*) from runs where attempt > 0").fetchone()
        return int(runs)


async def _usable_store_id(tx: Transaction, schema: str) -> str:
    """Return the id of the store. Raises StoreError unless it can be used."""
    (made,), (settings,) = await fetch_batch(
        tx, Statement(SELECT_IS_MADE, {"meta": f"{schema}.meta"}), Statement(SELECT_SETTINGS)
    )
    durable = {name: str(settings[name]) for name in DURABLE}
    version = await fetch_one(tx, SELECT_META, {"name": VERSION}) if made["is_made"] else None
    refuse_unusable(schema, int(version["value"]) if version else 0, durable)
    row = await fetch_one(tx, SELECT_META, {"name": ID})
    if row is None:
        raise StoreMissing(f"the store in schema {schema} has no id; restore the right one")
    return str(row["value"])


def _check_belongs(folder: Path, store_id: str, *, read_only: bool) -> None:
    """Raise StoreMissing if the folder belongs to another store. A folder without an id gets this one."""
    known = read_state_id(folder, FLEET_ID)
    if known is None and not read_only:
        with folder_lock(folder):
            known = read_state_id(folder, FLEET_ID)
            if known is None:
                replace_file(folder / FLEET_ID, f"{store_id}\n".encode("ascii"))
    if known is not None and known != store_id:
        raise StoreMissing(
            f"the database holds store {store_id[:8]}, this folder belongs to {known[:8]}; nothing is launched"
        )
