"""A run ends once: state, books, log line and lost rung are one write, and the line says what the caps were charged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.guardrails import Cap
from console.domain.run import IllegalTransition, Outcome, Reason, State
from console.domain.task import Origin, Stage
from console.domain.usage import Usage
from console.store.errors import StaleRun
from console.store.rows import Ending, Progress
from tests.store.building import BUDGET, BY, Bench

FIELDS = "task run attempt stage origin reason day tokens cost currency hold"


async def test_an_ending_books_what_was_used(bench: Bench) -> None:
    run = await bench.running()
    ending = Ending(
        outcome=Outcome.OK,
        note="fine\x1b",
        result="all\nof it\x1b",
        usage=Usage(total=381_224, input=300_000),
        used=38_200,
        usage_known=True,
        cost_micro=910_000,
        currency="USD",
        elapsed_ms=412_300,
        remote_status="completed",
    )
    ended = await bench.store.runs.settle(run, ending, bench.now)
    assert (ended.state, ended.outcome, ended.used, ended.elapsed_ms) == (State.ENDED, Outcome.OK, 38_200, 412_300)
    assert (ended.note, ended.result, ended.remote_status) == ("fine␛", "all\nof it\x1b", "completed")
    assert await bench.hold(run) == ("settled", 38_200)
    record = (await bench.records())[-1]
    assert (record.status, record.key, record.elapsed_ms, record.units) == ("ok", run.key, 412_300, 38_200)
    assert " ".join(record.fields) == FIELDS
    told = {name: record.fields[name] for name in ("tokens", "cost", "currency", "hold", "reason", "day")}
    assert told == {
        "tokens": "381224",
        "cost": "0.91",
        "currency": "USD",
        "hold": "50.0",
        "reason": "-",
        "day": "2026-11-23",
    }


async def test_usage_that_was_never_told_is_booked_at_the_hold_and_shown_as_unknown(bench: Bench) -> None:
    ended = await bench.settle(await bench.running(), Outcome.FAILED, used=0, usage=Usage(), usage_known=False)
    assert (ended.used, ended.usage_known) == (BUDGET, False)
    record = (await bench.records())[-1]
    assert (record.units, record.fields["tokens"], record.fields["cost"]) == (BUDGET, "-", "-")
    assert (await bench.standing(Cap.DAILY_UNITS)).spent == BUDGET


async def test_figures_that_were_seen_while_it_ran_are_not_lost_at_its_end(bench: Bench) -> None:
    run = await bench.running()
    seen = Progress(usage=Usage(total=900), used=90, usage_known=True, remote_status="in_progress")
    run = await bench.store.runs.record_progress(run, seen, bench.now)
    ended = await bench.settle(run, Outcome.FAILED, used=0, usage=Usage(), usage_known=False)
    assert (ended.used, ended.usage.total, ended.usage_known) == (90, 900, True)
    assert (ended.remote_status, await bench.hold(run)) == ("in_progress", ("settled", 90))


async def test_more_than_was_held_is_booked_as_it_is_and_noted(bench: Bench) -> None:
    bench.caps = replace(bench.caps, daily_units=BUDGET * 2)
    ended = await bench.settle(await bench.running(), Outcome.BUDGET, used=BUDGET * 3)
    assert ended.used == BUDGET * 3
    standing = await bench.standing(Cap.DAILY_UNITS)
    assert (standing.spent, standing.left) == (BUDGET * 3, 0)
    note = next(record for record in await bench.records() if record.fields.get("event") == "overshoot")
    assert (note.fields["hold"], note.fields["used"], note.fields["run"]) == ("50.0", "150.0", ended.id)
    refused = await bench.claim(date="2026-11-24")
    assert refused.refusal is not None, "what was passed launches nothing more"


async def test_a_claim_that_ends_unsent_costs_nothing(bench: Bench) -> None:
    run = await bench.claimed()
    ended = await bench.store.runs.settle(
        run, Ending.of_nothing_sent(Outcome.CANCELLED, "before it was sent"), bench.now
    )
    assert (ended.outcome, ended.used, ended.elapsed_ms) == (Outcome.CANCELLED, 0, 0)
    assert await bench.hold(run) == ("released", None)
    record = (await bench.records())[-1]
    assert (record.status, record.units, record.fields["tokens"]) == ("cancelled", 0, "0")


async def test_the_reason_of_a_stop_stands_in_the_line(bench: Bench) -> None:
    run = await bench.running()
    run = await bench.store.runs.request_stop(run.id, reason=Reason.TIMEOUT, by="nightdesk", now=bench.now)
    await bench.settle(run, Outcome.TIMEOUT)
    assert (await bench.records())[-1].fields["reason"] == "timeout"


@pytest.mark.parametrize("state", [State.SENDING, State.UNCONFIRMED])
async def test_what_may_be_running_cannot_be_settled(bench: Bench, state: State) -> None:
    run = await (bench.sending() if state is State.SENDING else bench.unconfirmed())
    with pytest.raises(IllegalTransition):
        await bench.settle(run)
    with pytest.raises(ValueError, match="no run ends skipped"):
        await bench.settle(run, Outcome.SKIPPED)
    assert await bench.hold(run) == ("open", None)


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.BUDGET, Outcome.FAILED])
async def test_a_bad_ending_costs_one_rung_and_says_which_run(bench: Bench, outcome: Outcome) -> None:
    await bench.at_stage(Stage.UNATTENDED)
    run = await bench.ended(outcome, origin=Origin.SCHEDULE)
    change = (await bench.store.stages.changes(run.task))[-1]
    assert (change.before, change.after, change.by) == (Stage.UNATTENDED, Stage.SEMI, "nightdesk")
    assert (change.run_id, outcome.value in change.reason) == (run.id, True)
    note = (await bench.records())[-1]
    assert (note.fields["event"], note.fields["before"], note.fields["after"]) == ("stage", "unattended", "semi")


async def test_there_is_no_rung_below_manual_and_other_endings_cost_none(bench: Bench) -> None:
    await bench.ended(Outcome.FAILED)
    assert await bench.store.stages.changes("report") == ()
    await bench.at_stage(Stage.SEMI)
    for number, outcome in enumerate((Outcome.OK, Outcome.CANCELLED, Outcome.INCOMPLETE, Outcome.REJECTED)):
        await bench.ended(outcome, date=f"2026-12-{number + 10}")
    assert await bench.store.stages.stage("report") is Stage.SEMI


async def test_the_rules_of_the_claim_decide_about_the_rung(bench: Bench) -> None:
    await bench.at_stage(Stage.SEMI)
    bench.rules = replace(bench.rules, demote_on=("cancelled",))
    await bench.ended(Outcome.FAILED)
    assert await bench.store.stages.stage("report") is Stage.SEMI
    await bench.ended(Outcome.CANCELLED, date="2026-11-24")
    assert await bench.store.stages.stage("report") is Stage.MANUAL


async def test_a_failure_that_is_tried_again_costs_no_rung_yet(bench: Bench) -> None:
    await bench.at_stage(Stage.UNATTENDED)
    run = await bench.running(origin=Origin.SCHEDULE)
    failed = await bench.settle(run, Outcome.FAILED, retry_at_ms=bench.now.wall_ms + 60_000)
    assert failed.retry_at_ms == bench.now.wall_ms + 60_000
    assert await bench.store.stages.stage("report") is Stage.UNATTENDED


@pytest.mark.parametrize("state", [State.SENDING, State.UNCONFIRMED])
async def test_an_adopted_run_goes_on(bench: Bench, state: State) -> None:
    run = await (bench.sending() if state is State.SENDING else bench.unconfirmed())
    adopted = await bench.store.runs.adopt(run, remote_id="v1_found", by="anna", reason="in the console", now=bench.now)
    assert (adopted.state, adopted.remote_id, await bench.sends(run)) == (State.RUNNING, "v1_found", ["launched"])
    note, launched = (await bench.records())[-2:]
    assert dict(note.fields) == {
        "event": "settle",
        "task": "report",
        "run": run.id,
        "ruling": "adopt",
        "remote": "v1_found",
        "by": "anna",
        "why": "in the console",
    }
    assert launched.status == "launched"
    assert (await bench.settle(adopted)).outcome is Outcome.OK


async def test_an_adopted_run_that_was_to_stop_is_stopping(bench: Bench) -> None:
    run = await bench.unconfirmed()
    asked = await bench.store.runs.request_stop(run.id, reason=Reason.TIMEOUT, by="nightdesk", now=bench.now)
    adopted = await bench.store.runs.adopt(asked, remote_id="r", by=BY, reason="seen", now=bench.now)
    assert adopted.state is State.STOPPING


async def test_a_ruling_that_nothing_was_launched_frees_key_and_hold(bench: Bench) -> None:
    run = await bench.unconfirmed()
    ruled = await bench.store.runs.rule_not_launched(run, by="anna", reason="sandbox deleted", now=bench.now)
    assert (ruled.outcome, ruled.used, ruled.note) == (
        Outcome.NOT_SENT,
        0,
        "ruled not launched by anna: sandbox deleted",
    )
    assert (await bench.sends(run), await bench.hold(run)) == (["ruled_not_launched"], ("released", None))
    assert (await bench.claimed()).attempt == 2


async def test_a_write_off_books_the_hold_and_keeps_the_key(bench: Bench) -> None:
    run = await bench.unconfirmed()
    bench.clock.advance(30)
    off = await bench.store.runs.write_off(run, by="anna", reason="cannot be told", now=bench.now)
    assert (off.outcome, off.used, off.elapsed_ms) == (Outcome.WRITTEN_OFF, BUDGET, 30_000)
    assert (await bench.hold(run), await bench.sends(run)) == (("settled", BUDGET), ["unknown"])
    assert (await bench.claim()).refusal is not None


async def test_a_stop_without_proof_is_written_off_only_after_its_alarm(bench: Bench) -> None:
    run = await bench.stopping()
    run = await bench.store.runs.record_progress(run, Progress(used=BUDGET * 2, usage_known=True), bench.now)
    with pytest.raises(IllegalTransition, match="after the alarm"):
        await bench.store.runs.write_off(run, by=BY, reason="no", now=bench.now)
    alarmed = await bench.store.runs.record_alarm(run, bench.now)
    off = await bench.store.runs.write_off(alarmed, by=BY, reason="gave up", now=bench.now)
    assert off.used == BUDGET * 2, "what is known to be used is never clipped"


async def test_rulings_are_only_for_what_nobody_knows(bench: Bench) -> None:
    run, runs = await bench.running(), bench.store.runs
    for call in (
        runs.adopt(run, remote_id="x", by=BY, reason="r", now=bench.now),
        runs.rule_not_launched(run, by=BY, reason="r", now=bench.now),
        runs.write_off(run, by=BY, reason="r", now=bench.now),
    ):
        with pytest.raises(IllegalTransition):
            await call
    ended = await bench.settle(run)
    with pytest.raises(StaleRun):
        await bench.settle(run)
    assert await bench.run(run) == ended
