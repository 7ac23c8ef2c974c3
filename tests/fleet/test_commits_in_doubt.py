"""Those that wait for a commit are told what became of it, or that nobody knows; never something wrong."""

from __future__ import annotations

import asyncio
import functools
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from console.store.errors import StoreUnknown, StoreUnreachable
from console.store.fleet_settings import FleetSettings
from console.store.postgres import door, line
from console.store.postgres.database import PostgresDatabase
from console.store.rows import fetch_all
from console.store.transaction import Transaction
from tests.fleet.cutting_proxy import Strike, cutting_proxy
from tests.postgres_server import new_store, postgres_server
from tests.reporting import report
from tests.waiting import until

INSERT = "insert into meta (name, value) values (:name, 'x')"
SELECT = "select name from meta where name like 'commit-%'"
COMMITS = 1_000
AT_ONCE = 8
STANDBY_WAITS = 50
WAITING = "select pid from pg_stat_activity where wait_event = 'SyncRep'"


async def _insert(database: PostgresDatabase, name: str) -> str:
    """What its caller is told of one commit."""

    async def unit(tx: Transaction) -> None:
        await fetch_all(tx, INSERT, {"name": name})

    try:
        await database.transaction(unit, gated=False)
    except StoreUnknown:
        return "unknown"
    except StoreUnreachable:
        return "not stored"
    return "stored"


async def test_no_commit_without_an_answer_is_answered_wrongly(
    fleet: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "WRITE_SILENCE_S", 1.0)
    monkeypatch.setattr(door, "RESOLVE_EVERY_S", 0.05)
    seed = random.randrange(2**32)
    chosen = random.Random(seed)
    struck: Counter[Strike] = Counter()
    told: dict[str, str] = {}

    def strike() -> Strike:
        (kind,) = chosen.choices(list(Strike), weights=[50, 25, 24, 1])
        struck[kind] += 1
        return kind

    async def caller(number: int, url: str) -> None:
        database = PostgresDatabase(tmp_path, replace(fleet, url=url))
        for each in range(number, COMMITS, AT_ONCE):
            told[f"commit-{each}"] = await _insert(database, f"commit-{each}")
        await database.close()

    async with cutting_proxy(_folder_of(fleet.url), tmp_path, strike) as url:
        await asyncio.gather(*(caller(number, url) for number in range(AT_ONCE)))
    stored = await _stored(fleet)
    report(f"seed {seed}: {Counter(told.values())}, {struck}")
    wrong = {name for name, answer in told.items() if answer != "unknown" and (answer == "stored") != (name in stored)}
    assert not wrong
    assert len(told) == COMMITS
    assert min(struck[kind] for kind in Strike) > 0
    assert "unknown" not in told.values()


async def test_a_transaction_of_another_timeline_is_not_believed(
    fleet: FleetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover the number of a transaction is that of another one, or will be."""
    strikes = iter([Strike.PASSES, Strike.ANSWER_LOST])
    async with cutting_proxy(_folder_of(fleet.url), tmp_path, lambda: next(strikes)) as url:
        database = PostgresDatabase(tmp_path, replace(fleet, url=url))
        assert await _insert(database, "commit-1") == "stored"
        monkeypatch.setattr(line, "SELECT_TIMELINE", "select '00000009' as timeline")
        assert await _insert(database, "commit-2") == "unknown"
        await database.close()


async def test_a_wait_for_the_standby_that_was_cancelled_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server reports a success, with a warning. A session that is ended there has committed, but not safely."""
    monkeypatch.setattr(door, "RESOLVE_S", 1.0)
    monkeypatch.setattr(door, "WRITE_SILENCE_S", 1.0)
    with postgres_server() as url, new_store(url) as fleet:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
            await _wait_for_standby(admin, "nobody")
            database = PostgresDatabase(tmp_path, fleet)
            for number in range(STANDBY_WAITS + 1):
                # The last one is ended with its session.
                ending = "pg_cancel_backend" if number < STANDBY_WAITS else "pg_terminate_backend"
                told = asyncio.create_task(_insert(database, f"commit-{number}"))
                await until(functools.partial(_end_one, admin, ending), what="a wait for the standby")
                assert await told == "unknown", number
            assert len(await _stored(fleet)) == STANDBY_WAITS + 1
            await _wait_for_standby(admin, "")
            assert await _insert(database, "commit-last") == "stored"
            await database.close()


async def _wait_for_standby(admin: psycopg.AsyncConnection, name: str) -> None:
    await admin.execute(f"alter system set synchronous_standby_names = '{name}'".encode())
    await admin.execute("select pg_reload_conf()")
    await until(lambda: _shows(admin, name), what="the setting")


async def _shows(admin: psycopg.AsyncConnection, name: str) -> bool:
    row = await (await admin.execute("show synchronous_standby_names")).fetchone()
    return row is not None and row[0] == name


async def _end_one(admin: psycopg.AsyncConnection, ending: str) -> bool:
    """True once a session was found that waits for the standby, and was ended."""
    row = await (await admin.execute(WAITING.encode())).fetchone()
    if row is not None:
        await admin.execute(f"select {ending}({row[0]:d})".encode())
    return row is not None


async def _stored(fleet: FleetSettings) -> set[str]:
    path = f"-c search_path={fleet.schema}"
    async with await psycopg.AsyncConnection.connect(fleet.conninfo, options=path) as connection:
        return {row[0] for row in await (await connection.execute(SELECT.encode())).fetchall()}


def _folder_of(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])
