"""A guard that was robbed learns it from whichever write comes first, and never writes under its successor's fence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.domain.run import Reason, Run, State
from console.engine.errors import LostRun, StoreBusy
from console.engine.keeping import Change, Keeper
from console.engine.parts import Parts, Problems, Scribe
from console.journal.launches import LaunchJournal
from console.journal.writer import LogWriter
from tests.clock import ManualClock
from tests.engine.building import QUICK, settings
from tests.engine.fake_provider import FakeProvider
from tests.inline import inline_connection, inline_store
from tests.store.building import Bench, open_bench

NEXT_OWNER = "b" * 32


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = await open_bench(tmp_path / "state", ManualClock())
    yield bench
    await bench.store.close()


def keeper_of(bench: Bench, run: Run, folder: Path, unstored: Change | None = None) -> Keeper:
    problems = Problems()
    parts = Parts(
        store=bench.store,
        scribe=Scribe(bench.store, LogWriter(folder / "runs.log"), problems),
        launches=LaunchJournal(folder / "launch.journal"),
        provider=FakeProvider(),
        clock=bench.clock,
        settings=settings(bench.task),
        owner=run.owner or "",
        problems=problems,
        pacing=QUICK,
    )
    return Keeper(parts, run, unstored=unstored)


async def robbed(bench: Bench, run: Run) -> None:
    assert await bench.store.runs.take_over(run, owner=NEXT_OWNER, now=bench.now) is not None


async def test_a_stop_that_is_stored_for_a_successor_is_no_row_of_ours(bench: Bench, tmp_path: Path) -> None:
    """`request_stop` is open to any process and gives back the row as it is: with the fence of another."""
    run = await bench.running()
    keeper = keeper_of(bench, run, tmp_path)
    await robbed(bench, run)
    with pytest.raises(LostRun):
        await keeper.ask_stop(Reason.TIMEOUT)
    assert keeper.run.fence == run.fence


async def test_a_try_to_cancel_that_is_stored_for_a_successor_is_no_row_of_ours(bench: Bench, tmp_path: Path) -> None:
    run = await bench.stopping()
    keeper = keeper_of(bench, run, tmp_path)
    await robbed(bench, run)
    with pytest.raises(LostRun):
        await keeper.write(lambda r: bench.store.runs.record_stop_try(r, answer="200", trouble="", now=bench.now))
    assert keeper.run.fence == run.fence


async def test_what_could_not_be_stored_is_not_stored_for_a_successor(bench: Bench, tmp_path: Path) -> None:
    run = await bench.running()

    async def stop(row: Run) -> Run:
        return await bench.store.runs.request_stop(row.id, reason=Reason.TIMEOUT, by="nightdesk", now=bench.now)

    keeper = keeper_of(bench, run, tmp_path, stop)
    await robbed(bench, run)
    with pytest.raises(LostRun):
        await keeper.write(lambda r: bench.store.runs.record_alarm(r, bench.now))
    assert (await bench.run(run)).state is State.RUNNING


async def test_what_is_owed_is_stored_once_though_the_next_write_fails(tmp_path: Path) -> None:
    """First the launch, then the stop: the store takes one write and fails again."""
    works = [True, True]
    connection = inline_connection()

    async def between(what: str) -> None:
        if what == "before write" and not (works.pop(0) if works else True):
            raise StoreBusy("the state store is busy")

    bench = Bench(inline_store(tmp_path, connection, between), ManualClock())
    run = await bench.sending()

    async def launch(row: Run) -> Run:
        return await bench.launch(row)

    keeper = keeper_of(bench, run, tmp_path, launch)
    works += [False]
    await keeper.ask_stop(Reason.TIMEOUT)
    assert keeper.run.state is State.STOPPING, "it is stopped, stored or not"
    works += [True, False]
    assert not await keeper.write(lambda row: bench.store.runs.record_alarm(row, bench.now))
    assert (await bench.run(run)).state is State.RUNNING
    assert await keeper.write(lambda row: bench.store.runs.record_alarm(row, bench.now))
    assert (await bench.run(run)).state is State.STOPPING
    connection.close()
