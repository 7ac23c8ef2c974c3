"""The port kept over real sockets, against a service that knows what it really started.

The law of every cell: at most one POST; a verdict that frees the key only where nothing started; a launch only with
the id of the run that did.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from console.domain.usage import Usage
from console.provider.contract import (
    Gone,
    Launched,
    LaunchOrder,
    NotSent,
    ProviderError,
    RateLimited,
    Rejected,
    RemoteRun,
    StatusClass,
    Step,
    StreamEvent,
    Unavailable,
    Unknown,
    Unsupported,
)
from console.provider.interactions import InteractionsProvider
from console.provider.secret import Secret
from console.simulator.faults import FaultSpec, Switch
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.world import World
from tests.provider.examples import KEY, order, quick
from tests.waiting import until

QUICK = Scenario(steps=4, step_seconds=0.01, tokens_per_step=1000, cached_share=0.3, cancel_seconds=0.02)
ENDLESS = Scenario(ending="never", step_seconds=0.02, cancel_seconds=0.02)  # type: ignore[arg-type]  # a StrEnum's word

THE_KEY = "9f2c51ab03de7714"


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread() as running:
        yield running


@pytest.fixture
async def service(simulator: SimulatorThread) -> AsyncIterator[SimulatorThread]:
    simulator.world.reset()
    simulator.world.default = QUICK
    yield simulator
    simulator.world.clear_faults()


@pytest.fixture(params=["v1", "v1beta"])
async def adapter(service: SimulatorThread, request: pytest.FixtureRequest) -> AsyncIterator[InteractionsProvider]:
    one = made(service, version=request.param)
    yield one
    await one.aclose()


def made(service: SimulatorThread, *, version: str = "v1beta", **bounds: float) -> InteractionsProvider:
    return InteractionsProvider(base_url=service.url, secret=Secret(KEY), api_version=version, bounds=quick(**bounds))


def ordered(**changes: object) -> LaunchOrder:
    return order(**{"prompt": "Write the nightly report.", "labels": {"nightdesk-key": THE_KEY}, **changes})


async def launched(adapter: InteractionsProvider, **changes: object) -> str:
    verdict = await adapter.create(ordered(**changes))
    assert isinstance(verdict, Launched)
    return verdict.remote_id


async def ended(adapter: InteractionsProvider, remote_id: str) -> RemoteRun:
    seen: list[RemoteRun] = []

    async def is_terminal() -> bool:
        seen.append(await adapter.get(remote_id))
        return seen[-1].status_class is StatusClass.TERMINAL

    await until(is_terminal)
    return seen[-1]


async def test_a_run_from_launch_to_end(service: SimulatorThread, adapter: InteractionsProvider) -> None:
    sandbox = await adapter.make_sandbox(network='"disabled"')
    verdict = await adapter.create(ordered(environment=sandbox))
    assert isinstance(verdict, Launched)
    assert verdict.environment_id == sandbox
    run = await ended(adapter, verdict.remote_id)
    truth = service.world.view(verdict.remote_id)
    assert (run.status, run.status_class) == ("completed", StatusClass.TERMINAL)
    assert run.usage is not None
    assert run.usage.total == truth.tokens.total > 0
    assert run.usage.cached > 0
    assert run.labels == {"nightdesk-key": THE_KEY}
    assert run.environment_id == sandbox
    assert run.result
    assert run.steps
    assert (service.world.posts(), service.world.started()) == (1, 1)


@pytest.mark.parametrize("ending", ["completed", "failed", "incomplete", "budget_exceeded"])
async def test_each_ending(service: SimulatorThread, adapter: InteractionsProvider, ending: str) -> None:
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
async def test_what_is_no_ending(service: SimulatorThread, ending: str, expected: StatusClass) -> None:
    adapter = made(service)
    remote_id = await launched(adapter, prompt=f'#sim {{"ending": "{ending}"}}')

    async def shown() -> bool:
        return (await adapter.get(remote_id)).status_class is expected

    await until(shown)
    await adapter.aclose()


async def test_the_belt_arrives_and_holds(service: SimulatorThread) -> None:
    adapter = made(service)
    remote_id = await launched(adapter, max_total_tokens=1500)
    run = await ended(adapter, remote_id)
    assert run.status == "incomplete"
    assert run.usage is not None
    assert run.usage.uncached >= 1500
    await adapter.aclose()


NETWORK_FAULTS = [
    *("lost_reply", "dropped", "reset", "reset_before", "half_headers", "half_body", "garbage", "garbage_bytes"),
    *("empty", "no_id", "silence", "silence_before", "huge", "drip"),
]
REFUSALS = [400, 401, 402, 403, 404, 413, 416, 422]
STATUSES = [300, 307, *REFUSALS, 405, 408, 409, 418, 429, 451, 499, 500, 502, 503, 504, 599]
FORMS = ["err.old", "err.new", "err.array", "err.html", "err.empty"]


async def judged(service: SimulatorThread, faults: FaultSpec) -> object:
    """The verdict of one create under `faults`, held against what the service knows."""
    service.world.set_faults(faults)
    adapter = made(service, create_s=0.3)
    verdict = await adapter.create(ordered())
    world = service.world
    assert world.posts(THE_KEY) <= 1
    match verdict:
        case NotSent() | RateLimited() | Rejected():
            assert world.started(THE_KEY) == 0
        case Launched():
            assert [run.id for run in world.runs(THE_KEY)] == [verdict.remote_id]
    return verdict


@pytest.mark.parametrize("fault", NETWORK_FAULTS)
async def test_each_fault_of_the_network_at_create(service: SimulatorThread, fault: str) -> None:
    assert isinstance(await judged(service, [f"create.{fault}"]), Unknown)


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


@pytest.mark.parametrize("status", [307, 408, 409, 499, 500, 502, 503, 504])
async def test_a_failure_of_a_launch_that_started_is_unknown(service: SimulatorThread, status: int) -> None:
    assert isinstance(await judged(service, [f"create.{status}_but_done"]), Unknown)
    assert service.world.started(THE_KEY) == 1
    assert service.world.calls("elsewhere") == 0


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [("retry_after", 7.0), ("retry_after_ms", 7.0), ("retry_after_date", 7.0), ("retryinfo", 7.0), ("bare", None)],
)
async def test_each_wish_to_wait(service: SimulatorThread, fault: str, seconds: float | None) -> None:
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
    assert service.world.started() == 0


@pytest.mark.parametrize("fault", ["503", "reset", "half_body", "garbage_bytes"])
async def test_a_poll_outlives_one_fault(service: SimulatorThread, fault: str) -> None:
    adapter = made(service)
    remote_id = await launched(adapter)
    service.world.set_faults({f"get.{fault}": {"first": 1}})
    assert (await adapter.get(remote_id)).remote_id == remote_id
    assert service.world.calls("get") == 2
    await adapter.aclose()


@pytest.mark.parametrize("fault", [name for name in NETWORK_FAULTS if name != "no_id"])
async def test_no_fault_of_a_poll_looks_like_an_end(service: SimulatorThread, fault: str) -> None:
    adapter = made(service, call_s=0.3)
    remote_id = await launched(adapter)
    service.world.set_faults([f"get.{fault}"])
    with pytest.raises(Unavailable):
        await adapter.get(remote_id)
    await adapter.aclose()


async def test_a_run_that_cannot_be_found_is_gone(service: SimulatorThread, adapter: InteractionsProvider) -> None:
    with pytest.raises(Gone):
        await adapter.get("v1_nothing")
    remote_id = await launched(adapter)
    service.world.set_faults(["get.404_forever"])
    with pytest.raises(Gone):
        await adapter.get(remote_id)


@pytest.mark.parametrize("switch", ["", "cancel.404_slash", "cancel.404_colon"])
async def test_a_cancel_in_whichever_form_is_known(
    service: SimulatorThread, adapter: InteractionsProvider, switch: str
) -> None:
    service.world.default = ENDLESS
    if switch:
        service.world.set_faults([switch])
    remote_id = await launched(adapter)
    assert (await adapter.cancel(remote_id)).accepted
    assert (await ended(adapter, remote_id)).status == "cancelled"


async def test_a_cancel_that_no_form_knows_and_one_too_late(service: SimulatorThread) -> None:
    adapter = made(service)
    remote_id = await launched(adapter)
    service.world.set_faults(["cancel.404_both"])
    answer = await adapter.cancel(remote_id)
    assert not answer.accepted
    assert "knows no cancel" in answer.said
    service.world.clear_faults()
    await ended(adapter, remote_id)
    assert (await adapter.cancel(remote_id)).said == "completed"
    service.world.set_faults([Switch.CANCEL_TERMINAL_400])
    answer = await adapter.cancel(remote_id)
    assert not answer.accepted
    assert "failed_precondition" in answer.said
    assert not (await adapter.cancel("v1_nothing")).accepted
    await adapter.aclose()


async def test_a_sandbox_from_make_to_delete(service: SimulatorThread, adapter: InteractionsProvider) -> None:
    sandbox = await adapter.make_sandbox(network=None)
    assert await adapter.sandbox_exists(sandbox)
    await adapter.delete_sandbox(sandbox)
    assert not await adapter.sandbox_exists(sandbox)
    await adapter.delete_sandbox(sandbox)
    assert isinstance(await adapter.create(ordered(environment=sandbox)), Rejected)


async def test_a_service_that_makes_no_sandboxes(service: SimulatorThread) -> None:
    adapter = made(service)
    service.world.set_faults(["env_create.501"])
    with pytest.raises(Unsupported):
        await adapter.make_sandbox(network=None)
    service.world.clear_faults()
    service.world.set_faults(["env_create.503"])
    with pytest.raises(Unavailable):
        await adapter.make_sandbox(network=None)
    await adapter.aclose()


async def heard(adapter: InteractionsProvider, remote_id: str) -> list[StreamEvent]:
    return [event async for event in adapter.follow(remote_id)]


def folded(events: list[StreamEvent]) -> tuple[dict[int, Step], Usage]:
    """What a consumer keeps: the last word on each step, the largest figures."""
    steps: dict[int, Step] = {}
    usage = Usage()
    for event in events:
        if event.step is not None:
            steps[event.step.index] = event.step
        if event.usage is not None:
            usage = usage.highest(event.usage)
    return steps, usage


async def test_a_stream_tells_what_a_get_tells(service: SimulatorThread, adapter: InteractionsProvider) -> None:
    """Steps carry the same index, kind and text, whichever way they came."""
    remote_id = await launched(adapter)
    events = await heard(adapter, remote_id)
    run = await ended(adapter, remote_id)
    steps, usage = folded(events)
    assert tuple(steps[index] for index in sorted(steps)) == run.steps
    assert usage == run.usage
    assert events[-1].status == "completed"


STREAM_FAULTS: dict[str, FaultSpec] = {
    "no event ids": ["sse.no_event_id"],
    "cut by an array": {"sse.cut_600": 0.02},
    "bare refusal": ["sse.bare_refusal"],
    "silence": ["sse.silence"],
    "stall": {"sse.stall": 3},
    "drop": {"sse.drop": 3},
    "reset": {"sse.reset": 3},
    "error": {"sse.error": 3},
    "noise": ["sse.noise"],
    "huge line": {"sse.huge_line": 2},
    "more usage": ["sse.more_usage"],
    "late usage": {"usage.late": 2},
    "no usage": ["usage.absent"],
}


@pytest.mark.parametrize("fault", STREAM_FAULTS)
async def test_no_fault_of_a_stream_is_an_error_or_exceeds_the_truth(service: SimulatorThread, fault: str) -> None:
    adapter = made(service, silence_s=0.3)
    remote_id = await launched(adapter, prompt='#sim {"steps": 2, "text": "short", "result": "done"}')
    service.world.set_faults(STREAM_FAULTS[fault])
    steps, usage = folded(await heard(adapter, remote_id))
    service.world.clear_faults()
    await until(lambda: service.world.view(remote_id).is_terminal)
    truth = service.world.view(remote_id)
    assert usage.total <= truth.tokens.total
    if fault in ("no event ids", "noise", "huge line", "more usage"):
        assert usage.total == truth.tokens.total
        assert steps
        assert all(step.done for step in steps.values())
    await adapter.aclose()


async def test_replays_are_harmless(service: SimulatorThread) -> None:
    adapter = made(service)
    remote_id = await launched(adapter)
    once = folded(await heard(adapter, remote_id))
    twice = folded(await heard(adapter, remote_id) + await heard(adapter, remote_id))
    assert once == twice
    await adapter.aclose()


async def test_a_stream_of_nothing(service: SimulatorThread) -> None:
    adapter = made(service)
    with pytest.raises(Gone):
        await heard(adapter, "v1_nothing")
    remote_id = await launched(adapter)
    service.world.set_faults(["stream.503"])
    with pytest.raises(ProviderError):
        await heard(adapter, remote_id)
    await adapter.aclose()


async def test_another_key_is_refused() -> None:
    with SimulatorThread(World(api_key="the right key for it")) as strict:
        adapter = made(strict)
        verdict = await adapter.create(ordered())
        assert isinstance(verdict, Rejected)
        assert strict.world.started() == 0
        await adapter.aclose()
