"""The adapter against the face of the service, with the faults that only this service has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from console.domain.run import Ending
from console.provider.contract import Absent, Fenced, Found, Launched, LaunchOrder, LostLaunch, StatusClass, Unknown
from console.provider.http.secret import Secret
from console.provider.openai.adapter import OpenAIProvider
from console.simulator.faults import FaultSpec
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from tests.provider.examples import KEY, quick
from tests.provider.openai.examples import LABELS, order
from tests.provider.simulated import ENDLESS, QUICK
from tests.waiting import until

RUN_KEY = LABELS["nightdesk-key"]


@pytest.fixture(scope="module")
def served() -> Iterator[SimulatorThread]:
    with SimulatorThread(face="openai") as running:
        yield running


@pytest.fixture
def service(served: SimulatorThread) -> Iterator[SimulatorThread]:
    served.state.reset()
    served.state.default = QUICK
    yield served
    served.state.clear_faults()


@pytest.fixture
async def adapter(service: SimulatorThread) -> AsyncIterator[OpenAIProvider]:
    one = OpenAIProvider(base_url=service.url, secret=Secret(KEY), bounds=quick(silence_s=1.0))
    yield one
    await one.aclose()


async def prepared(adapter: OpenAIProvider, scenario: Scenario = QUICK) -> LaunchOrder:
    asked = order(prompt=scenario.prompt(), prepared_id=None)
    return order(prompt=scenario.prompt(), prepared_id=await adapter.prepare(asked))


async def launched(adapter: OpenAIProvider, scenario: Scenario = QUICK) -> str:
    verdict = await adapter.create(await prepared(adapter, scenario))
    assert isinstance(verdict, Launched)
    return verdict.remote_id


async def ends(adapter: OpenAIProvider, remote_id: str) -> Ending:
    found: list[Ending] = []

    async def has_ended() -> bool:
        ending = (await adapter.get(remote_id)).ending
        found.extend([ending] if ending is not None else [])
        return bool(found)

    await until(has_ended, what="the end of the run")
    return found[0]


def lost(asked: LaunchOrder) -> LostLaunch:
    return LostLaunch(prepared_id=asked.prepared_id, labels=asked.labels, sent_ms=0)


async def test_a_lost_answer_and_a_repetition_are_one_run(adapter: OpenAIProvider, service: SimulatorThread) -> None:
    asked = await prepared(adapter, ENDLESS)
    service.state.set_faults({"create.lost_reply": 1})
    assert isinstance(await adapter.create(asked), Unknown)
    assert isinstance(await adapter.create(asked), Launched)
    assert (service.state.posts(RUN_KEY), service.state.started(RUN_KEY)) == (2, 1)


@pytest.mark.parametrize("faults", [{"create.lost_reply": 1}, {"create.503_but_done": 1}, {"create.silence": 1}])
async def test_a_lost_launch_is_found(faults: FaultSpec, service: SimulatorThread) -> None:
    adapter = OpenAIProvider(base_url=service.url, secret=Secret(KEY), bounds=quick(create_s=0.3))
    asked = await prepared(adapter, ENDLESS)
    service.state.set_faults(faults)
    assert isinstance(await adapter.create(asked), Unknown)
    assert await adapter.resolve(lost(asked)) == Found(remote_id=asked.prepared_id or "")
    await adapter.aclose()


async def test_a_turn_that_is_shown_late_is_not_taken_for_nothing(
    adapter: OpenAIProvider, service: SimulatorThread
) -> None:
    """The service refuses to delete the session, so the launch is neither found nor proven not to be there."""
    asked = await prepared(adapter, ENDLESS)
    service.state.set_faults({"create.lost_reply": 1, "turn.late": 3600})
    await adapter.create(asked)
    assert await adapter.resolve(lost(asked)) == Absent()
    shown = await adapter.get(asked.prepared_id or "")
    assert (shown.is_unstarted, shown.ending, shown.status_class) == (True, None, StatusClass.LIVE)
    service.state.clear_faults()
    assert await adapter.resolve(lost(asked)) == Found(remote_id=asked.prepared_id or "")


async def test_a_message_refused_while_the_session_is_set_up_is_cleared_up(
    adapter: OpenAIProvider, service: SimulatorThread
) -> None:
    service.state.set_faults({"session.setup": 3600})
    asked = await prepared(adapter)
    assert isinstance(await adapter.create(asked), Unknown)
    assert await adapter.resolve(lost(asked)) == Absent(), "the deletion is refused as well"
    service.state.clear_faults()
    assert isinstance(await adapter.resolve(lost(asked)), Fenced)
    assert service.state.started() == 0


async def test_a_refused_deletion_leaves_the_launch_unresolved(
    adapter: OpenAIProvider, service: SimulatorThread
) -> None:
    asked = await prepared(adapter)
    service.state.set_faults(["env_delete.409"])
    assert await adapter.resolve(lost(asked)) == Absent()


@pytest.mark.parametrize("fault", ["env_delete.lost_reply", "env_delete.reset", "env_delete.503_but_done"])
async def test_a_deletion_whose_answer_was_lost_is_a_fence(
    adapter: OpenAIProvider, service: SimulatorThread, fault: str
) -> None:
    asked = await prepared(adapter)
    service.state.set_faults({fault: 1})
    assert isinstance(await adapter.resolve(lost(asked)), Fenced)
    assert service.state.sessions.deleted == [asked.prepared_id]


async def test_sessions_that_are_listed_late_are_found_later(adapter: OpenAIProvider, service: SimulatorThread) -> None:
    asked = await prepared(adapter)
    service.state.set_faults({"list.lag": 3600})
    assert await adapter.unstarted() == ()
    service.state.clear_faults()
    assert [left.prepared_id for left in await adapter.unstarted()] == [asked.prepared_id]


async def test_more_sessions_than_one_page_are_listed(adapter: OpenAIProvider) -> None:
    made = {(await prepared(adapter)).prepared_id for _ in range(103)}
    assert {left.prepared_id for left in await adapter.unstarted()} == made


async def test_a_run_without_any_usage_ends_all_the_same(adapter: OpenAIProvider, service: SimulatorThread) -> None:
    service.state.set_faults(["usage.absent"])
    remote_id = await launched(adapter)
    assert await ends(adapter, remote_id) is Ending.OK
    assert (await adapter.get(remote_id)).usage is None


async def test_usage_that_is_shown_only_at_the_end(adapter: OpenAIProvider, service: SimulatorThread) -> None:
    service.state.set_faults(["usage.absent_midrun"])
    remote_id = await launched(adapter, Scenario(steps=200, step_seconds=0.05, cancel_seconds=0.01))
    assert (await adapter.get(remote_id)).usage is None
    await adapter.cancel(remote_id)
    assert await ends(adapter, remote_id) is Ending.CANCELLED


async def test_a_failed_session_is_a_failed_run(adapter: OpenAIProvider, service: SimulatorThread) -> None:
    service.state.set_faults(["session.failed"])
    remote_id = await launched(adapter, Scenario(steps=2, step_seconds=0, ending="failed", error_code="sandbox_error"))  # type: ignore[arg-type]  # a StrEnum's word
    run = await adapter.get(remote_id)
    assert (run.ending, run.status) == (Ending.FAILED, "failed")
    assert run.errors[0].startswith("sandbox_error: ")


async def test_an_output_limit_of_the_model_is_incomplete(adapter: OpenAIProvider) -> None:
    remote_id = await launched(adapter, Scenario(steps=2, step_seconds=0, ending="incomplete"))  # type: ignore[arg-type]  # the same
    assert (await adapter.get(remote_id)).ending is Ending.INCOMPLETE


async def test_a_cancel_that_comes_late_is_no_end_before(adapter: OpenAIProvider, service: SimulatorThread) -> None:
    remote_id = await launched(adapter, Scenario(steps=9, step_seconds=1000))
    service.state.set_faults({"cancel.delay": 3600})
    assert (await adapter.cancel(remote_id)).accepted
    assert (await adapter.get(remote_id)).ending is None
    service.state.advance(3601)
    assert await ends(adapter, remote_id) is Ending.CANCELLED


@pytest.mark.parametrize(
    "faults",
    [
        ["sse.gaps"],
        {"sse.gaps": {"share": 0.5}},
        {"sse.drop": 2},
        {"sse.reset": 2},
        {"sse.error": 2},
        ["sse.noise"],
        {"sse.drip": 0.0001},
        {"sse.huge_line": 2},
    ],
    ids=str,
)
async def test_a_bad_stream_changes_no_end(
    adapter: OpenAIProvider, service: SimulatorThread, faults: FaultSpec
) -> None:
    service.state.set_faults(faults)
    remote_id = await launched(adapter, Scenario(steps=8, step_seconds=0.02, tokens_per_step=1000))
    shown: dict[int, str] = {}

    async def follow() -> bool:
        async for event in adapter.follow(remote_id):
            if event.step is not None:
                shown[event.step.index] = event.step.kind
            if (await adapter.get(remote_id)).ending is not None:
                return True
        return (await adapter.get(remote_id)).ending is not None

    await until(follow, what="the end of the run")
    run = await adapter.get(remote_id)
    assert run.ending is Ending.OK
    whole = {step.index: step.kind for step in run.steps}
    assert shown.items() <= whole.items(), "a step has one number in the stream and in a poll"


async def test_steps_before_the_stream_are_shown(adapter: OpenAIProvider, service: SimulatorThread) -> None:
    remote_id = await launched(adapter, Scenario(steps=400, step_seconds=0.02, cancel_seconds=0.01))
    service.state.advance(1.0)
    seen: list[int] = []
    async for event in adapter.follow(remote_id):
        if event.step is not None:
            seen.append(event.step.index)
        if len(set(seen)) > 60:
            break
    assert seen[:3] == [0, 1, 2]
