"""A run, of every service: read to its end with its usage, stopped with proof, and never ended by a fault."""

from __future__ import annotations

import pytest

from console.domain.run import Ending
from console.domain.server_limit import MoneyLimit, ServerLimitKind, TokenLimit
from console.provider.contract import Denied, NotFound, ProviderError, Refused, StatusClass
from console.provider.traits import DiscardUse, UsageReport
from console.simulator.scenario import Scenario
from tests.provider.contract.services import LABELS, RUN_KEY, ContractHarness
from tests.provider.contract.test_launch import NETWORK_FAULTS
from tests.provider.simulated import ENDLESS
from tests.waiting import until


async def test_a_run_from_launch_to_end(harness: ContractHarness) -> None:
    remote_id = await harness.launched()
    run = await harness.ended(remote_id)
    truth = harness.state.view(harness.state.runs(RUN_KEY)[0].id)
    assert (run.ending, run.remote_id) == (Ending.OK, remote_id)
    assert run.usage is not None
    assert run.usage.total == truth.tokens.total > 0
    assert run.usage.cached > 0
    assert LABELS.items() <= run.labels.items()
    assert run.result
    assert run.steps
    assert not run.is_unstarted
    assert (run.usage.told_micro is not None) == harness.provider.traits.tells_money


async def test_a_run_that_fails_names_its_error(harness: ContractHarness) -> None:
    run = await harness.ended(await harness.launched(prompt='#sim {"ending": "failed"}'))
    assert run.ending is Ending.FAILED
    assert run.errors


async def test_the_usage_of_a_live_run(harness: ContractHarness) -> None:
    if harness.provider.traits.usage is not UsageReport.LIVE:
        return
    harness.state.default = ENDLESS
    remote_id = await harness.launched()
    async for event in harness.provider.follow(remote_id):
        if event.usage is not None and event.usage.total > 0:
            break
    else:
        pytest.fail("the stream ended without any usage")


async def test_a_run_that_waits_for_its_client_is_parked(harness: ContractHarness) -> None:
    remote_id = await harness.launched(prompt='#sim {"ending": "requires_action"}')

    async def is_parked() -> bool:
        return (await harness.provider.get(remote_id)).status_class is StatusClass.PARKED

    await until(is_parked, what="the run is parked")


async def test_a_cancel_ends_the_run_and_proves_it(harness: ContractHarness) -> None:
    harness.state.default = ENDLESS
    remote_id = await harness.launched()
    assert (await harness.provider.get(remote_id)).ending is None
    await harness.provider.cancel(remote_id)
    await harness.provider.cancel(remote_id)
    assert (await harness.ended(remote_id)).ending is Ending.CANCELLED
    assert harness.state.live(RUN_KEY) == 0


async def test_a_cancel_without_effect_is_no_end(harness: ContractHarness) -> None:
    harness.state.default = ENDLESS
    remote_id = await harness.launched()
    harness.state.set_faults(["cancel.never"])
    await harness.provider.cancel(remote_id)
    assert (await harness.provider.get(remote_id)).ending is None
    assert harness.state.live(RUN_KEY) == 1


async def test_a_discard_while_it_runs(harness: ContractHarness) -> None:
    harness.state.default = ENDLESS
    order = await harness.prepared()
    await harness.provider.create(order)
    assert order.prepared_id is not None
    match harness.provider.traits.discard:
        case DiscardUse.MAY_STOP:
            await harness.provider.discard(order.prepared_id)
            assert harness.state.live(RUN_KEY) == 0
        case DiscardUse.AFTER_STOP:
            with pytest.raises(Refused):
                await harness.provider.discard(order.prepared_id)
            assert harness.state.live(RUN_KEY) == 1


async def test_the_limit_at_the_service_ends_the_run(harness: ContractHarness) -> None:
    kind = harness.provider.traits.server_limit
    if kind is ServerLimitKind.NONE:
        return
    limit = TokenLimit(tokens=3_000) if kind is ServerLimitKind.TOKENS else MoneyLimit(cents=1, currency="USD")
    harness.state.default = Scenario(steps=400, step_seconds=0.01, tokens_per_step=1_000)
    run = await harness.ended(await harness.launched(server_limit=limit))
    assert run.usage is not None
    assert limit.is_reached(run.usage)
    assert run.ending in (Ending.SERVER_LIMIT, Ending.INCOMPLETE)


@pytest.mark.parametrize("fault", [name for name in NETWORK_FAULTS if name != "no_id"])
async def test_no_fault_of_a_poll_looks_like_an_end(harness: ContractHarness, fault: str) -> None:
    harness.state.default = ENDLESS
    remote_id = await harness.launched()
    harness.state.set_faults([f"get.{fault}"])
    with pytest.raises(ProviderError):
        await harness.provider.get(remote_id)


@pytest.mark.parametrize("fault", ["503", "reset", "half_body", "garbage_bytes"])
async def test_a_poll_survives_one_fault(harness: ContractHarness, fault: str) -> None:
    remote_id = await harness.launched()
    harness.state.set_faults({f"get.{fault}": {"first": 1}})
    assert (await harness.provider.get(remote_id)).remote_id == remote_id


async def test_errors_of_a_poll_say_what_is_wrong(harness: ContractHarness) -> None:
    with pytest.raises(NotFound):
        await harness.provider.get("nothing-of-that-name")
    remote_id = await harness.launched()
    for status in (401, 403):
        harness.state.set_faults([f"get.{status}"])
        with pytest.raises(Denied):
            await harness.provider.get(remote_id)
        harness.state.clear_faults()
