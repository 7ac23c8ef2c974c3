"""What the schema refuses, whichever process or version writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from console.domain.run import NEXT, Outcome, Run, State
from console.store.fleet_settings import FleetSettings
from console.store.postgres.database import PostgresDatabase
from console.store.pragmas import database_uri
from tests.store.harness import OPEN_STATES, StoreHarness, run_in

KEY_TAKEN = r"UNIQUE constraint failed: runs\.key|runs_key_taken"
SENT_ALREADY = r"UNIQUE constraint failed: sends\.run_id|sends_one"
A_RAISE = """
    insert into raises (cap, amount, by, reason, at_ms, "window")
    values ('daily_runs', 1, 'x', 'y', 0, '2026-11-23')
"""


class Raw(Protocol):
    """A plain connection to the database, without the checks of this program."""

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> object:
        """Runs a statement, whose parameters are `?`."""


class RawPostgres:
    """The same on PostgreSQL."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> object:
        """See `Raw`."""
        return self._connection.execute(sql.replace("?", "%s").encode(), tuple(parameters) or None)


@pytest.fixture
def raw(harness: StoreHarness, folder: Path) -> Iterator[Raw]:
    """A connection to the database of the test."""
    if isinstance(harness.store.database, PostgresDatabase):
        settings = harness.store.database.settings
        path = f"-c search_path={settings.schema}"
        with psycopg.connect(settings.conninfo, autocommit=True, options=path) as opened:
            yield RawPostgres(opened)
        return
    with closing(sqlite3.connect(database_uri(folder), uri=True, isolation_level=None)) as connection:
        connection.execute("pragma foreign_keys = on")
        yield connection


async def _others(harness: StoreHarness, *but: str) -> str:
    """The columns of `runs` without some of them, for a statement."""
    rows = await harness.store.database.read(lambda tx: tx.rows("select * from runs limit 1"))
    return ", ".join(name for name in dict(rows[0]) if name not in but)


@pytest.fixture
async def run(harness: StoreHarness) -> Run:
    """A running run with a send, a hold and events."""
    return await harness.running()


def refuses(raw: Raw, match: str, sql: str, *parameters: object) -> None:
    """Assert that the statement fails with this message."""
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError, psycopg.DataError), match=match):
        raw.execute(sql, parameters)


async def test_a_second_run_of_an_open_key(harness: StoreHarness, raw: Raw) -> None:
    for state in OPEN_STATES:
        run = await run_in(harness, state)
        others = await _others(harness, "seq", "id", "attempt", "owner")
        copy = (
            f"insert into runs (id, attempt, {others}) select 'x' || substr(id, 2), 99, {others} from runs where id=?"
        )
        refuses(raw, KEY_TAKEN, copy, run.id)
        harness.task = replace(harness.task, name=state.value, target=state.value)


async def test_a_second_run_that_ended_ok(harness: StoreHarness, raw: Raw) -> None:
    run = await harness.ended(Outcome.OK)
    others = await _others(harness, "seq", "id", "attempt")
    copy = f"insert into runs (id, attempt, {others}) select 'x' || substr(id, 2), 2, {others} from runs where id=?"
    refuses(raw, KEY_TAKEN, copy, run.id)


@pytest.mark.parametrize("state", OPEN_STATES)
async def test_every_edge_that_the_state_table_does_not_have(harness: StoreHarness, raw: Raw, state: State) -> None:
    run = await run_in(harness, state)
    for to in State:
        if to not in NEXT[state] and to is not state:
            refuses(raw, "no such edge", "update runs set state = ? where id = ?", to.value, run.id)


async def test_changing_what_has_ended(harness: StoreHarness, raw: Raw) -> None:
    run = await harness.ended(Outcome.FAILED)
    for column, value in (("state", "running"), ("outcome", "ok"), ("used", 0), ("result", "x"), ("fence", 9)):
        refuses(raw, "final", f"update runs set {column} = ? where id = ?", value, run.id)
    refuses(raw, "only a run that ended ok", "update runs set superseded_by = id where id = ?", run.id)
    raw.execute("update runs set retry_at_ms = 5 where id = ?", (run.id,))


async def test_a_fence_that_goes_back_and_an_identity_that_changes(run: Run, raw: Raw) -> None:
    raw.execute("update runs set fence = 7 where id = ?", (run.id,))
    refuses(raw, "never decreases", "update runs set fence = 6 where id = ?", run.id)
    for column in ("id", "key", "task", "attempt", "budget", "max_ms", "fingerprint", "origin"):
        refuses(raw, "never changes", f"update runs set {column} = {column} where id = ?", run.id)


async def test_a_second_stop_over_the_first(harness: StoreHarness, raw: Raw) -> None:
    run = await harness.stopping()
    for change in ("stop_reason = 'timeout'", "stop_by = 'eve'", "stop_at_ms = 1"):
        refuses(raw, "first stop wins", f"update runs set {change} where id = ?", run.id)


