"""Writes around the POST: it is recorded before it may leave, and every answer is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.caps import Cap
from console.domain.run import IllegalTransition, Outcome, State, StopReason
from console.domain.task import Stage
from console.store.errors import StaleRun
from tests.store.harness import BUDGET, BY, StoreHarness


async def test_the_deadline_counts_from_the_record_of_the_intent(harness: StoreHarness) -> None:
    run = await harness.claimed()
    harness.clock.advance(5)
    sent = await harness.store.runs.mark_sending(run, harness.now)
    assert (sent.state, sent.sent) == (State.SENDING, harness.now)
    assert sent.deadline_ms == harness.now.wall_ms + run.limits.max_ms
    assert await harness.sends(run) == ["open"]


async def test_the_same_claim_is_sent_once(harness: StoreHarness) -> None:
    run = await harness.claimed()
    await harness.store.runs.mark_sending(run, harness.now)
    with pytest.raises(StaleRun):
        await harness.store.runs.mark_sending(run, harness.now)
    assert await harness.sends(run) == ["open"]


async def test_a_stop_or_a_pause_in_the_last_moment_keeps_it_from_being_sent(harness: StoreHarness) -> None:
    stopped = await harness.claimed()
    await harness.store.runs.request_stop(stopped.id, reason=StopReason.OPERATOR, by=BY, now=harness.now)
    paused = await harness.claimed(date="2026-11-24")
    with pytest.raises(StaleRun):
        await harness.store.runs.mark_sending(await harness.run(stopped), harness.now)
    await harness.store.controls.pause(by=BY, now=harness.now)
    with pytest.raises(StaleRun):
        await harness.store.runs.mark_sending(paused, harness.now)
    await harness.store.controls.resume(by=BY, now=harness.now)
    assert (await harness.store.runs.mark_sending(paused, harness.now)).state is State.SENDING


async def test_another_try_is_possible_only_after_proof_and_counts_afresh(harness: StoreHarness) -> None:
    run = await harness.sending()
    back = await harness.store.runs.record_not_sent(run, why="refused", final=False, now=harness.now)
    assert (back.state, back.sent, back.deadline_ms) == (State.CLAIMED, None, None)
    assert await harness.hold(run) == ("open", None)
    harness.clock.advance(30)
    again = await harness.store.runs.mark_sending(back, harness.now)
    assert again.sent == harness.now
    assert await harness.sends(run) == ["not_sent", "open"]


async def test_not_sent_for_good_costs_nothing_and_frees_the_key(harness: StoreHarness) -> None:
    run = await harness.sending()
    harness.clock.advance(9)
    ended = await harness.store.runs.record_not_sent(run, why="offline\x1b", final=True, now=harness.now)
    assert (ended.outcome, ended.elapsed_ms, ended.used, ended.note) == (Outcome.NOT_SENT, 0, 0, "offline␛")
    assert await harness.hold(run) == ("released", None)
    assert (await harness.records())[-1].status == "not_sent"
    assert (await harness.claimed()).attempt == 2


async def test_a_rejection_ends_it_and_gives_the_hold_back(harness: StoreHarness) -> None:
    run = await harness.sending()
    harness.clock.advance(2)
    ended = await harness.store.runs.record_rejected(run, why="no such agent", now=harness.now)
    assert (ended.outcome, ended.note, ended.elapsed_ms) == (Outcome.REJECTED, "no such agent", 2_000)
    assert (await harness.hold(run), await harness.sends(run)) == (("released", None), ["rejected"])
    assert (await harness.cap_usage(Cap.DAILY_RUNS)).spent == 0


async def test_an_id_makes_it_running_and_is_logged(harness: StoreHarness) -> None:
    run = await harness.sending()
    launched = await harness.store.runs.record_launched(
        run, remote_id="v1_x", status="in_progress", sandbox_id="env-9", now=harness.now
    )
    assert (launched.state, launched.remote_id, launched.remote_status) == (State.RUNNING, "v1_x", "in_progress")
    assert (launched.sandbox_id, launched.sandbox_own) == ("env-9", True), "the launch made it for this run alone"
    (record,) = await harness.records()
    assert (record.status, record.units, record.elapsed_ms) == ("launched", 0, 0)
    order = "task run attempt stage origin reason day tokens cost currency hold remote"
    assert " ".join(record.fields) == order
    assert (record.fields["hold"], record.fields["remote"]) == ("50.0", "v1_x")
    assert await harness.sends(run) == ["launched"]


async def test_a_sandbox_made_for_the_run_is_its_own_and_a_reused_one_is_not(harness: StoreHarness) -> None:
    run = await harness.claimed()
    made = await harness.store.runs.record_sandbox(run, sandbox_id="env-1", own=True, note="", now=harness.now)
    assert (made.sandbox_id, made.sandbox_own, made.state) == ("env-1", True, State.CLAIMED)
    sent = await harness.store.runs.mark_sending(made, harness.now)
    launched = await harness.store.runs.record_launched(
        sent, remote_id="r", status="queued", sandbox_id="env-2", now=harness.now
    )
    assert (launched.sandbox_id, launched.sandbox_own) == ("env-1", True)
    harness.task = replace(harness.task, sandbox="env-shared")
    other = await harness.sending(date="2026-11-24")
    shared = await harness.store.runs.record_launched(
        other, remote_id="r2", status="queued", sandbox_id="env-shared", now=harness.now
    )
    assert (shared.sandbox_id, shared.sandbox_own) == ("env-shared", False)


async def test_a_stop_stored_during_the_launch_makes_the_run_stopping(harness: StoreHarness) -> None:
    run = await harness.sending()
    asked = await harness.store.runs.request_stop(run.id, reason=StopReason.KILL_SWITCH, by=BY, now=harness.now)
    assert asked.state is State.SENDING
    launched = await harness.launch(run)
    assert launched.stop is not None
    assert (launched.state, launched.stop.reason) == (State.STOPPING, StopReason.KILL_SWITCH)
    assert (await harness.records())[0].fields["reason"] == "kill_switch"


async def test_an_unconfirmed_run_keeps_key_and_hold_across_days_and_demotes(harness: StoreHarness) -> None:
    await harness.at_stage(Stage.UNATTENDED)
    run = await harness.unconfirmed()
    assert (run.state, run.outcome, await harness.sends(run)) == (State.UNCONFIRMED, None, ["unknown"])
    assert await harness.store.stages.stage(run.task) is Stage.SEMI
    harness.clock.advance(40 * 86_400)
    assert await harness.hold(run) == ("open", None)
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).held == 0, "it counts on the day it was taken"
    statuses = [record.status for record in await harness.records()]
    assert "unconfirmed" in statuses
    record = next(record for record in await harness.records() if record.status == "unconfirmed")
    assert (record.units, record.elapsed_ms, record.fields["hold"]) == (0, 0, "50.0")


@pytest.mark.parametrize("state", [State.CLAIMED, State.RUNNING, State.STOPPING, State.UNCONFIRMED])
async def test_verdicts_are_only_for_a_run_that_is_sending(harness: StoreHarness, state: State) -> None:
    run, runs = replace(await harness.sending(), state=state), harness.store.runs
    for call in (
        runs.record_not_sent(run, why="", final=True, now=harness.now),
        runs.record_rejected(run, why="", now=harness.now),
        runs.record_unconfirmed(run, why="", now=harness.now),
        runs.record_launched(run, remote_id="x", status="", sandbox_id=None, now=harness.now),
    ):
        with pytest.raises(IllegalTransition):
            await call
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).held == BUDGET
    assert await harness.sends(run) == ["open"]


async def test_a_sandbox_is_noted_only_before_the_launch(harness: StoreHarness) -> None:
    with pytest.raises(IllegalTransition):
        await harness.store.runs.record_sandbox(
            await harness.running(), sandbox_id="env", own=True, note="", now=harness.now
        )
