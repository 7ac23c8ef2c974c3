"""A process without a usable key, or configured for another service, does not supervise runs it could not cancel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.run import Outcome, Run, RunId, State
from console.engine.engine import Engine
from console.engine.errors import OperationRefused
from console.engine.settings import ProcessKind
from console.provider.contract import Denied, NotFound, ProviderError, RemoteRun, Unknown
from tests.engine.building import BY, QUICK, EngineHarness, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeProvider
from tests.waiting import until

HERE, ELSEWHERE = "gemini https://one.example v1", "gemini https://two.example v1"
AT_HERE, AT_ELSEWHERE = settings(service=HERE), settings(service=ELSEWHERE)
NO_KEY = "the environment variable KEY is not set"


def texts(engine: Engine) -> str:
    return "\n".join(problem.text for problem in engine._context.problems.entries())


async def abandoned_run(folder: Path, provider: FakeProvider) -> Run:
    """Return a running run of service HERE whose process has exited."""
    async with engine_harness(folder, provider, AT_HERE) as first:
        run_id = (await first.launch()).run.id
        return await first.reaches(run_id, State.RUNNING)


async def test_a_run_records_the_service_that_it_is_launched_on(tmp_path: Path) -> None:
    run = await abandoned_run(tmp_path, FakeProvider())
    assert run.service == HERE


async def test_a_process_of_another_service_neither_takes_over_nor_polls_a_run(tmp_path: Path) -> None:
    run = await abandoned_run(tmp_path, FakeProvider())
    foreign = FakeProvider()
    async with engine_harness(tmp_path, foreign, AT_ELSEWHERE) as here:
        await here.next_tick()
        assert not here.engine.guarded
        assert f"run {run.id} of {HERE} is not supervised: this process is set up for {ELSEWHERE}" in texts(here.engine)
        stopped = await here.engine.operations.stop(run.id, by=BY)
        assert stopped.state is State.STOPPING, "the request is stored for a process that can send it"
        assert not foreign.agents


async def test_a_process_without_a_key_takes_over_nothing_until_it_has_one(tmp_path: Path) -> None:
    provider = FakeProvider()
    run = await abandoned_run(tmp_path, provider)
    trouble = [NO_KEY]
    async with engine_harness(
        tmp_path, provider, AT_HERE, key_trouble=lambda name: trouble[0] if trouble else None
    ) as here:
        await here.next_tick()
        assert not here.engine.guarded
        assert f"run {run.id} is not supervised here: {NO_KEY}" in texts(here.engine)
        trouble.clear()
        await until(lambda: here.engine.guarded == {run.id})
        await until(lambda: NO_KEY not in texts(here.engine))


async def test_a_process_without_a_key_does_not_schedule(tmp_path: Path) -> None:
    task = a_task(schedule="* * * * *", window="slot")
    use = replace(settings(task, kind=ProcessKind.SERVE), schedules=True)
    async with engine_harness(tmp_path, FakeProvider(), use, key_trouble=lambda name: NO_KEY) as keyless:
        await keyless.next_tick()
        assert (await keyless.engine.queries.snapshot()).scheduler is None
        assert f"nothing is scheduled here: {NO_KEY}" in texts(keyless.engine)
        async with engine_harness(tmp_path, FakeProvider(), use) as other:
            await other.next_tick()
            scheduler = (await other.engine.queries.snapshot()).scheduler
            assert scheduler is not None
            assert scheduler.mine


class DenyingProvider(FakeProvider):
    """Refuses the key at every poll."""

    def __init__(self, inner: FakeProvider, error: ProviderError) -> None:
        super().__init__()
        self.agents = inner.agents
        self.error = error

    async def get(self, remote_id: str) -> RemoteRun:
        raise self.error


@pytest.mark.parametrize("error", [Denied("401: API key not valid"), NotFound("404: no such interaction")], ids=repr)
async def test_a_run_that_a_key_cannot_reach_is_handed_to_another_process(tmp_path: Path, error: ProviderError) -> None:
    """Of the key of another account a service says the one or the other."""
    provider = FakeProvider()
    run = await abandoned_run(tmp_path, provider)
    async with engine_harness(tmp_path, DenyingProvider(provider, error), AT_HERE) as refused:
        await until(lambda: refused.engine.guarded == {run.id})
        await refused.next_tick()
        assert refused.engine.guarded == {run.id}, "the run is kept while no other process is alive"
        async with engine_harness(tmp_path, provider, AT_HERE) as other:
            await until(lambda: other.engine.guarded == {run.id})
            await refused.next_tick()
            assert not refused.engine.guarded
            await other.engine.operations.stop(run.id, by=BY)
            assert (await other.engine.wait(run.id)).outcome is Outcome.CANCELLED


async def test_only_a_process_of_the_same_service_settles_an_unconfirmed_run(tmp_path: Path) -> None:
    provider = FakeProvider()
    provider.verdicts.append(Unknown(why="no answer"))
    async with engine_harness(tmp_path, provider, AT_HERE) as first:
        run_id = (await first.launch()).run.id
        await first.reaches(run_id, State.UNCONFIRMED)
        async with engine_harness(tmp_path, FakeProvider(), AT_ELSEWHERE) as other:
            with pytest.raises(OperationRefused, match="this process is set up for"):
                await other.engine.operations.settle_not_launched(run_id, by=BY, reason="looked")


async def test_a_claim_is_sent_only_to_the_service_that_it_was_made_for(tmp_path: Path) -> None:
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider, replace(AT_HERE, kind=ProcessKind.COMMAND)) as command:
        run_id: RunId = (await command.launch()).run.id
    async with engine_harness(tmp_path, FakeProvider(), AT_ELSEWHERE) as other:
        await other.next_tick()
        assert (await other.run(run_id)).state is State.CLAIMED, "the claim is left to a process of its service"
    async with engine_harness(tmp_path, provider, AT_HERE, timings=QUICK) as here:
        await _reaches_running(here, run_id)


async def _reaches_running(here: EngineHarness, run_id: RunId) -> None:
    assert (await here.reaches(run_id, State.RUNNING)).service == HERE
