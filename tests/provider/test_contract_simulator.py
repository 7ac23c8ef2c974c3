"""The adapter against the simulator over real sockets; the simulator knows what it has really started.

For each fault: at most one POST, a verdict that frees the key only if nothing started, and a launch only with the id of
the run that did start.
"""

from __future__ import annotations

import pytest

from console.domain.server_limit import TokenLimit
from console.provider.contract import (
    Launched,
    NotFound,
    NotSent,
    RateLimited,
    Rejected,
    StatusClass,
    Unavailable,
    Unknown,
    Unsupported,
)
from console.provider.gemini.adapter import GeminiProvider
from console.simulator.faults import FaultSpec, Switch
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.provider.simulated import ENDLESS, THE_KEY, ended, launched, made, ordered
from tests.waiting import until


async def test_a_run_from_launch_to_end(service: SimulatorThread, adapter: GeminiProvider) -> None:
    sandbox = await adapter.prepare(ordered(network='"disabled"'))
    verdict = await adapter.create(ordered(prepared_id=sandbox))
    assert isinstance(verdict, Launched)
    assert verdict.prepared_id == sandbox
    run = await ended(adapter, verdict.remote_id)
    truth = service.state.view(verdict.remote_id)
    assert (run.status, run.status_class) == ("completed", StatusClass.TERMINAL)
    assert run.usage is not None
    assert run.usage.total == truth.tokens.total > 0
    assert run.usage.cached > 0
    assert run.labels == {"nightdesk-key": THE_KEY}
    assert run.prepared_id == sandbox
    assert run.result
    assert run.steps
    assert (service.state.posts(), service.state.started()) == (1, 1)


@pytest.mark.parametrize("ending", ["completed", "failed", "incomplete", "budget_exceeded"])
async def test_each_ending(service: SimulatorThread, adapter: GeminiProvider, ending: str) -> None:
    remote_id = await launched(adapter, prompt=f'#sim {{"ending": "{ending}"}}')
    run = await ended(adapter, remote_id)
    assert run.status == ending
    assert bool(run.errors) == (ending == "failed")


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("requires_action", StatusClass.PARKED),
        ("requires_continuation", StatusClass.PARKED),
        ("unknown", StatusClass.UNKNOWN),
    ],
)
async def test_statuses_that_are_no_ending(service: SimulatorThread, ending: str, expected: StatusClass) -> None:
    adapter = made(service)
    remote_id = await launched(adapter, prompt=f'#sim {{"ending": "{ending}"}}')

    async def shown() -> bool:
        return (await adapter.get(remote_id)).status_class is expected

    await until(shown)
    await adapter.aclose()


async def test_the_token_limit_arrives_and_holds(service: SimulatorThread) -> None:
    adapter = made(service)
    remote_id = await launched(adapter, server_limit=TokenLimit(tokens=1500))
    run = await ended(adapter, remote_id)
    assert run.status == "incomplete"
    assert run.usage is not None
    assert run.usage.uncached >= 1500
    await adapter.aclose()


REFUSALS = [400, 401, 402, 403, 404, 413, 416, 422]
STATUSES = [300, 307, *REFUSALS, 405, 408, 409, 418, 429, 451, 499, 500, 502, 503, 504, 599]
FORMS = ["err.old", "err.new", "err.array", "err.html", "err.empty"]


