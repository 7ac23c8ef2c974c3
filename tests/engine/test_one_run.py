"""One run from its claim to its settlement: the calls to the provider, and the contents of the store and the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.domain.run import Outcome, State
from console.domain.server_limit import TokenLimit
from console.domain.usage import Usage
from console.engine.models import LaunchKind
from console.provider.contract import (
    NotSent,
    RateLimited,
    Rejected,
    RemoteRun,
    Step,
    StreamEvent,
    Unavailable,
    Unsupported,
)
from tests.engine.building import BY, PRICE, a_task, engine_harness, settings
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.waiting import until

FULL = Usage(total=12_000, input=8_000, output=3_000, thought=1_000, cached=5_000)


def finished(agent: FakeAgent) -> None:
    agent.status, agent.usage, agent.result = "completed", FULL, "All quiet."


async def test_a_run_that_ends_ok_stores_result_usage_and_cost(tmp_path: Path) -> None:
    provider = FakeProvider(finished)
    async with engine_harness(tmp_path, provider) as here:
        answer = await here.launch()
        assert answer.kind is LaunchKind.LAUNCHED
        run = await here.engine.wait(answer.run.id)
        assert (run.state, run.outcome, run.result) == (State.ENDED, Outcome.OK, "All quiet.")
        assert run.usage == FULL
        assert run.used == 750, "7,000 tokens plus 5,000 cached ones at a tenth, at 10,000 tokens per unit"
        assert run.cost_micro == PRICE.cost(FULL)
        assert here.statuses() == ["launched", "ok"]
        ended = here.log()[1]
        assert (ended.key, ended.units, ended.fields["task"], ended.fields["run"]) == (run.key, 750, "report", run.id)


async def test_the_launch_order_has_the_token_limit_the_labels_and_a_new_sandbox(tmp_path: Path) -> None:
    provider = FakeProvider(finished)
    async with engine_harness(tmp_path, provider) as here:
        run = await here.engine.wait((await here.launch()).run.id)
    (order,) = provider.orders
    assert order.server_limit == TokenLimit(tokens=500_000)
    assert order.prepared_id == "box-1" == run.sandbox_id
    assert order.labels == {"nightdesk-key": run.key, "nightdesk-run": run.id, "nightdesk-attempt": "1"}


async def test_the_intent_is_stored_before_the_post_and_the_remote_id_journaled_after_it(tmp_path: Path) -> None:
    provider = FakeProvider(finished)
    provider.hold_create.clear()
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await until(lambda: provider.orders)
        before = await here.run(run_id)
        assert (before.state, before.sandbox_id) == (State.SENDING, "box-1")
        assert before.deadline_ms is not None
        assert not (tmp_path / "launch.journal").exists() or run_id not in (tmp_path / "launch.journal").read_text()
        provider.hold_create.set()
        await here.engine.wait(run_id)
        assert run_id in (tmp_path / "launch.journal").read_text()


async def test_a_key_that_is_running_or_done_is_not_launched_again(tmp_path: Path) -> None:
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider) as here:
        first = await here.launch()
        second = await here.launch()
        assert second.kind is LaunchKind.SKIPPED
        assert second.holder is not None
        assert second.holder.id == first.run.id
        await here.reaches(first.run.id, State.RUNNING)
        finished(provider.agents["v1_0001"])
        await here.engine.wait(first.run.id)
        third = await here.launch()
        assert third.kind is LaunchKind.SKIPPED
        assert len(provider.orders) == 1
        assert [line.fields["reason"] for line in here.log() if line.status == "skipped"] == ["running", "done"]


async def test_an_edited_task_does_not_launch_the_same_key_without_a_rerun(tmp_path: Path) -> None:
    provider = FakeProvider(finished)
    async with engine_harness(tmp_path, provider) as here:
        await here.engine.wait((await here.launch()).run.id)
    async with engine_harness(tmp_path, provider, settings(a_task(prompt="Something else."))) as here:
        answer = await here.launch()
        assert answer.kind is LaunchKind.REFUSED
        assert answer.refusal is not None
        assert any(text.startswith("prompt_length: 29 -> 15") for text in answer.differences)
        again = await here.launch(rerun=True, reason="new prompt")
        assert again.kind is LaunchKind.LAUNCHED
        assert again.run.attempt == 2
        await until(lambda: len(provider.orders) == 2, what="the second launch")


async def test_a_launch_that_was_provably_not_sent_is_tried_three_times(tmp_path: Path) -> None:
    provider = FakeProvider(finished)
    provider.verdicts.extend([NotSent(why="refused")] * 2)
    async with engine_harness(tmp_path, provider) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        assert (run.outcome, len(provider.orders)) == (Outcome.OK, 3)


async def test_a_launch_that_is_never_sent_releases_key_and_hold(tmp_path: Path) -> None:
    provider = FakeProvider(finished)
    provider.verdicts.extend([NotSent(why="refused")] * 3)
    async with engine_harness(tmp_path, provider) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        assert (run.outcome, run.used, len(provider.orders)) == (Outcome.NOT_SENT, 0, 3)
        snapshot = await here.engine.queries.snapshot()
        assert all(cap_usage.held == 0 for cap_usage in snapshot.cap_usages)
        assert (await here.launch()).kind is LaunchKind.LAUNCHED


async def test_a_short_rate_limit_is_waited_for_and_a_long_one_is_not(tmp_path: Path) -> None:
    provider = FakeProvider(finished)
    provider.verdicts.append(RateLimited(why="429", retry_after_s=0.01))
    async with engine_harness(tmp_path, provider) as here:
        assert (await here.engine.wait((await here.launch()).run.id)).outcome is Outcome.OK
        provider.verdicts.append(RateLimited(why="429", retry_after_s=3600))
        answer = await here.launch(rerun=True, reason="again")
        assert (await here.engine.wait(answer.run.id)).outcome is Outcome.NOT_SENT
    assert len(provider.orders) == 3


async def test_a_rate_limit_on_sandboxes_is_treated_as_one_on_launches(tmp_path: Path) -> None:
    provider = FakeProvider(finished)
    provider.sandbox_errors += [Unavailable("HTTP 429: a", retry_after_s=0.01) for _ in range(2)]
    async with engine_harness(tmp_path, provider) as here:
        assert (await here.engine.wait((await here.launch()).run.id)).outcome is Outcome.OK
        provider.sandbox_errors.append(Unavailable("HTTP 429: quota", retry_after_s=3600))
        run = await here.engine.wait((await here.launch(rerun=True, reason="again")).run.id)
        assert (run.outcome, "HTTP 429: quota" in run.note) == (Outcome.NOT_SENT, True)
    assert len(provider.orders) == 1


async def test_a_rejected_launch_records_the_reason_and_releases_the_hold(tmp_path: Path) -> None:
    provider = FakeProvider()
    provider.verdicts.append(Rejected(why="parameter_unknown", http_status=400))
    async with engine_harness(tmp_path, provider) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        assert (run.outcome, run.note) == (Outcome.REJECTED, "parameter_unknown")
        assert here.statuses() == ["rejected"]
        assert all(s.held == 0 and s.spent == 0 for s in (await here.engine.queries.snapshot()).cap_usages)


async def test_a_service_without_sandboxes_launches_in_the_remote_environment(tmp_path: Path) -> None:
    provider = FakeProvider(finished)
    provider.sandbox_errors.append(Unsupported("501"))
    async with engine_harness(tmp_path, provider) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        assert run.outcome is Outcome.OK
        detail = await here.engine.queries.detail(run.id)
        assert detail is not None
        assert any("501" in event.text for event in detail.timeline)
    assert provider.orders[0].environment == "remote"


async def test_live_steps_and_usage_come_from_the_stream(tmp_path: Path) -> None:
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider, settings(poll_ms=3_600_000)) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        agent = provider.agents["v1_0001"]
        agent.events.put_nowait(StreamEvent(step=Step(index=0, kind="code_execution_call", text="ls")))
        agent.events.put_nowait(StreamEvent(usage=Usage(total=10_000)))

        async def stored() -> bool:
            detail = await here.engine.queries.detail(run_id)
            return detail is not None and detail.run.used == 1000 and len(detail.steps) == 1

        await until(stored)
        assert (await here.run(run_id)).last_step == "code_execution_call: ls"


@pytest.mark.parametrize(
    ("status", "usage", "outcome"),
    [
        ("failed", Usage(total=100, input=50), Outcome.FAILED),
        ("incomplete", Usage(total=499_999), Outcome.INCOMPLETE),
        ("incomplete", Usage(total=500_000), Outcome.BUDGET),
        ("incomplete", Usage(total=500_000, cached=1), Outcome.INCOMPLETE),
        ("budget_exceeded", Usage(total=10), Outcome.BUDGET),
        ("cancelled", Usage(total=10), Outcome.CANCELLED),
    ],
)
async def test_the_outcome_follows_from_remote_status_and_usage(
    tmp_path: Path, status: str, usage: Usage, outcome: Outcome
) -> None:
    def ends(agent: FakeAgent) -> None:
        agent.status, agent.usage = status, usage

    async with engine_harness(tmp_path, FakeProvider(ends)) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        assert run.outcome is outcome


async def test_unknown_usage_is_booked_at_the_hold_and_noted(tmp_path: Path) -> None:
    def ends(agent: FakeAgent) -> None:
        agent.status = "completed"

    async with engine_harness(tmp_path, FakeProvider(ends)) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        assert (run.used, run.usage_known, run.cost_micro) == (50_000, False, None)
        assert "booked at the hold" in run.note


@pytest.mark.parametrize(("live", "booked"), [(10_000, 50_000), (700_000, 70_000)])
async def test_usage_that_was_not_told_for_the_last_steps_is_not_known(tmp_path: Path, live: int, booked: int) -> None:
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider, settings(poll_ms=100)) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        agent = provider.agents["v1_0001"]
        agent.usage, agent.obeys = Usage(total=live), False

        async def told() -> bool:
            return (await here.run(run_id)).used > 0

        await until(told)
        agent.usage, agent.status = None, "completed"
        agent.steps = (Step(index=0, kind="model_output", text="done", done=True),)
        run = await here.engine.wait(run_id)
        assert (run.used, run.usage_known, run.cost_micro) == (booked, False, None)
        assert "no usage for its last steps: booked at the hold" in run.note


async def test_a_run_that_waits_for_input_is_cancelled_and_fails(tmp_path: Path) -> None:
    def parks(agent: FakeAgent) -> None:
        agent.status, agent.usage = "requires_action", Usage(total=10)

    provider = FakeProvider(parks)
    async with engine_harness(tmp_path, provider) as here:
        run = await here.engine.wait((await here.launch()).run.id)
        assert run.outcome is Outcome.FAILED
        assert "needs input" in run.note
        assert provider.agents["v1_0001"].cancels > 0


async def test_a_parked_run_ends_only_when_the_provider_reports_an_end(tmp_path: Path) -> None:
    def parks(agent: FakeAgent) -> None:
        agent.status, agent.obeys, agent.usage = "requires_action", False, Usage(total=10)

    provider = FakeProvider(parks)
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await until(lambda: provider.agents and provider.agents["v1_0001"].cancels >= 3)
        assert (await here.run(run_id)).state is State.RUNNING
        await here.engine.operations.stop(run_id, by=BY)
        cancels = provider.agents["v1_0001"].cancels
        await until(lambda: provider.agents["v1_0001"].cancels >= cancels + 3)
        assert (await here.run(run_id)).state is State.STOPPING, "a parked run that was stopped is still stopping"
        provider.agents["v1_0001"].status = "cancelled"
        assert (await here.engine.wait(run_id)).outcome is Outcome.CANCELLED


class FlappingProvider(FakeProvider):
    """Reports a run alternately as parked and as live."""

    polls = 0

    async def get(self, remote_id: str) -> RemoteRun:
        self.polls += 1
        for agent in self.agents.values():
            agent.status = "requires_action" if self.polls % 3 else "in_progress"
        return await super().get(remote_id)


async def test_a_status_that_alternates_between_parked_and_live_cancels_nothing(tmp_path: Path) -> None:
    provider = FlappingProvider()
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await until(lambda: provider.polls >= 20)
        assert provider.agents["v1_0001"].cancels == 0
        assert (await here.run(run_id)).state is State.RUNNING


async def test_an_unknown_status_is_stored_as_received_and_the_run_continues(tmp_path: Path) -> None:
    def odd(agent: FakeAgent) -> None:
        agent.status = "dreaming\x1b[2J"

    async with engine_harness(tmp_path, FakeProvider(odd)) as here:
        run_id = (await here.launch()).run.id

        async def shown() -> bool:
            return (await here.run(run_id)).remote_status == "dreaming\x1b[2J"

        await until(shown)
        assert (await here.run(run_id)).state is State.RUNNING


async def test_cached_tokens_reported_at_the_end_lower_the_booked_usage(tmp_path: Path) -> None:
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider, settings(poll_ms=3_600_000)) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        agent = provider.agents["v1_0001"]
        agent.events.put_nowait(StreamEvent(usage=Usage(total=12_000)))

        async def counted() -> bool:
            return (await here.run(run_id)).used == 1_200

        await until(counted)
        finished(agent)
        await here.engine.operations.stop(run_id, by="tester")
        assert (await here.engine.wait(run_id)).used == 750
