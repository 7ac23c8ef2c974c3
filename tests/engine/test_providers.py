"""Two providers in one engine: each run is started, polled and stopped at the service of its task, under one cap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from console.domain.launch import LaunchKind
from console.domain.run import Outcome, State
from console.domain.server_limit import ServerLimitKind, TokenLimit
from console.engine.settings import EngineSettings, ServiceSettings
from tests.engine.building import BY, CAPS, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeProvider

ONE, OTHER = "gemini https://one.example v1", "agents https://other.example v1"


def two_services(**changes: object) -> EngineSettings:
    """Return settings with a task at each of two services; `changes` replace other settings."""
    tasks = (a_task("here"), replace(a_task("there"), provider="other"))
    services = (
        ServiceSettings(poll_ms=20, service=ONE),
        ServiceSettings(name="other", poll_ms=20, service=OTHER, server_limit=ServerLimitKind.NONE),
    )
    return replace(settings(*tasks), services=services, **changes)  # type: ignore[arg-type]  # any setting


async def test_each_run_is_launched_and_stopped_at_the_service_of_its_task(tmp_path: Path) -> None:
    one, other = FakeProvider(), FakeProvider()
    async with engine_harness(tmp_path, one, two_services(), others={"other": other}) as here:
        here_id, there_id = (await here.launch("here")).run.id, (await here.launch("there")).run.id
        for run_id in (here_id, there_id):
            await here.reaches(run_id, State.RUNNING)
        assert (len(one.orders), len(other.orders)) == (1, 1)
        first, second = await here.run(here_id), await here.run(there_id)
        assert (first.service, second.service) == (ONE, OTHER)
        assert isinstance(first.limits.server_limit, TokenLimit)
        assert second.limits.server_limit is None
        assert other.orders[0].server_limit is None
        await here.engine.operations.stop(there_id, by=BY)
        assert (await here.engine.wait(there_id)).outcome is Outcome.CANCELLED
        (agent,), (other_agent,) = one.agents.values(), other.agents.values()
        assert (agent.cancels, other_agent.cancels >= 1) == (0, True)
        agent.status = "completed"
        assert (await here.engine.wait(here_id)).outcome is Outcome.OK


async def test_a_process_takes_over_the_runs_of_both_services(tmp_path: Path) -> None:
    one, other = FakeProvider(), FakeProvider()
    async with engine_harness(tmp_path, one, two_services(), others={"other": other}) as here:
        run_id = (await here.launch("there")).run.id
        await here.reaches(run_id, State.RUNNING)
    async with engine_harness(tmp_path, one, two_services(), others={"other": other}) as here:
        (agent,) = other.agents.values()
        agent.status = "completed"
        assert (await here.engine.wait(run_id)).outcome is Outcome.OK


async def test_a_process_with_the_key_of_one_service_leaves_the_runs_of_the_other_alone(tmp_path: Path) -> None:
    one, other = FakeProvider(), FakeProvider()
    async with engine_harness(tmp_path, one, two_services(), others={"other": other}) as here:
        run_id = (await here.launch("there")).run.id
        await here.reaches(run_id, State.RUNNING)
    foreign = FakeProvider()

    def trouble(name: str) -> str | None:
        return "no key for other" if name == "other" else None

    async with engine_harness(tmp_path, one, two_services(), others={"other": foreign}, key_trouble=trouble) as here:
        await here.next_tick()
        assert run_id not in here.engine.guarded
        run = (await here.launch("here")).run
        await here.reaches(run.id, State.RUNNING)
    assert not foreign.orders


async def test_one_cap_holds_over_all_providers(tmp_path: Path) -> None:
    one, other = FakeProvider(), FakeProvider()
    use = two_services(caps=replace(CAPS, daily_units=75_000))
    async with engine_harness(tmp_path, one, use, others={"other": other}) as here:
        assert (await here.launch("here")).kind is LaunchKind.LAUNCHED
        assert (await here.launch("there")).kind is LaunchKind.REFUSED
    assert not other.orders
