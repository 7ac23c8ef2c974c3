"""Launches through a trigger: paused, limited in time at the service, and found again when their answer is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest

from console.domain.run import Ending
from console.provider.contract import Absent, Found, Invalid, Launched, LostLaunch, ProviderError, StatusClass, Unknown
from console.provider.gemini.adapter import GeminiProvider
from console.provider.gemini.trigger import PreparedTrigger, TriggerProvider
from console.provider.http.secret import Secret
from console.simulator.faults import FaultSpec
from console.simulator.scenario import Ending as ScenarioEnding
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.provider.contract.services import LABELS
from tests.provider.examples import KEY, order
from tests.waiting import until

ENDLESS = Scenario(step_seconds=1.0, tokens_per_step=100, ending=ScenarioEnding.NEVER)


@pytest.fixture
def service() -> Iterator[SimulatorThread]:
    with SimulatorThread(SimulatorState(default=ENDLESS)) as simulator:
        yield simulator


@pytest.fixture
async def provider(service: SimulatorThread) -> AsyncIterator[TriggerProvider]:
    provider = TriggerProvider(GeminiProvider(base_url=service.url, secret=Secret(KEY)))
    yield provider
    await provider.aclose()


def lost(prepared_id: str) -> LostLaunch:
    return LostLaunch(prepared_id=prepared_id, labels=LABELS, sent_ms=0)


async def test_a_prepared_trigger_is_paused_and_has_the_limit_of_the_run(
    service: SimulatorThread, provider: TriggerProvider
) -> None:
    prepared_id = await provider.prepare(order(labels=LABELS, max_ms=90_500))
    prepared = PreparedTrigger.parse(prepared_id)
    assert prepared is not None
    assert prepared.prepared_id == prepared_id
    (left,) = await provider.unstarted()
    assert (left.prepared_id, dict(left.labels)) == (prepared_id, LABELS)
    address = f"{service.url}/v1beta/triggers/{prepared.trigger_id}"
    async with httpx.AsyncClient(headers={"x-goog-api-key": KEY}) as client:
        shown = (await client.get(address)).json()
    assert (shown["status"], shown["execution_timeout_seconds"]) == ("paused", 91)
    assert service.state.started() == 0


async def test_the_service_ends_a_run_at_the_limit_of_the_trigger(
    service: SimulatorThread, provider: TriggerProvider
) -> None:
    """Nobody cancels it, as if this machine were off."""
    asked = order(labels=LABELS, max_ms=90_000)
    verdict = await provider.create(replace(asked, prepared_id=await provider.prepare(asked)))
    assert isinstance(verdict, Launched)
    service.state.advance(89)
    assert (await provider.get(verdict.remote_id)).status_class is StatusClass.LIVE
    service.state.advance(2)
    assert (await provider.get(verdict.remote_id)).ending is Ending.CANCELLED
    assert service.state.live() == 0


@pytest.mark.parametrize("fault", ["create.lost_reply", "create.503_but_done", "trigger.lag"])
async def test_a_launch_without_an_answer_is_found(
    service: SimulatorThread, provider: TriggerProvider, fault: str
) -> None:
    prepared_id = await provider.prepare(order(labels=LABELS))
    service.state.set_faults((fault,))
    verdict = await provider.create(replace(order(labels=LABELS), prepared_id=prepared_id))
    assert isinstance(verdict, Unknown)
    found: list[object] = []

    async def is_found() -> bool:
        found.append(await provider.resolve(lost(prepared_id)))
        return isinstance(found[-1], Found)

    await until(is_found, what="the interaction of the execution")
    assert found[-1] == Found(remote_id=service.state.runs()[0].id)


@pytest.mark.parametrize("faults", [("create.dropped",), ("create.lost_reply", "trigger.unlisted")])
async def test_what_the_list_does_not_show_proves_nothing(
    service: SimulatorThread, provider: TriggerProvider, faults: FaultSpec
) -> None:
    """The trigger stays: to delete it would prove nothing either."""
    prepared_id = await provider.prepare(order(labels=LABELS))
    service.state.set_faults(faults)
    await provider.create(replace(order(labels=LABELS), prepared_id=prepared_id))
    assert await provider.resolve(lost(prepared_id)) == Absent()
    assert await provider.prepared_exists(prepared_id)


async def test_a_discarded_trigger_ends_its_run_and_is_gone(
    service: SimulatorThread, provider: TriggerProvider
) -> None:
    prepared_id = await provider.prepare(order(labels=LABELS))
    await provider.create(replace(order(labels=LABELS), prepared_id=prepared_id))
    assert service.state.live() == 1
    await provider.discard(prepared_id)
    assert service.state.live() == 0
    assert not await provider.prepared_exists(prepared_id)
    assert await provider.unstarted() == ()


@pytest.mark.parametrize("fault", ["trigger.404", "trigger.501", "trigger.400"])
async def test_a_service_without_triggers_is_refused_and_leaves_no_sandbox(
    service: SimulatorThread, provider: TriggerProvider, fault: str
) -> None:
    service.state.set_faults((fault,))
    with pytest.raises(Invalid):
        await provider.prepare(order(labels=LABELS))
    assert service.state.stats()["environments_made"] == len(service.state.environments.deleted) == 1


async def test_a_trigger_that_cannot_be_paused_is_deleted(service: SimulatorThread, provider: TriggerProvider) -> None:
    service.state.set_faults({"trigger.403": {"skip": 1, "first": 1}})
    with pytest.raises(ProviderError):
        await provider.prepare(order(labels=LABELS))
    assert await provider.unstarted() == ()


async def test_a_run_of_a_direct_launch_is_handled_as_before(
    service: SimulatorThread, provider: TriggerProvider
) -> None:
    """The config may have been changed while it is live."""
    direct = GeminiProvider(base_url=service.url, secret=Secret(KEY))
    sandbox_id = await direct.prepare(order(labels=LABELS))
    assert isinstance(await provider.create(replace(order(labels=LABELS), prepared_id=sandbox_id)), Launched)
    assert await provider.prepared_exists(sandbox_id)
    await provider.discard(sandbox_id)
    await direct.aclose()
    assert service.state.live() == 0
