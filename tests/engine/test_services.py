"""Who has no usable key, or is set up for another service, supervises nothing that it could neither poll nor cancel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.run import Outcome, Run, RunId, State
from console.engine.engine import Engine
from console.engine.errors import OperationRefused
from console.engine.settings import ProcessKind
from console.provider.contract import Denied, RemoteRun, Unknown
from tests.engine.building import BY, QUICK, EngineHarness, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeProvider
from tests.waiting import until

HERE, ELSEWHERE = "gemini https://one.example v1", "gemini https://two.example v1"
AT_HERE, AT_ELSEWHERE = replace(settings(), service=HERE), replace(settings(), service=ELSEWHERE)
NO_KEY = "the environment variable KEY is not set"


def texts(engine: Engine) -> str:
    return "\n".join(problem.text for problem in engine._context.problems.entries())


async def left_alone(folder: Path, provider: FakeProvider) -> Run:
    """A run of service HERE whose supervisor has left."""
    async with engine_harness(folder, provider, AT_HERE) as first:
        run_id = (await first.launch()).run.id
        return await first.reaches(run_id, State.RUNNING)


async def test_a_run_records_the_service_it_is_launched_at(tmp_path: Path) -> None:
    run = await left_alone(tmp_path, FakeProvider())
    assert run.service == HERE


async def test_a_process_of_another_service_neither_takes_a_run_over_nor_asks_for_it(tmp_path: Path) -> None:
    run = await left_alone(tmp_path, FakeProvider())
    foreign = FakeProvider()
    async with engine_harness(tmp_path, foreign, AT_ELSEWHERE) as here:
        await here.looked()
        assert not here.engine.guarded
        assert f"run {run.id} of {HERE} is not supervised: this process is set up for {ELSEWHERE}" in texts(here.engine)
        stopped = await here.engine.operations.stop(run.id, by=BY)
        assert stopped.state is State.STOPPING, "the request is stored for a process that can send it"
        assert not foreign.agents


async def test_a_process_without_a_key_takes_nothing_over_until_it_has_one(tmp_path: Path) -> None:
    provider = FakeProvider()
    run = await left_alone(tmp_path, provider)
    trouble = [NO_KEY]
    async with engine_harness(tmp_path, provider, AT_HERE, key_trouble=lambda: trouble[0] if trouble else None) as here:
        await here.looked()
        assert not here.engine.guarded
        assert f"run {run.id} is not supervised here: {NO_KEY}" in texts(here.engine)
        trouble.clear()
        await until(lambda: here.engine.guarded == {run.id})
        await until(lambda: NO_KEY not in texts(here.engine))


async def test_a_process_without_a_key_leaves_the_schedule_to_others(tmp_path: Path) -> None:
    task = a_task(schedule="* * * * *", window="slot")
    use = replace(settings(task, kind=ProcessKind.SERVE), schedules=True)
    async with engine_harness(tmp_path, FakeProvider(), use, key_trouble=lambda: NO_KEY) as keyless:
        await keyless.looked()
        assert (await keyless.engine.queries.snapshot()).scheduler is None
        assert f"nothing is scheduled here: {NO_KEY}" in texts(keyless.engine)
        async with engine_harness(tmp_path, FakeProvider(), use) as other:
            await other.looked()
            scheduler = (await other.engine.queries.snapshot()).scheduler
            assert scheduler is not None
            assert scheduler.mine


class DenyingProvider(FakeProvider):
    """Refuses the key of its process for every poll."""

    def __init__(self, inner: FakeProvider) -> None:
        super().__init__()
        self.agents = inner.agents

    async def get(self, remote_id: str) -> RemoteRun:
        raise Denied("401: API key not valid")


async def test_a_run_whose_key_is_refused_goes_to_a_process_that_may_do_better(tmp_path: Path) -> None:
    provider = FakeProvider()
    run = await left_alone(tmp_path, provider)
    async with engine_harness(tmp_path, DenyingProvider(provider), AT_HERE) as refused:
        await until(lambda: refused.engine.guarded == {run.id})
        await refused.looked()
        assert refused.engine.guarded == {run.id}, "with nobody else alive it is kept"
        async with engine_harness(tmp_path, provider, AT_HERE) as other:
            await until(lambda: other.engine.guarded == {run.id})
            await refused.looked()
            assert not refused.engine.guarded
            await other.engine.operations.stop(run.id, by=BY)
            assert (await other.engine.wait(run.id)).outcome is Outcome.CANCELLED


async def test_only_a_process_of_its_service_settles_an_unconfirmed_run(tmp_path: Path) -> None:
    provider = FakeProvider()
    provider.verdicts.append(Unknown(why="no answer"))
    async with engine_harness(tmp_path, provider, AT_HERE) as first:
        run_id = (await first.launch()).run.id
        await first.reaches(run_id, State.UNCONFIRMED)
        async with engine_harness(tmp_path, FakeProvider(), AT_ELSEWHERE) as other:
            with pytest.raises(OperationRefused, match="this process is set up for"):
                await other.engine.operations.settle_not_launched(run_id, by=BY, reason="looked")


async def test_a_claim_is_not_sent_to_another_service_than_it_was_made_for(tmp_path: Path) -> None:
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider, replace(AT_HERE, kind=ProcessKind.COMMAND)) as command:
        run_id: RunId = (await command.launch()).run.id
    async with engine_harness(tmp_path, FakeProvider(), AT_ELSEWHERE) as other:
        await other.looked()
        assert (await other.run(run_id)).state is State.CLAIMED, "it is left to a process of its service"
    async with engine_harness(tmp_path, provider, AT_HERE, timings=QUICK) as here:
        await _reaches_running(here, run_id)


async def _reaches_running(here: EngineHarness, run_id: RunId) -> None:
    assert (await here.reaches(run_id, State.RUNNING)).service == HERE
