"""The adapter against the simulated service where it behaves as was seen live, or as its documents leave open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from console.domain.run import Ending
from console.domain.server_limit import MoneyLimit
from console.provider.contract import ProviderError, Refused, RemoteRun, StatusClass
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from tests.provider.contract.services import RUN_KEY, SERVICES, ContractHarness
from tests.provider.examples import quick
from tests.provider.simulated import ENDLESS, QUICK
from tests.waiting import until

SERVICE = next(one for one in SERVICES if one.kind == "anthropic")
ONE_CENT = MoneyLimit(cents=1, currency="USD")


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread(face="anthropic") as running:
        yield running


@pytest.fixture
async def harness(simulator: SimulatorThread) -> AsyncIterator[ContractHarness]:
    """A service without sessions, and its adapter."""
    simulator.state.reset()
    simulator.state.default = QUICK
    provider = SERVICE.adapter(simulator.url, quick())
    yield ContractHarness(service=SERVICE, provider=provider, simulator=simulator)
    await provider.aclose()
    simulator.state.clear_faults()


async def test_a_session_that_stays_running_at_its_limit_is_interrupted(harness: ContractHarness) -> None:
    harness.state.set_faults(["budget.hangs"])
    harness.state.default = Scenario(steps=400, step_seconds=0.01, tokens_per_step=1_000)
    remote_id = await harness.launched(server_limit=ONE_CENT)

    async def has_spent_it() -> bool:
        usage = (await harness.provider.get(remote_id)).usage
        return usage is not None and ONE_CENT.is_reached(usage)

    await until(has_spent_it, what="the limit is reached")
    assert (await harness.provider.get(remote_id)).status_class is StatusClass.LIVE
    with pytest.raises(Refused):
        await harness.provider.discard(remote_id)
    await harness.provider.cancel(remote_id)
    assert (await harness.ended(remote_id)).ending is Ending.SERVER_LIMIT


async def test_a_reason_that_is_listed_late_is_waited_for(harness: ContractHarness) -> None:
    harness.state.set_faults({"idle.late": {"value": 2.0}})
    remote_id = await harness.launched()
    seen: list[RemoteRun] = []

    async def is_over() -> bool:
        seen.append(await harness.provider.get(remote_id))
        return seen[-1].status_class is StatusClass.TERMINAL

    await until(is_over, what="the end of the run")
    assert seen[-1].ending is Ending.OK
    assert any((run.status, run.status_class) == ("idle", StatusClass.LIVE) for run in seen)


async def test_a_failed_run_may_take_its_session_along(harness: ContractHarness) -> None:
    harness.state.set_faults(["session.failed"])
    run = await harness.ended(await harness.launched(prompt='#sim {"ending": "failed"}'))
    assert (run.status, run.ending) == ("terminated", Ending.FAILED)
    assert run.errors


async def test_a_session_that_waits_for_its_client_is_archived(harness: ContractHarness) -> None:
    remote_id = await harness.launched(prompt='#sim {"ending": "requires_action"}')

    async def is_parked() -> bool:
        return (await harness.provider.get(remote_id)).status_class is StatusClass.PARKED

    await until(is_parked, what="the run is parked")
    assert (await harness.provider.cancel(remote_id)).said == "archived"
    run = await harness.provider.get(remote_id)
    assert (run.status, run.ending) == ("terminated: requires_action", Ending.CANCELLED)
    await harness.provider.discard(remote_id)
    assert harness.state.live(RUN_KEY) == 0


async def test_a_stop_that_comes_too_late_keeps_the_ending(harness: ContractHarness) -> None:
    remote_id = await harness.launched()
    await until(lambda: harness.state.live(RUN_KEY) == 0, what="the run has finished")
    await harness.provider.cancel(remote_id)
    assert (await harness.provider.get(remote_id)).ending is Ending.OK


async def test_figures_that_are_told_at_the_end_only(harness: ContractHarness) -> None:
    harness.state.set_faults(["usage.absent_midrun"])
    run = await harness.ended(await harness.launched())
    assert run.usage is not None
    assert run.usage.total == harness.state.view(run.remote_id).tokens.total


async def test_figures_that_are_never_told(harness: ContractHarness) -> None:
    harness.state.set_faults(["usage.absent"])
    assert (await harness.ended(await harness.launched())).usage is None


@pytest.mark.parametrize("fault", ["sse.gaps", "sse.noise", "sse.drop", "sse.reset", "sse.error", "sse.silence"])
async def test_a_stream_that_misbehaves_changes_no_figure(harness: ContractHarness, fault: str) -> None:
    harness.state.set_faults([fault])
    remote_id = await harness.launched()

    async def followed() -> None:
        async with aclosing(harness.provider.follow(remote_id)) as events:
            async for event in events:
                assert event.usage is None or event.usage.total <= truth()

    def truth() -> int:
        return harness.state.view(remote_id).tokens.total

    following = asyncio.ensure_future(followed())
    run = await harness.ended(remote_id)
    following.cancel()
    for outcome in await asyncio.gather(following, return_exceptions=True):
        assert outcome is None or isinstance(outcome, ProviderError | asyncio.CancelledError), outcome
    assert run.usage is not None
    assert (run.usage.total, run.ending) == (truth(), Ending.OK)
    assert [step.index for step in run.steps] == list(range(4))


async def test_two_readers_of_one_session_agree(harness: ContractHarness) -> None:
    """One that follows the stream and polls, and one that comes late, as after a take-over."""
    harness.state.default = Scenario(steps=30, step_seconds=0.01, tokens_per_step=1_000)
    remote_id = await harness.launched()
    async for _ in harness.provider.follow(remote_id):
        await harness.provider.get(remote_id)
    late = SERVICE.adapter(harness.simulator.url, quick())
    first, second = await harness.provider.get(remote_id), await late.get(remote_id)
    await late.aclose()
    assert (first.usage, first.ending, first.result) == (second.usage, second.ending, second.result)
    assert [(step.kind, step.text) for step in first.steps] == [(step.kind, step.text) for step in second.steps]


async def test_a_session_that_is_deleted_while_it_is_followed(harness: ContractHarness) -> None:
    harness.state.default = ENDLESS
    remote_id = await harness.launched()
    await harness.provider.cancel(remote_id)
    await harness.ended(remote_id)
    await harness.provider.discard(remote_id)
    with pytest.raises(ProviderError):
        await harness.provider.get(remote_id)
    with pytest.raises(ProviderError):
        async for _ in harness.provider.follow(remote_id):
            pass
