"""What only PostgreSQL can do to a unit of work: lose the answer to its commit, or its process inside of the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from console.domain.launch import LaunchKind
from console.domain.run import State, StopReason
from console.store.errors import StoreError, StoreMissing, StoreRefused, StoreUnreachable
from console.store.fleet_settings import FleetSettings
from console.store.postgres.database import PostgresDatabase
from console.store.postgres.line import Line
from console.store.postgres.schema import check_usable, migrate, packaged_migrations
from console.store.rows import fetch_all, fetch_batch
from console.store.transaction import Statement, Transaction
from tests.clock import ManualClock
from tests.store.harness import BY, open_harness

INSERT = "insert into meta (name, value) values (:name, 'x')"


@pytest.fixture
async def database(fleet: FleetSettings, tmp_path: Path) -> AsyncIterator[PostgresDatabase]:
    """An open database with a store of its own."""
    opened = PostgresDatabase(tmp_path, fleet)
    yield opened
    await opened.close()


async def _insert(tx: Transaction) -> None:
    await fetch_all(tx, INSERT, {"name": "probe"})


async def _is_stored(database: PostgresDatabase) -> bool:
    return bool(await database.read(lambda tx: fetch_all(tx, "select 1 from meta where name = 'probe'", {})))


def _at_commit(database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, strike: Callable[..., Any]) -> None:
    """Have `strike(connection, execute)` run in place of the next commit."""
    execute = psycopg.AsyncConnection.execute
    struck = False

    async def at_commit(self: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal struck
        if query == "commit" and not struck:
            struck = True
            return await strike(self, execute)
        return await execute(self, query, *arguments, **named)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", at_commit)


async def test_a_commit_whose_answer_is_lost_is_found_to_be_stored(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def strike(connection: Any, execute: Any) -> None:
        await execute(connection, "commit")
        await connection.close()
        raise psycopg.OperationalError("the connection is lost")

    _at_commit(database, monkeypatch, strike)
    await database.transaction(_insert)
    assert await _is_stored(database)


async def test_a_connection_that_is_lost_before_the_commit_stores_nothing(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def strike(connection: Any, execute: Any) -> None:
        await connection.close()
        raise psycopg.OperationalError("the connection is lost")

    _at_commit(database, monkeypatch, strike)
    with pytest.raises(StoreError, match="does not answer"):
        await database.transaction(_insert)
    assert not await _is_stored(database)
    await database.transaction(_insert)
    assert await _is_stored(database)


async def test_a_batch_gives_the_rows_of_each_statement_and_ends_at_the_first_that_fails(
    database: PostgresDatabase,
) -> None:
    one = Statement("insert into meta (name, value) values ('probe', :value) returning value", {"value": "1"})
    every = Statement("select value from meta where name = 'probe'")
    assert await database.transaction(lambda tx: fetch_batch(tx, every, one, every)) == [
        [],
        [{"value": "1"}],
        [{"value": "1"}],
    ]
    with pytest.raises(StoreRefused):
        await database.transaction(lambda tx: fetch_batch(tx, every, one, every))


async def test_gated_units_of_two_processes_run_one_after_the_other(
    database: PostgresDatabase, fleet: FleetSettings, tmp_path: Path
) -> None:
    """Read, decide, write: without the gate both would count from the same number."""
    other = PostgresDatabase(tmp_path, fleet)

    async def count(tx: Transaction) -> None:
        (row,) = await fetch_all(tx, "select count(*) as n from meta where name like 'count:%'", {})
        await fetch_all(tx, INSERT, {"name": f"count:{row['n']}"})

    try:
        await asyncio.gather(*(each.transaction(count) for _ in range(50) for each in (database, other)))
        (row,) = await database.read(
            lambda tx: fetch_all(tx, "select count(*) as n from meta where name like 'count:%'", {})
        )
        assert row["n"] == 100
    finally:
        await other.close()


async def test_a_claim_is_eight_round_trips(
    fleet: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a network they are what a claim costs, and the gate is held for all of them but the first."""
    harness = await open_harness(tmp_path / "state", fleet=fleet)
    await harness.claimed(target="before")
    trips: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        method = getattr(Line, name)

        def call(*arguments: Any, **named: Any) -> Any:
            trips.append(name)
            return method(*arguments, **named)

        return call

    for name in ("rows", "many", "batch", "script", "commit"):
        monkeypatch.setattr(Line, name, counted(name))
    await harness.claimed(target="now")
    assert len(trips) <= 8, trips
    await harness.store.close()


async def test_a_stop_does_not_wait_for_a_process_that_is_stuck_inside_of_the_gate(
    database: PostgresDatabase, fleet: FleetSettings, tmp_path: Path
) -> None:
    harness = await open_harness(tmp_path / "state", fleet=fleet)
    run = await harness.running()
    is_inside, may_go_on = asyncio.Event(), asyncio.Event()

    async def stuck(tx: Transaction) -> None:
        is_inside.set()
        await may_go_on.wait()

    holder = asyncio.create_task(database.transaction(stuck))
    await is_inside.wait()
    claim = asyncio.create_task(harness.claim(target="other"))
    stopped = await harness.store.runs.request_stop(run.id, reason=StopReason.TIMEOUT, by=BY, now=harness.now)
    tried = await harness.store.runs.record_stop_try(stopped, answer="ok", trouble="", now=harness.now)
    assert (tried.state, tried.stop is not None and tried.stop.tries) == (State.STOPPING, 1)
    assert not claim.done()
    # The server ends the session that does nothing inside of the gate.
    assert (await claim).kind is LaunchKind.LAUNCHED
    assert not holder.done()
    may_go_on.set()
    with pytest.raises(StoreUnreachable):
        await holder
    await harness.store.close()


async def test_a_cancelled_caller_leaves_whole_units(database: PostgresDatabase) -> None:
    is_half_done, may_go_on = asyncio.Event(), asyncio.Event()

    async def both(tx: Transaction) -> None:
        await fetch_all(tx, INSERT, {"name": "probe"})
        is_half_done.set()
        await may_go_on.wait()
        await fetch_all(tx, INSERT, {"name": "second"})

    caller = asyncio.create_task(database.transaction(both))
    await is_half_done.wait()
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    rows = await database.read(lambda tx: fetch_all(tx, "select name from meta where name in ('probe', 'second')", {}))
    assert len(rows) == 2
    assert not database.in_transaction


def test_a_schema_is_made_once_and_checked(postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        with pytest.raises(StoreMissing, match="store init"):
            check_usable(connection, "nothing_here")
        assert migrate(connection, "made_here", ManualClock().now()) == len(packaged_migrations())
        assert migrate(connection, "made_here", ManualClock().now()) == 0
        check_usable(connection, "made_here")
        connection.execute("set synchronous_commit = off")
        with pytest.raises(StoreError, match="synchronous_commit off"):
            check_usable(connection, "made_here")
