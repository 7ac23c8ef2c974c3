"""Eight processes want ten thousand launches, the caps have room for a thousand: a thousand go, and not one more."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from console.domain.guardrails import Caps, Standing
from console.store.launches import ClaimKind
from console.store.prepare import prepare
from console.store.store import Store
from tests.clock import ManualClock
from tests.races.claimers import claim_each, look_then_hold, unlimited_but
from tests.races.heat import race
from tests.store.building import BUDGET

PROCESSES = 8
WANTED = 10_000
ROOM = 1_000


async def books(folder: Path, caps: Caps) -> dict[str, Standing]:
    now = ManualClock().now()
    store = await Store.open(folder, now=now)
    standings = await store.ledger.standings(caps, now)
    await store.close()
    return {standing.cap.value: standing for standing in standings}


@pytest.mark.parametrize(
    ("caps", "cap"),
    [
        (unlimited_but(daily_units=ROOM * BUDGET), "daily_units"),
        (unlimited_but(daily_runs=ROOM // 10), "daily_runs"),
        (unlimited_but(concurrent_runs=ROOM // 10), "concurrent_runs"),
    ],
    ids=["units", "runs", "slots"],
)
def test_exactly_as_many_as_there_is_room_for(folder: Path, caps: Caps, cap: str) -> None:
    wanted = WANTED if cap == "daily_units" else WANTED // 10
    room = ROOM if wanted == WANTED else ROOM // 10
    targets = [f"target-{number}" for number in range(wanted)]
    prepare(folder, now=ManualClock().now(), read_only=False, busy_ms=1_000)
    answers = race(claim_each, [(folder, targets[number::PROCESSES], caps) for number in range(PROCESSES)])
    assert answers == {ClaimKind.CLAIMED.value: room, ClaimKind.REFUSED.value: wanted - room}
    standings = asyncio.run(books(folder, caps))
    assert (standings[cap].held, standings[cap].left) == (room * (BUDGET if cap == "daily_units" else 1), 0)
    assert standings["daily_units"].held == room * BUDGET
    with closing(sqlite3.connect(folder / "nightdesk.db")) as database:
        rows = database.execute("select count(*), sum(amount) from holds where state = 'open'").fetchone()
        assert rows == (room, room * BUDGET)
        launched = "select count(distinct key) from runs where state = 'claimed'"
        assert database.execute(launched).fetchone() == (room,)


def test_looking_before_holding_overshoots(tmp_path: Path) -> None:
    """A race that the naive way wins too would prove nothing."""
    database, room = tmp_path / "naive.db", 20
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table holds (amount integer)")
        connection.commit()
    answers = race(look_then_hold, [(database, 50, room * BUDGET)] * PROCESSES)
    assert answers[ClaimKind.CLAIMED.value] > room, "the naive way did not overshoot"
