"""A failover that loses acknowledged launches is found and stops all launches; one that loses nothing delays them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.launch import LaunchKind
from console.domain.run import RunId, State
from console.engine.errors import StoreError, StoreOlder
from console.engine.settings import ProcessKind
from tests.engine.building import CAPS, QUICK, settings
from tests.engine.fake_provider import FakeProvider
from tests.fleet.building import Host, host
from tests.fleet.failover_servers import FailoverServers, failover_servers
from tests.postgres_server import new_store
from tests.waiting import until

pytestmark = pytest.mark.proofs

SERVE = settings(kind=ProcessKind.SERVE, caps=replace(CAPS, concurrent_runs=100))
TIMINGS = replace(QUICK, failover_hold_ms=2_000)


@pytest.fixture
def servers() -> Iterator[FailoverServers]:
    with failover_servers() as made:
        yield made


async def launched(one: Host, target: str) -> RunId:
    run = (await one.launch(target=target)).run
    await one.reaches(run.id, State.RUNNING)
    return run.id


async def fail_over(servers: FailoverServers) -> None:
    await asyncio.to_thread(servers.crash)
    await asyncio.to_thread(servers.promote)


async def is_paused(one: Host) -> bool:
    try:
        return await one.store.controls.paused() is not None
    except StoreError:
        return False


@pytest.mark.parametrize("lost", range(1, 6))
async def test_launches_that_a_lagging_standby_lost_are_found_and_put_back(
    servers: FailoverServers, tmp_path: Path, lost: int
) -> None:
    await lose_and_put_back(servers, tmp_path, lost)


@pytest.mark.soak
@pytest.mark.parametrize("lost", range(6, 26))
async def test_many_launches_that_a_lagging_standby_lost_are_found_and_put_back(
    servers: FailoverServers, tmp_path: Path, lost: int
) -> None:
    await lose_and_put_back(servers, tmp_path, lost)


async def lose_and_put_back(servers: FailoverServers, tmp_path: Path, lost: int) -> None:
    """Promote a standby that lacks the last `lost` launches, and go the way that the operator goes."""
    provider = FakeProvider()
    with new_store(servers.url) as fleet:
        async with (
            host(fleet, tmp_path / "one", provider, SERVE, timings=TIMINGS) as one,
            host(fleet, tmp_path / "two", provider, SERVE, timings=TIMINGS) as two,
        ):
            kept = await launched(one, "kept")
            await asyncio.to_thread(servers.copy, synchronous=False)
            gone = [await launched(one, f"lost-{number}") for number in range(lost)]
            await fail_over(servers)
            await until(lambda: is_paused(two), what="the kill switch for the fleet")
            assert (await one.store.runs.get(kept)) is not None
            assert [await one.store.runs.get(run_id) for run_id in gone] == [None] * lost
            assert one.engine.failover is not None
            assert two.engine.failover is not None
            found = await one.engine.failover.loss()
            assert found is not None
            assert [intent.run_id for intent in found.launches] == gone
            with pytest.raises(StoreOlder, match="the database went back: line"):
                await one.launch(target="lost-0")
            # Another host holds the copy of the log.
            with pytest.raises(StoreOlder, match=r"the database (went back|failed over)"):
                await two.launch(target="lost-0")

            back, refused = await one.engine.failover.reclaim()
            assert ([run.id for run in back], refused) == (gone, ())
            for run_id in gone:
                await one.reaches(run_id, State.RUNNING)
            for each in (one, two):
                assert each.engine.failover is not None
                await each.engine.failover.accept(by="sam", why="looked at the service")
                assert await each.engine.failover.loss() is None
            await one.engine.operations.resume(by="sam")
            await until(lambda: all(each.engine.failover and each.engine.failover.may_send() for each in (one, two)))
            again = await one.launch(target="lost-0")
            assert (again.kind, again.holder and again.holder.id) == (LaunchKind.SKIPPED, gone[0])
            await launched(two, "new")
            await one.next_tick()
            assert not await is_paused(one)
            assert len(provider.orders) == lost + 2, "no key was sent twice"


async def test_a_synchronous_standby_loses_nothing_and_launches_only_wait(
    servers: FailoverServers, tmp_path: Path
) -> None:
    provider = FakeProvider()
    with new_store(servers.url) as fleet:
        await asyncio.to_thread(servers.copy, synchronous=True)
        async with host(fleet, tmp_path / "one", provider, SERVE, timings=TIMINGS) as one:
            runs = [await launched(one, f"kept-{number}") for number in range(5)]
            await fail_over(servers)
            assert one.engine.failover is not None
            with pytest.raises(StoreOlder, match="launches wait until every host has compared its journal"):
                await one.launch(target="next")
            assert await one.engine.failover.loss() is None
            assert all([await one.store.runs.get(run_id) for run_id in runs])
            await until(one.engine.failover.may_send)
            await launched(one, "next")
            assert not await is_paused(one)
