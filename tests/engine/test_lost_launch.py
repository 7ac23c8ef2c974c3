"""A launch without an answer, at services that prepare a session: repeated, found, fenced, or left as it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from console.domain.launch import LaunchKind
from console.domain.run import Outcome, Run, State
from console.domain.server_limit import ServerLimitKind
from console.domain.usage import Usage
from console.engine.errors import OperationRefused
from console.provider.contract import Absent, Fenced, Found, Refused, Rejected, Unavailable, Unknown, Unstarted
from console.provider.traits import DiscardUse, Prepares, Traits, UsageReport
from tests.engine.building import BY, QUICK, EngineHarness, engine_harness
from tests.engine.fake_provider import FakeAgent, FakeProvider
from tests.waiting import until

SESSIONS = Traits(
    prepares=Prepares.SESSION,
    can_find_launch=True,
    start_repeats=False,
    discard=DiscardUse.AFTER_STOP,
    server_limit=ServerLimitKind.NONE,
    usage=UsageReport.LIVE,
    tells_money=True,
    least_poll_ms=2_000,
)
NO_ANSWER = Unknown(why="no answer in time")


def sessions(**changes: object) -> FakeProvider:
    """Return a provider of sessions; `changes` replace single traits."""
    provider = FakeProvider(spent)
    provider.traits = replace(SESSIONS, **changes)  # type: ignore[arg-type]  # any trait
    return provider


def spent(agent: FakeAgent) -> None:
    agent.usage = Usage(total=1_000)


async def outcome_of(here: EngineHarness) -> Run:
    return await here.engine.wait((await here.launch()).run.id)


async def test_a_launch_that_was_found_is_supervised_to_its_end(tmp_path: Path) -> None:
    provider = sessions()
    provider.verdicts.append(NO_ANSWER)
    provider.resolutions.extend((Absent(), Found(remote_id="box-1")))
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await until(lambda: bool(provider.orders), what="the start")
        provider.start_agent(provider.orders[0]).status = "completed"
        run = await here.engine.wait(run_id)
        assert (run.outcome, run.remote_id, run.sandbox_id) == (Outcome.OK, "box-1", "box-1")
        assert "unconfirmed" not in here.statuses(), "no person was needed"
    assert len(provider.orders) == 1
    assert provider.lost[0].labels == provider.orders[0].labels


async def test_a_launch_that_was_fenced_gives_its_key_and_its_hold_back(tmp_path: Path) -> None:
    provider = sessions()
    provider.verdicts.append(NO_ANSWER)
    provider.resolutions.append(Fenced(why="the session was deleted, unused"))
    async with engine_harness(tmp_path, provider) as here:
        run = await outcome_of(here)
        assert (run.outcome, run.used) == (Outcome.NOT_SENT, 0)
        assert "the session was deleted, unused" in run.note
        again = await here.launch()
        assert again.kind is LaunchKind.LAUNCHED, "the key is free"
        await here.reaches(again.run.id, State.RUNNING)
    assert len(provider.orders) == 2


async def test_absence_proves_nothing(tmp_path: Path) -> None:
    provider = sessions()
    provider.verdicts.append(NO_ANSWER)
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.UNCONFIRMED)
        asked = len(provider.lost)
        await until(lambda: len(provider.lost) >= asked + 3, what="it is asked again")
        assert (await here.run(run_id)).state is State.UNCONFIRMED
        assert not provider.deleted, "what may run is never discarded without a look"
        provider.resolutions.append(Found(remote_id="box-1"))
        provider.start_agent(provider.orders[0]).status = "completed"
        await here.reaches(run_id, State.ENDED)
        assert (await here.run(run_id)).outcome is Outcome.OK


async def test_an_unconfirmed_run_that_is_found_after_its_stop_is_stopped(tmp_path: Path) -> None:
    provider = sessions()
    provider.verdicts.append(NO_ANSWER)
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.UNCONFIRMED)
        await here.engine.operations.stop(run_id, by=BY)
        agent = provider.start_agent(provider.orders[0])
        provider.resolutions.append(Found(remote_id="box-1"))
        run = await here.reaches(run_id, State.ENDED)
        assert run.outcome is Outcome.CANCELLED
        assert agent.cancels >= 1


async def test_a_start_that_repeats_is_sent_again(tmp_path: Path) -> None:
    provider = sessions(start_repeats=True)
    provider.verdicts.append(NO_ANSWER)
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        provider.agents["box-1"].status = "completed"
        assert (await here.engine.wait(run_id)).outcome is Outcome.OK
    first, second = provider.orders
    assert first == second


async def test_the_refusal_of_a_repetition_proves_nothing_about_the_first_start(tmp_path: Path) -> None:
    provider = sessions(start_repeats=True)
    provider.verdicts.extend([NO_ANSWER, *[Rejected(why="HTTP 400", http_status=400)] * 5])
    async with engine_harness(tmp_path, provider) as here:
        assert (await outcome_of(here)).state is State.UNCONFIRMED


async def test_a_launch_of_a_dead_owner_is_found(tmp_path: Path) -> None:
    provider = sessions()
    provider.hold_create.clear()
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await until(lambda: bool(provider.orders), what="the start")
        await here.reaches(run_id, State.SENDING)
    provider.start_agent(provider.orders[0]).status = "completed"
    provider.resolutions.append(Found(remote_id="box-1"))
    async with engine_harness(tmp_path, provider) as here:
        run = await here.engine.wait(run_id)
        assert (run.outcome, run.remote_id) == (Outcome.OK, "box-1")
        assert "unconfirmed" not in here.statuses()
    assert len(provider.orders) == 1


async def test_a_person_cannot_rule_against_what_the_service_shows(tmp_path: Path) -> None:
    provider = sessions()
    provider.verdicts.append(NO_ANSWER)
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        run = await here.reaches(run_id, State.UNCONFIRMED)
        provider.offline = True
        with pytest.raises(OperationRefused, match="cannot be asked"):
            await here.engine.operations.settle_not_launched(run.id, by=BY, reason="it is not there")
        assert not provider.deleted


async def test_a_session_that_was_stopped_is_discarded_after_its_end(tmp_path: Path) -> None:
    provider = sessions()
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        provider.agents["box-1"].obeys = False
        provider.delete_error = Refused("HTTP 400: it runs")
        await here.engine.operations.stop(run_id, by=BY)
        await until(lambda: provider.agents["box-1"].cancels >= 4, what="repeated cancels")
        assert not provider.deleted
        provider.delete_error, provider.agents["box-1"].obeys = None, True
        assert (await here.engine.wait(run_id)).outcome is Outcome.CANCELLED
        await until(lambda: provider.deleted == ["box-1"], what="the session is discarded")


async def cut_off(here: EngineHarness) -> None:
    """Launches a run, stops it and waits for its end."""
    run_id = (await here.launch()).run.id
    await here.reaches(run_id, State.RUNNING)
    await here.engine.operations.stop(run_id, by=BY)
    await here.engine.wait(run_id)


async def test_a_process_that_leaves_finishes_the_deletion_of_a_session(tmp_path: Path) -> None:
    provider = sessions()
    async with engine_harness(tmp_path, provider) as here:
        provider.hold_discard.clear()
        await cut_off(here)
        leaving = asyncio.create_task(here.engine.hand_over())
        done, _ = await asyncio.wait({leaving}, timeout=0.1)
        assert not done, "the deletion is still on its way"
        provider.hold_discard.set()
        await leaving
    assert provider.deleted == ["box-1"]


async def test_a_deletion_without_an_answer_does_not_keep_a_process_from_leaving(tmp_path: Path) -> None:
    provider = sessions()
    async with engine_harness(tmp_path, provider, timings=replace(QUICK, handover_s=0.05)) as here:
        provider.hold_discard.clear()
        await cut_off(here)
        await here.engine.hand_over()
    assert provider.deleted == []


async def test_the_session_of_a_run_that_ended_well_is_kept(tmp_path: Path) -> None:
    provider = sessions()
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        provider.agents["box-1"].status = "completed"
        await here.engine.wait(run_id)
        await here.next_tick()
    assert provider.deleted == []


async def test_a_session_in_which_nothing_was_started_ends_by_its_discard(tmp_path: Path) -> None:
    provider = sessions()
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        agent = provider.agents["box-1"]
        agent.is_unstarted, agent.obeys, agent.usage = True, False, None
        await here.engine.operations.stop(run_id, by=BY)
        run = await here.engine.wait(run_id)
        assert run.outcome is Outcome.CANCELLED
        assert provider.deleted[0] == "box-1"


async def test_a_refused_order_ends_as_rejected_before_anything_is_sent(tmp_path: Path) -> None:
    provider = sessions()
    provider.sandbox_errors.append(Unavailable("HTTP 503"))
    async with engine_harness(tmp_path, provider) as here:
        assert (await here.launch()).run.state is State.CLAIMED
        await until(lambda: bool(provider.orders), what="the start")


@pytest.mark.parametrize(
    ("is_ended", "is_other", "goes"), [(True, False, True), (False, True, True), (False, False, False)]
)
async def test_what_was_prepared_and_cannot_start_any_more_is_discarded(
    tmp_path: Path, is_ended: bool, is_other: bool, goes: bool
) -> None:
    provider = sessions()
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id
        await here.reaches(run_id, State.RUNNING)
        if is_ended:
            provider.agents["box-1"].status = "completed"
            await here.engine.wait(run_id)
    left = "box-of-a-lost-reply" if is_other else "box-1"
    provider.left_over = [
        Unstarted(prepared_id=left, labels={"nightdesk-run": run_id}, created_ms=0),
        Unstarted(prepared_id="of-another-folder", labels={"nightdesk-run": "01k" + "0" * 23}, created_ms=0),
        Unstarted(prepared_id="without-labels", labels={}, created_ms=0),
    ]
    async with engine_harness(tmp_path, provider) as here:
        await until(lambda: here.engine.rounds["unstarted"] > 0, what="the first sweep")
    assert provider.deleted == ([left] if goes else [])