async def judged(service: SimulatorThread, faults: FaultSpec, *, create_s: float = 10.0) -> object:
    """Return the verdict of one create under `faults`, after checking it against the state of the service."""
    service.state.set_faults(faults)
    adapter = made(service, create_s=create_s)
    verdict = await adapter.create(ordered())
    state = service.state
    assert state.posts(THE_KEY) <= 1
    match verdict:
        case NotSent() | RateLimited() | Rejected():
            assert state.started(THE_KEY) == 0
        case Launched():
            assert [run.id for run in state.runs(THE_KEY)] == [verdict.remote_id]
    return verdict


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", STATUSES)
async def test_each_status_at_create_in_each_form(service: SimulatorThread, status: int, form: str) -> None:
    verdict = await judged(service, [f"create.{status}", form])
    if form in ("err.html", "err.empty"):
        assert isinstance(verdict, Unknown)
    elif status == 429:
        assert isinstance(verdict, RateLimited)
    elif status in REFUSALS:
        assert isinstance(verdict, Rejected)
    else:
        assert isinstance(verdict, Unknown)


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [("retry_after", 7.0), ("retry_after_ms", 7.0), ("retry_after_date", 7.0), ("retryinfo", 7.0), ("bare", None)],
)
async def test_each_form_of_a_requested_wait(service: SimulatorThread, fault: str, seconds: float | None) -> None:
    verdict = await judged(service, {f"create.429.{fault}": {"value": 7.0}})
    assert isinstance(verdict, RateLimited)
    if seconds is None:
        assert verdict.retry_after_s is None
    else:
        assert verdict.retry_after_s == pytest.approx(seconds, abs=1.0)


async def test_a_slow_answer_within_the_deadline_counts(service: SimulatorThread) -> None:
    assert isinstance(await judged(service, {"create.slow": 0.05}), Launched)


@pytest.mark.parametrize("tools", ['{"type":"nonsense"}'])
async def test_what_the_service_refuses_is_rejected(service: SimulatorThread, tools: str) -> None:
    adapter = made(service)
    verdict = await adapter.create(ordered(tools=(tools,)))
    assert isinstance(verdict, Rejected)
    assert verdict.http_status == 400
    verdict = await adapter.create(ordered(environment="no-such-sandbox"))
    assert isinstance(verdict, Rejected)
    assert service.state.started() == 0


async def test_a_run_that_cannot_be_found(service: SimulatorThread, adapter: GeminiProvider) -> None:
    with pytest.raises(NotFound):
        await adapter.get("v1_nothing")
    remote_id = await launched(adapter)
    service.state.set_faults(["get.404_forever"])
    with pytest.raises(NotFound):
        await adapter.get(remote_id)


@pytest.mark.parametrize("switch", ["", "cancel.404_slash", "cancel.404_colon"])
async def test_a_cancel_in_whichever_form_is_known(
    service: SimulatorThread, adapter: GeminiProvider, switch: str
) -> None:
    service.state.default = ENDLESS
    if switch:
        service.state.set_faults([switch])
    remote_id = await launched(adapter)
    assert (await adapter.cancel(remote_id)).accepted
    assert (await ended(adapter, remote_id)).status == "cancelled"


async def test_a_cancel_in_no_known_form_and_one_that_comes_too_late(service: SimulatorThread) -> None:
    adapter = made(service)
    remote_id = await launched(adapter)
    service.state.set_faults(["cancel.404_both"])
    answer = await adapter.cancel(remote_id)
    assert not answer.accepted
    assert "knows no cancel" in answer.said
    service.state.clear_faults()
    await ended(adapter, remote_id)
    assert (await adapter.cancel(remote_id)).said == "completed"
    service.state.set_faults([Switch.CANCEL_TERMINAL_400])
    answer = await adapter.cancel(remote_id)
    assert not answer.accepted
    assert "failed_precondition" in answer.said
    assert not (await adapter.cancel("v1_nothing")).accepted
    await adapter.aclose()


async def test_a_service_that_makes_no_sandboxes(service: SimulatorThread) -> None:
    adapter = made(service)
    service.state.set_faults(["env_create.501"])
    with pytest.raises(Unsupported):
        await adapter.prepare(ordered())
    service.state.clear_faults()
    service.state.set_faults(["env_create.503"])
    with pytest.raises(Unavailable):
        await adapter.prepare(ordered())
    await adapter.aclose()


async def test_another_key_is_refused() -> None:
    with SimulatorThread(SimulatorState(api_key="the right key for it")) as strict:
        adapter = made(strict)
        verdict = await adapter.create(ordered())
        assert isinstance(verdict, Rejected)
        assert strict.state.started() == 0
        await adapter.aclose()
