"""Around the POST: nothing may leave without a record, and the record says what may have left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.guardrails import Cap
from console.domain.run import IllegalTransition, Outcome, Reason, State
from console.domain.task import Stage
from console.store.errors import StaleRun
from tests.store.building import BUDGET, BY, Bench


async def test_the_deadline_counts_from_the_record_of_the_intent(bench: Bench) -> None:
    run = await bench.claimed()
    bench.clock.advance(5)
    sent = await bench.store.runs.mark_sending(run, bench.now)
    assert (sent.state, sent.sent) == (State.SENDING, bench.now)
    assert sent.deadline_ms == bench.now.wall_ms + run.limits.max_ms
    assert await bench.sends(run) == ["open"]


async def test_the_same_claim_is_sent_once(bench: Bench) -> None:
    run = await bench.claimed()
    await bench.store.runs.mark_sending(run, bench.now)
    with pytest.raises(StaleRun):
        await bench.store.runs.mark_sending(run, bench.now)
    assert await bench.sends(run) == ["open"]


async def test_a_stop_or_a_pause_in_the_last_moment_keeps_it_from_being_sent(bench: Bench) -> None:
    stopped = await bench.claimed()
    await bench.store.runs.request_stop(stopped.id, reason=Reason.OPERATOR, by=BY, now=bench.now)
    paused = await bench.claimed(date="2026-11-24")
    with pytest.raises(StaleRun):
        await bench.store.runs.mark_sending(await bench.run(stopped), bench.now)
    await bench.store.controls.pause(by=BY, now=bench.now)
    with pytest.raises(StaleRun):
        await bench.store.runs.mark_sending(paused, bench.now)
    await bench.store.controls.resume(by=BY, now=bench.now)
    assert (await bench.store.runs.mark_sending(paused, bench.now)).state is State.SENDING


async def test_another_try_is_possible_only_after_proof_and_counts_afresh(bench: Bench) -> None:
    run = await bench.sending()
    back = await bench.store.runs.record_not_sent(run, why="refused", final=False, now=bench.now)
    assert (back.state, back.sent, back.deadline_ms) == (State.CLAIMED, None, None)
    assert await bench.hold(run) == ("open", None)
    bench.clock.advance(30)
    again = await bench.store.runs.mark_sending(back, bench.now)
    assert again.sent == bench.now
    assert await bench.sends(run) == ["not_sent", "open"]


async def test_not_sent_for_good_costs_nothing_and_frees_the_key(bench: Bench) -> None:
    run = await bench.sending()
    bench.clock.advance(9)
    ended = await bench.store.runs.record_not_sent(run, why="offline\x1b", final=True, now=bench.now)
    assert (ended.outcome, ended.elapsed_ms, ended.used, ended.note) == (Outcome.NOT_SENT, 0, 0, "offline␛")
    assert await bench.hold(run) == ("released", None)
    assert (await bench.records())[-1].status == "not_sent"
    assert (await bench.claimed()).attempt == 2


async def test_a_rejection_ends_it_and_gives_the_hold_back(bench: Bench) -> None:
    run = await bench.sending()
    bench.clock.advance(2)
    ended = await bench.store.runs.record_rejected(run, why="no such agent", now=bench.now)
    assert (ended.outcome, ended.note, ended.elapsed_ms) == (Outcome.REJECTED, "no such agent", 2_000)
    assert (await bench.hold(run), await bench.sends(run)) == (("released", None), ["rejected"])
    assert (await bench.standing(Cap.DAILY_RUNS)).spent == 0


async def test_an_id_makes_it_running_and_is_logged(bench: Bench) -> None:
    run = await bench.sending()
    launched = await bench.store.runs.record_launched(
        run, remote_id="v1_x", status="in_progress", sandbox_id="env-9", now=bench.now
    )
    assert (launched.state, launched.remote_id, launched.remote_status) == (State.RUNNING, "v1_x", "in_progress")
    assert (launched.sandbox_id, launched.sandbox_own) == ("env-9", True), "the launch made it for this run alone"
    (record,) = await bench.records()
    assert (record.status, record.units, record.elapsed_ms) == ("launched", 0, 0)
    order = "task run attempt stage origin reason day tokens cost currency hold remote"
    assert " ".join(record.fields) == order
    assert (record.fields["hold"], record.fields["remote"]) == ("50.0", "v1_x")
    assert await bench.sends(run) == ["launched"]


async def test_a_sandbox_of_the_run_is_kept_and_one_that_is_reused_is_never_its_own(bench: Bench) -> None:
    run = await bench.claimed()
    made = await bench.store.runs.record_sandbox(run, sandbox_id="env-1", own=True, note="", now=bench.now)
    assert (made.sandbox_id, made.sandbox_own, made.state) == ("env-1", True, State.CLAIMED)
    sent = await bench.store.runs.mark_sending(made, bench.now)
    launched = await bench.store.runs.record_launched(
        sent, remote_id="r", status="queued", sandbox_id="env-2", now=bench.now
    )
    assert (launched.sandbox_id, launched.sandbox_own) == ("env-1", True)
    bench.task = replace(bench.task, sandbox="env-shared")
    other = await bench.sending(date="2026-11-24")
    shared = await bench.store.runs.record_launched(
        other, remote_id="r2", status="queued", sandbox_id="env-shared", now=bench.now
    )
    assert (shared.sandbox_id, shared.sandbox_own) == ("env-shared", False)


async def test_a_stop_that_came_meanwhile_makes_it_stopping_at_once(bench: Bench) -> None:
    run = await bench.sending()
    asked = await bench.store.runs.request_stop(run.id, reason=Reason.KILL_SWITCH, by=BY, now=bench.now)
    assert asked.state is State.SENDING
    launched = await bench.launch(run)
    assert launched.stop is not None
    assert (launched.state, launched.stop.reason) == (State.STOPPING, Reason.KILL_SWITCH)
    assert (await bench.records())[0].fields["reason"] == "kill_switch"


async def test_not_knowing_keeps_key_and_hold_across_days_and_costs_a_rung(bench: Bench) -> None:
    await bench.at_stage(Stage.UNATTENDED)
    run = await bench.unconfirmed()
    assert (run.state, run.outcome, await bench.sends(run)) == (State.UNCONFIRMED, None, ["unknown"])
    assert await bench.store.stages.stage(run.task) is Stage.SEMI
    bench.clock.advance(40 * 86_400)
    assert await bench.hold(run) == ("open", None)
    assert (await bench.standing(Cap.DAILY_UNITS)).held == 0, "it counts on the day it was taken"
    statuses = [record.status for record in await bench.records()]
    assert "unconfirmed" in statuses
    record = next(record for record in await bench.records() if record.status == "unconfirmed")
    assert (record.units, record.elapsed_ms, record.fields["hold"]) == (0, 0, "50.0")


@pytest.mark.parametrize("state", [State.CLAIMED, State.RUNNING, State.STOPPING, State.UNCONFIRMED])
async def test_verdicts_are_only_for_a_run_that_is_sending(bench: Bench, state: State) -> None:
    run, runs = replace(await bench.sending(), state=state), bench.store.runs
    for call in (
        runs.record_not_sent(run, why="", final=True, now=bench.now),
        runs.record_rejected(run, why="", now=bench.now),
        runs.record_unconfirmed(run, why="", now=bench.now),
        runs.record_launched(run, remote_id="x", status="", sandbox_id=None, now=bench.now),
    ):
        with pytest.raises(IllegalTransition):
            await call
    assert (await bench.standing(Cap.DAILY_UNITS)).held == BUDGET
    assert await bench.sends(run) == ["open"]


async def test_a_sandbox_is_noted_only_before_the_launch(bench: Bench) -> None:
    with pytest.raises(IllegalTransition):
        await bench.store.runs.record_sandbox(await bench.running(), sandbox_id="env", own=True, note="", now=bench.now)