@pytest.mark.parametrize("table", ["runs", "sends", "holds", "events", "stage_changes", "raises"])
async def test_deleting_what_is_a_record(harness: StoreHarness, raw: Raw, table: str) -> None:
    await harness.proposed()
    raw.execute(A_RAISE)
    await harness.running(date="2026-11-24")
    refuses(raw, "never (deleted|changed)", f"delete from {table}")


@pytest.mark.proofs
async def test_emptying_a_table_at_once(fleet: FleetSettings) -> None:
    path = f"-c search_path={fleet.schema}"
    async with await psycopg.AsyncConnection.connect(fleet.conninfo, autocommit=True, options=path) as connection:
        for table in ("runs", "sends", "holds", "events", "stage_changes", "raises"):
            with pytest.raises(psycopg.IntegrityError, match="never deleted"):
                await connection.execute(f"truncate {table} cascade".encode())


@pytest.mark.sqlite
async def test_a_number_that_is_no_integer(run: Run, raw: Raw) -> None:
    """PostgreSQL rounds it."""
    refuses(raw, "cannot store", "update runs set used = 1.5 where id = ?", run.id)


async def test_rewriting_what_is_a_record(harness: StoreHarness, raw: Raw) -> None:
    await harness.proposed()
    raw.execute(A_RAISE)
    refuses(raw, "never changed", "update stage_changes set after = 'manual'")
    refuses(raw, "never changed", "update raises set amount = 2")
    refuses(raw, "never changed", 'update events set detail = \'{"by":"eve"}\'')
    refuses(raw, "never changed", "update events set ev = ev")


async def test_a_second_try_while_the_first_may_be_an_agent(harness: StoreHarness, raw: Raw) -> None:
    again = "insert into sends (run_id, n, fence, verdict, at_ms) values (?, 2, 1, 'open', 0)"
    run = await harness.sending()
    refuses(raw, SENT_ALREADY, again, run.id)
    run = await harness.launch(run)
    refuses(raw, SENT_ALREADY, again, run.id)
    for verdict in ("open", "not_sent", "unknown", "rejected"):
        refuses(raw, "verdict on a send is final", "update sends set verdict = ?", verdict)


async def test_an_unknown_verdict_becomes_only_what_the_operator_may_rule(harness: StoreHarness, raw: Raw) -> None:
    await harness.unconfirmed()
    for verdict in ("open", "not_sent", "rejected", "unknown"):
        refuses(raw, "final", "update sends set verdict = ?", verdict)
    raw.execute("update sends set verdict = 'ruled_not_launched'")
    refuses(raw, "final", "update sends set verdict = 'launched'")


async def test_a_hold_that_ends_twice_or_changes(harness: StoreHarness, run: Run, raw: Raw) -> None:
    for change in ("amount = 1", "day = '2026-11-24'", "task = 'other'", "state = 'open'"):
        refuses(raw, "ends exactly once", f"update holds set {change} where run_id = ?", run.id)
    await harness.settle(run)
    refuses(raw, "ends exactly once", "update holds set state = 'released', settled = null where run_id = ?", run.id)
    born_ended = "insert into holds values ('01abc', 't', '2026-11-23', 1, 'settled', 1, 0, 0)"
    refuses(raw, "starts open", born_ended)


async def test_a_gap_in_the_numbers_of_the_log(harness: StoreHarness, run: Run, raw: Raw) -> None:
    newest = len(await harness.records())
    insert = "insert into events (at_ms, kind, ev, record) values (0, 'x', ?, '{}')"
    refuses(raw, "without gaps", insert, newest + 2)
    refuses(raw, "without gaps", insert, newest)
    raw.execute(insert, (newest + 1,))


@pytest.mark.parametrize(
    "change",
    ["state = 'lost'", "outcome = 'fine'", "used = -1", "used = 'much'", "used = null", "stage = '2'"],
)
async def test_values_outside_their_lists(run: Run, raw: Raw, change: str) -> None:
    refuses(raw, "constraint|cannot store|no such edge|invalid input", f"update runs set {change} where id = ?", run.id)


@pytest.mark.parametrize(
    "change", ["remote_id = null", "sent_ms = null", "claimed_ms = null", "outcome = 'ok'", "ended_ms = 1"]
)
async def test_a_state_without_what_it_stands_on(run: Run, raw: Raw, change: str) -> None:
    refuses(raw, "(?i)check constraint", f"update runs set {change} where id = ?", run.id)


async def test_a_supersession_by_a_run_that_is_not_there(harness: StoreHarness, raw: Raw) -> None:
    run = await harness.ended(Outcome.OK)
    refuses(raw, "(?i)foreign key", "update runs set superseded_by = 'nobody' where id = ?", run.id)
