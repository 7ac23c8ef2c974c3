"""Eight processes ask for ten thousand launches at three services; the caps have room for a thousand."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from console.domain.caps import Caps, CapUsage
from console.domain.launch import LaunchKind
from console.store.bootstrap import prepare_store
from console.store.store import Store
from tests.clock import ManualClock
from tests.races.claimers import PROVIDERS, claim_each, read_then_hold, unlimited_but
from tests.races.processes import race
from tests.store.harness import BUDGET

PROCESSES = 8
WANTED = 10_000
ROOM = 1_000


async def books(folder: Path, caps: Caps) -> dict[str, CapUsage]:
    now = ManualClock().now()
    store = await Store.open(folder, now=now)
    cap_usages = await store.ledger.cap_usages(caps, now)
    await store.close()
    return {cap_usage.cap.value: cap_usage for cap_usage in cap_usages}


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
    prepare_store(folder, now=ManualClock().now(), read_only=False, busy_ms=1_000)
    shares = [targets[number::PROCESSES] for number in range(PROCESSES)]
    racers = [(folder, share, caps, PROVIDERS[number % 3]) for number, share in enumerate(shares)]
    answers = race(claim_each, racers)
    assert answers == {LaunchKind.LAUNCHED.value: room, LaunchKind.REFUSED.value: wanted - room}
    cap_usages = asyncio.run(books(folder, caps))
    assert (cap_usages[cap].held, cap_usages[cap].left) == (room * (BUDGET if cap == "daily_units" else 1), 0)
    assert cap_usages["daily_units"].held == room * BUDGET
    with closing(sqlite3.connect(folder / "nightdesk.db")) as database:
        rows = database.execute("select count(*), sum(amount) from holds where state = 'open'").fetchone()
        assert rows == (room, room * BUDGET)
        launched = "select count(distinct key) from runs where state = 'claimed'"
        assert database.execute(launched).fetchone() == (room,)


def test_reading_before_holding_overshoots(tmp_path: Path) -> None:
    """The control: where the naive way stays within the cap too, the race shows nothing."""
    database, room = tmp_path / "naive.db", 20
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table holds (amount integer)")
        connection.commit()
    answers = race(read_then_hold, [(database, 50, room * BUDGET)] * PROCESSES)
    assert answers[LaunchKind.LAUNCHED.value] > room, "the naive way did not overshoot"
