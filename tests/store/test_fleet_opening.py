"""A state folder and the database of several hosts are used together only if they belong together."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from console.store.bootstrap import ID
from console.store.controls import UPSERT_META
from console.store.errors import StoreAbsent, StoreError, StoreMissing, StoreNewer, StoreUnreachable
from console.store.fleet_settings import FleetSettings
from console.store.postgres.opening import FLEET_ID, MOVED_TO, local_keys
from console.store.postgres.schema import VERSION
from console.store.rows import fetch_all
from console.store.store import Store
from tests.clock import ManualClock
from tests.postgres_server import new_store
from tests.store.harness import StoreHarness, open_harness

pytestmark = pytest.mark.proofs


@pytest.fixture
def fleet(postgres: str) -> Iterator[FleetSettings]:
    """A store whose id and version a test may change."""
    with new_store(postgres) as settings:
        yield settings


async def _open(folder: Path, fleet: FleetSettings, *, create: bool = True, read_only: bool = False) -> None:
    store = await Store.open(folder, now=ManualClock().now(), fleet=fleet, create=create, read_only=read_only)
    await store.close()


async def _set_meta(fleet: FleetSettings, name: str, value: str) -> None:
    async with await psycopg.AsyncConnection.connect(fleet.conninfo, autocommit=True) as connection:
        await connection.execute(f"update {fleet.schema}.meta set value = %s where name = %s".encode(), (value, name))


async def test_a_folder_keeps_the_id_of_the_store_it_was_first_used_with(
    postgres: str, fleet: FleetSettings, folder: Path
) -> None:
    await _open(folder, fleet)
    assert stat.S_IMODE((folder / FLEET_ID).stat().st_mode) == 0o600
    await _open(folder, fleet)
    wrong = r"holds store \w{8}, this folder belongs to \w{8}; nothing is launched"
    with new_store(postgres) as other, pytest.raises(StoreMissing, match=wrong):
        await _open(folder, other)
    await _set_meta(fleet, ID, "0" * 32)
    with pytest.raises(StoreMissing, match="holds store 00000000"):
        await _open(folder, fleet, read_only=True)


async def test_nothing_is_made_where_nothing_may_be(fleet: FleetSettings, folder: Path) -> None:
    with pytest.raises(StoreAbsent):
        await _open(folder, fleet, create=False)
    assert not await asyncio.to_thread(folder.exists)
    # A reader needs no more than an empty folder.
    await _open(folder, fleet, read_only=True)
    assert await asyncio.to_thread(os.listdir, folder) == []


async def test_a_folder_with_keys_of_its_own_is_refused_until_they_were_moved(
    fleet: FleetSettings, fresh: Path, folder: Path
) -> None:
    shutil.copytree(fresh, folder)
    await _open(folder, fleet)
    alone = await open_harness(folder)
    await alone.claimed()
    with pytest.raises(StoreMissing, match="holds a local store of 1 run; nightdesk store move carries them over"):
        await _open(folder, fleet)
    await alone.store.database.transaction(lambda tx: fetch_all(tx, UPSERT_META, {"name": MOVED_TO, "value": "x"}))
    await alone.store.close()
    assert local_keys(folder) == 0
    await _open(folder, fleet)


async def test_a_claim_in_a_moved_folder_is_no_matter_of_the_place_of_its_old_file(
    fleet: FleetSettings, fresh: Path, tmp_path: Path
) -> None:
    """What a machine records of its own file would make every other machine a copy."""
    for name in ("one", "two"):
        shutil.copytree(fresh, tmp_path / name)
        harness: StoreHarness = await open_harness(tmp_path / name, fleet=fleet)
        await harness.claimed(harness.task, target=name)
        await harness.store.close()


async def test_another_version_and_no_store_are_one_line_each(
    postgres: str, fleet: FleetSettings, folder: Path
) -> None:
    nothing = FleetSettings(url=postgres, schema="nothing_here", host="here")
    with pytest.raises(StoreMissing, match="`nightdesk store init` makes one"):
        await _open(folder, nothing)
    await _set_meta(fleet, VERSION, "99")
    with pytest.raises(StoreNewer, match="of version 99"):
        await _open(folder, fleet)


@pytest.mark.parametrize("setting", ["synchronous_commit"])
async def test_a_server_that_may_lose_what_it_acknowledged_is_refused(
    postgres: str, fleet: FleetSettings, folder: Path, setting: str
) -> None:
    async with await psycopg.AsyncConnection.connect(postgres, autocommit=True) as connection:
        await connection.execute(f"alter role nightdesk set {setting} = off".encode())
        try:
            with pytest.raises(StoreError, match=f"{setting} off"):
                await _open(folder, fleet)
        finally:
            await connection.execute(f"alter role nightdesk reset {setting}".encode())


async def test_a_server_that_is_not_there_is_one_line(folder: Path, tmp_path: Path) -> None:
    away = FleetSettings(url=f"postgresql://nightdesk@/postgres?host={tmp_path}", host="here")
    with pytest.raises(StoreUnreachable, match=r"the state database at .* does not answer \(.*\)$") as told:
        await _open(folder, away)
    assert "\n" not in str(told.value)
