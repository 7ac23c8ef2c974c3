"""The stream over real sockets: it never reports too much, and finished steps agree with a GET."""

from __future__ import annotations

import pytest

from console.domain.usage import Usage
from console.provider.contract import NotFound, ProviderError, Step, StreamEvent
from console.provider.gemini.adapter import GeminiProvider
from console.simulator.faults import FaultSpec
from console.simulator.server import SimulatorThread
from tests.provider.simulated import ended, launched, made
from tests.waiting import until


async def received(adapter: GeminiProvider, remote_id: str) -> list[StreamEvent]:
    return [event async for event in adapter.follow(remote_id)]


def folded(events: list[StreamEvent]) -> tuple[dict[int, Step], Usage]:
    """Return what a consumer keeps: the newest form of each step, and the largest figures."""
    steps: dict[int, Step] = {}
    usage = Usage()
    for event in events:
        if event.step is not None:
            steps[event.step.index] = event.step
        if event.usage is not None:
            usage = usage.highest(event.usage)
    return steps, usage


async def test_a_stream_agrees_with_a_get(service: SimulatorThread, adapter: GeminiProvider) -> None:
    """Steps have the same index, kind and text either way."""
    remote_id = await launched(adapter)
    events = await received(adapter, remote_id)
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
async def test_no_fault_of_a_stream_raises_or_reports_too_much(service: SimulatorThread, fault: str) -> None:
    adapter = made(service, silence_s=1.0)
    remote_id = await launched(adapter, prompt='#sim {"steps": 2, "text": "short", "result": "done"}')
    service.state.set_faults(STREAM_FAULTS[fault])
    steps, usage = folded(await received(adapter, remote_id))
    service.state.clear_faults()
    await until(lambda: service.state.view(remote_id).is_terminal)
    truth = service.state.view(remote_id)
    assert usage.total <= truth.tokens.total
    if fault in ("no event ids", "noise", "huge line", "more usage"):
        assert usage.total == truth.tokens.total
        assert steps
        assert all(step.done for step in steps.values())
    await adapter.aclose()


async def test_replays_are_harmless(service: SimulatorThread) -> None:
    adapter = made(service)
    remote_id = await launched(adapter)
    once = folded(await received(adapter, remote_id))
    twice = folded(await received(adapter, remote_id) + await received(adapter, remote_id))
    assert once == twice
    await adapter.aclose()


async def test_an_empty_stream(service: SimulatorThread) -> None:
    adapter = made(service)
    with pytest.raises(NotFound):
        await received(adapter, "v1_nothing")
    remote_id = await launched(adapter)
    service.state.set_faults(["stream.503"])
    with pytest.raises(ProviderError):
        await received(adapter, remote_id)
    await adapter.aclose()
