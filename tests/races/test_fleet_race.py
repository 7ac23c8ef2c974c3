"""Eight processes claim the same keys, or more than a cap has room for, on one database, directly and by a pooler."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from console.demo.postgres_server import server_folder
from console.domain.launch import LaunchKind
from console.store.fleet_settings import FleetSettings
from tests.postgres_server import QUIET, new_store
from tests.races.claimers import unlimited_but
from tests.races.fleet_claimers import check_then_insert, claim_in_fleet
from tests.races.processes import FORKED, race
from tests.reporting import report
from tests.store.harness import BUDGET
from tests.waiting import until_sync

PROCESSES = 8
RIVALS = 3
"""Each key is wanted by so many processes."""
POOLER = "/usr/sbin/pgbouncer"
CONFIG = """
[databases]
postgres = host={server} port=5432 user=nightdesk pool_size=4
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = 6432
auth_type = any
pool_mode = transaction
logfile = {folder}/log
"""


@contextmanager
def pooler(url: str) -> Iterator[str]:
    """A pooler that gives each transaction one of four sessions; yields its URL."""
    with server_folder() as (folder, user):
        config = folder / "pgbouncer.ini"
        config.write_text(CONFIG.format(server=parse_qs(urlsplit(url).query)["host"][0], folder=folder))
        running = subprocess.Popen([POOLER, config], user=user, **QUIET)
        try:
            until_sync((folder / ".s.PGSQL.6432").exists, what="the pooler")
            yield f"postgresql://nightdesk@/postgres?host={folder}&port=6432"
        finally:
            running.terminate()
            running.wait(30)


@pytest.fixture(params=["direct", "pooled"])
def racing(request: pytest.FixtureRequest, postgres: str) -> Iterator[FleetSettings]:
    """A new store, and how the processes reach it."""
    with new_store(postgres) as settings:
        if request.param == "direct":
            yield settings
        else:
            with pooler(postgres) as url:
                yield replace(settings, url=url, pooled=True)


def test_each_key_is_launched_once(racing: FleetSettings, postgres: str, tmp_path: Path) -> None:
    _keys(racing, postgres, tmp_path, keys=240)


def test_exactly_as_many_as_there_is_room_for(racing: FleetSettings, postgres: str, tmp_path: Path) -> None:
    _caps(racing, postgres, tmp_path, wanted=160, room=40)


@pytest.mark.soak
def test_each_of_ten_thousand_keys_is_launched_once(racing: FleetSettings, postgres: str, tmp_path: Path) -> None:
    _keys(racing, postgres, tmp_path, keys=10_000)


@pytest.mark.soak
def test_a_thousand_of_ten_thousand(racing: FleetSettings, postgres: str, tmp_path: Path) -> None:
    _caps(racing, postgres, tmp_path, wanted=10_000, room=1_000)


def _keys(racing: FleetSettings, postgres: str, place: Path, *, keys: int) -> None:
    seed = random.randrange(2**32)
    wanted = [[key for key in range(keys) if (key + number) % PROCESSES < RIVALS] for number in range(PROCESSES)]
    racers = [(place / str(n), racing, each, unlimited_but(), seed + n) for n, each in enumerate(wanted)]
    answers = race(claim_in_fleet, racers, FORKED)
    report(f"seed {seed}: {answers}")
    assert answers == {LaunchKind.LAUNCHED.value: keys, LaunchKind.SKIPPED.value: (RIVALS - 1) * keys}
    launched = "select count(*), count(distinct key), (select count(*) from events where ev is not null) from runs"
    assert _row(racing, postgres, f"{launched} where state = 'claimed'") == (keys, keys, (RIVALS - 1) * keys)


def _caps(racing: FleetSettings, postgres: str, place: Path, *, wanted: int, room: int) -> None:
    caps = unlimited_but(daily_units=room * BUDGET + BUDGET - 1)
    shares = [range(number, wanted, PROCESSES) for number in range(PROCESSES)]
    answers = race(claim_in_fleet, [(place / str(n), racing, each, caps, n) for n, each in enumerate(shares)], FORKED)
    assert answers == {LaunchKind.LAUNCHED.value: room, LaunchKind.REFUSED.value: wanted - room}
    assert _row(racing, postgres, "select count(*), sum(amount) from holds") == (room, room * BUDGET)
    assert _row(racing, postgres, "select sum(held) from day_sums") == (room * BUDGET,)


@pytest.mark.parametrize("limit", [1, 3], ids=["a key", "a cap"])
def test_reading_before_writing_passes_it(postgres: str, limit: int) -> None:
    """The controls: where the naive way stays within it too, the races show nothing."""
    table, rounds = f"naive_{os.urandom(4).hex()}", 10
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"create table {table} (key integer)".encode())
    answers = race(check_then_insert, [(postgres, table, rounds, limit)] * 4, FORKED)
    assert answers[LaunchKind.LAUNCHED.value] > limit * rounds, "the naive way did not pass it"


def _row(racing: FleetSettings, postgres: str, sql: str) -> tuple[object, ...] | None:
    path = f"-c search_path={racing.schema}"
    with psycopg.connect(postgres, autocommit=True, options=path) as connection:
        return connection.execute(sql.encode()).fetchone()
