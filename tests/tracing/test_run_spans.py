"""A run becomes a span with the names of the conventions, its POSTs spans below it; no text of an agent is in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.run import Outcome, Run, RunId, State, StepRecord, StopReason, StopRequest
from console.domain.usage import Usage
from console.provider.contract import NotSent, Rejected, Step, Unknown
from console.store.events import EventRow
from console.tracing.run_spans import MOST_EVENTS, RunSpan, run_spans, trace_id
from tests.engine.building import BY, EngineHarness, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider

SERVICE = "gemini https://generativelanguage.googleapis.com v1beta"
USAGE = Usage(total=1900, input=1000, output=500, thought=300, cached=600, tool_use=100)


def done(agent: FakeAgent) -> None:
    """An agent that has worked, and says what nobody may see."""
    agent.status, agent.result, agent.usage = "completed", "canary-result", USAGE
    agent.steps = (
        Step(index=0, kind="thought", text="canary-step"),
        Step(index=1, kind="Canary of the service!", text="canary-step"),
    )


async def ended(house: EngineHarness) -> Run:
    return await house.engine.wait((await house.launch()).run.id)


async def spans_of(house: EngineHarness, run: Run) -> tuple[RunSpan, ...]:
    runs = house.store.runs
    return run_spans(run, await runs.timeline(run.id), await runs.steps(run.id))


async def test_a_run_that_ended_ok(tmp_path: Path) -> None:
    async with engine_harness(tmp_path, FakeProvider(done), settings(service=SERVICE)) as house:
        run = await ended(house)
        whole, post = await spans_of(house, run)
    assert (whole.name, whole.error) == ("invoke_agent antigravity-preview-09-2026", "")
    assert run.sent is not None
    assert run.ended_ms is not None
    assert whole.begin_ms == run.sent.wall_ms
    # The elapsed time is of another clock, and may be rounded to a millisecond more.
    assert whole.end_ms == max(run.ended_ms, run.sent.wall_ms + run.elapsed_ms)
    assert dict(whole.attributes) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.agent.name": "antigravity-preview-09-2026",
        "gen_ai.request.model": "gemini-3.8-flash",
        "gen_ai.response.id": "v1_0001",
        "gen_ai.usage.input_tokens": 1100,
        "gen_ai.usage.output_tokens": 800,
        "gen_ai.usage.reasoning.output_tokens": 300,
        "gen_ai.usage.cache_read.input_tokens": 600,
        "server.address": "generativelanguage.googleapis.com",
        "server.port": 443,
        "nightdesk.run": run.id,
        "nightdesk.task": "report",
        "nightdesk.key": run.key,
        "nightdesk.attempt": 1,
        "nightdesk.stage": "manual",
        "nightdesk.origin": "manual",
        "nightdesk.outcome": "ok",
        "nightdesk.units": run.used / 1000,
        "nightdesk.hold": 50.0,
        "nightdesk.max_seconds": 60.0,
        "nightdesk.steps": 2,
        "nightdesk.cost": pytest.approx((run.cost_micro or 0) / 1e6),
        "nightdesk.currency": "USD",
    }
    assert (post.name, post.parent_id, post.trace_id) == ("POST", whole.span_id, whole.trace_id)
    assert (post.error, post.attributes["nightdesk.verdict"]) == ("", "running")
    assert whole.begin_ms == post.begin_ms <= post.end_ms <= whole.end_ms
    kinds = [event.attributes.get("nightdesk.step.kind") for event in whole.events if event.name == "nightdesk.step"]
    assert kinds == ["thought", None], "what a service calls a step is passed on only where it is a word"
    assert "canary" not in str((whole, post)).lower()


async def test_a_run_that_was_stopped_says_why(tmp_path: Path) -> None:
    async with engine_harness(tmp_path, FakeProvider()) as house:
        run = (await house.launch()).run
        await house.reaches(run.id, State.RUNNING)
        await house.engine.operations.stop(run.id, by=BY)
        whole, _ = await spans_of(house, await house.engine.wait(run.id))
    assert whole.error == "cancelled"
    assert whole.attributes["nightdesk.stop.reason"] == "operator"
    named = [(event.name, dict(event.attributes)) for event in whole.events]
    assert named[:2] == [
        ("nightdesk.running", {}),
        ("nightdesk.stop", {"nightdesk.stop.reason": "operator"}),
    ]
    assert BY not in str(whole)


@pytest.mark.parametrize(
    ("verdict", "told", "posts"),
    [
        (Rejected(why="canary", http_status=400), "rejected", ["rejected"]),
        (NotSent(why="canary"), "not_sent", ["not_sent", "not_sent", "not_sent"]),
    ],
)
async def test_a_launch_that_failed(tmp_path: Path, verdict: Rejected | NotSent, told: str, posts: list[str]) -> None:
    provider = FakeProvider()
    provider.verdicts.extend([verdict] * 3)
    async with engine_harness(tmp_path, provider) as house:
        whole, *sent = await spans_of(house, await ended(house))
    assert whole.error == told
    assert [post.error for post in sent] == posts
    resends = [post.attributes.get("http.request.resend_count") for post in sent]
    assert resends == [None, 1, 2][: len(posts)]
    assert len({span.span_id for span in (whole, *sent)}) == len(posts) + 1
    assert "canary" not in str((whole, sent))


async def test_a_lost_launch_is_a_span_once_it_is_settled(tmp_path: Path) -> None:
    provider = FakeProvider()
    provider.verdicts.append(Unknown(why="canary"))
    async with engine_harness(tmp_path, provider) as house:
        lost = (await house.launch()).run
        await house.reaches(lost.id, State.UNCONFIRMED)
        assert await spans_of(house, await house.run(lost.id)) == ()
        await house.engine.operations.settle_write_off(lost.id, by=BY, reason="canary")
        run = await house.reaches(lost.id, State.ENDED)
        whole, post = await spans_of(house, run)
    assert (whole.error, post.error) == ("written_off", "unconfirmed")
    assert post.end_ms <= whole.end_ms
    assert not [name for name in whole.attributes if name.startswith("gen_ai.usage")], "nothing is known of its usage"
    assert "canary" not in str((whole, post))


def test_the_trace_id_is_the_id_of_the_run() -> None:
    assert trace_id(RunId("00000000000000000000000001")) == 1
    assert trace_id(RunId("7zzzzzzzzzzzzzzzzzzzzzzzzz")) == (1 << 128) - 1


async def test_what_a_span_holds_is_bounded_and_a_clock_that_was_set_back_makes_none_end_early(tmp_path: Path) -> None:
    async with engine_harness(tmp_path, FakeProvider(done), settings(service="anthropic not-an-address v1")) as house:
        run = await ended(house)
    stopped = StopRequest(reason=StopReason.TIMEOUT, by=BY, at_ms=2)
    run = replace(run, ended_ms=5, elapsed_ms=700, outcome=Outcome.TIMEOUT, stop=stopped)
    timeline = [EventRow(id=1, at_ms=1000, kind="sending", detail={})]
    timeline += [EventRow(id=2 + n, at_ms=1001 + n, kind="cancel", detail={"reason": "canary"}) for n in range(1000)]
    steps = [StepRecord(index=n, kind="k", text="canary", at_ms=1000 + n, units=n, done=True) for n in range(1000)]
    whole, post = run_spans(run, timeline, steps)
    assert len(whole.events) == MOST_EVENTS
    assert whole.events[-1].attributes["nightdesk.step.index"] == 999
    assert (whole.begin_ms, whole.end_ms, post.end_ms) == (1000, 1700, 1000)
    assert post.error == "unknown"
    assert "server.address" not in whole.attributes
    assert whole.name == "invoke_agent"
    assert whole.attributes["gen_ai.agent.id"] == "antigravity-preview-09-2026"
    assert whole.attributes["gen_ai.conversation.id"] == "v1_0001"
    assert "canary" not in str(whole)


async def test_what_was_never_sent_is_no_span(tmp_path: Path) -> None:
    async with engine_harness(tmp_path, FakeProvider(done)) as house:
        run = await ended(house)
        assert run_spans(run, [], []) == ()
