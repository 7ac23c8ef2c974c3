"""A run ends once: state, hold, log record and demotion are written together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.caps import Cap
from console.domain.run import IllegalTransition, Outcome, State, StopReason
from console.domain.task import Stage
from console.domain.usage import Usage
from console.store.errors import StaleRun
from console.store.progress import Progress
from console.store.transitions import RunResult
from tests.store.harness import BUDGET, BY, StoreHarness, record_progress

FIELDS = "task run attempt stage origin reason day tokens cost currency hold by"


async def test_settling_charges_what_was_used(harness: StoreHarness) -> None:
    run = await harness.running()
    ending = RunResult(
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
    ended = await harness.store.runs.settle(run, ending, harness.now)
    assert (ended.state, ended.outcome, ended.used, ended.elapsed_ms) == (State.ENDED, Outcome.OK, 38_200, 412_300)
    assert (ended.note, ended.result, ended.remote_status) == ("fine␛", "all\nof it\x1b", "completed")
    assert await harness.hold(run) == ("settled", 38_200)
    record = (await harness.records())[-1]
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


async def test_unreported_usage_is_charged_at_the_hold_and_shown_as_unknown(harness: StoreHarness) -> None:
    ended = await harness.settle(await harness.running(), Outcome.FAILED, used=0, usage=Usage(), usage_known=False)
    assert (ended.used, ended.usage_known) == (BUDGET, False)
    record = (await harness.records())[-1]
    assert (record.units, record.fields["tokens"], record.fields["cost"]) == (BUDGET, "-", "-")
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).spent == BUDGET


@pytest.mark.parametrize(("live", "charged"), [(90, BUDGET), (BUDGET + 1, BUDGET + 1)])
async def test_figures_that_may_be_outdated_do_not_count_as_the_final_usage(
    harness: StoreHarness, live: int, charged: int
) -> None:
    run = await harness.running()
    seen = Progress(usage=Usage(total=900), used=live, usage_known=True, remote_status="in_progress")
    run = await record_progress(harness.store.runs, run, seen, harness.now)
    ended = await harness.settle(run, Outcome.FAILED, used=0, usage=Usage(), usage_known=False)
    assert (ended.used, ended.usage.total, ended.usage_known) == (charged, 900, False)
    assert (ended.remote_status, await harness.hold(run)) == ("in_progress", ("settled", charged))


async def test_more_than_was_held_is_booked_as_it_is_and_noted(harness: StoreHarness) -> None:
    harness.caps = replace(harness.caps, daily_units=BUDGET * 2)
    ended = await harness.settle(await harness.running(), Outcome.BUDGET, used=BUDGET * 3)
    assert ended.used == BUDGET * 3
    cap_usage = await harness.cap_usage(Cap.DAILY_UNITS)
    assert (cap_usage.spent, cap_usage.left) == (BUDGET * 3, 0)
    note = next(record for record in await harness.records() if record.fields.get("event") == "overshoot")
    assert (note.fields["hold"], note.fields["used"], note.fields["run"]) == ("50.0", "150.0", ended.id)
    refused = await harness.claim(date="2026-11-24")
    assert refused.refusal is not None, "what was passed launches nothing more"


async def test_a_claim_that_ends_unsent_costs_nothing(harness: StoreHarness) -> None:
    run = await harness.claimed()
    ended = await harness.store.runs.settle(
        run, RunResult.of_nothing_sent(Outcome.CANCELLED, "before it was sent"), harness.now
    )
    assert (ended.outcome, ended.used, ended.elapsed_ms) == (Outcome.CANCELLED, 0, 0)
    assert await harness.hold(run) == ("released", None)
    record = (await harness.records())[-1]
    assert (record.status, record.units, record.fields["tokens"]) == ("cancelled", 0, "0")


async def test_the_log_record_names_the_reason_of_a_stop(harness: StoreHarness) -> None:
    run = await harness.running()
    run = await harness.store.runs.request_stop(run.id, reason=StopReason.TIMEOUT, by="nightdesk", now=harness.now)
    await harness.settle(run, Outcome.TIMEOUT)
    assert (await harness.records())[-1].fields["reason"] == "timeout"


@pytest.mark.parametrize("state", [State.SENDING, State.UNCONFIRMED])
async def test_what_may_be_running_cannot_be_settled(harness: StoreHarness, state: State) -> None:
    run = await (harness.sending() if state is State.SENDING else harness.unconfirmed())
    with pytest.raises(IllegalTransition):
        await harness.settle(run)
    with pytest.raises(ValueError, match="no run ends skipped"):
        await harness.settle(run, Outcome.SKIPPED)
    assert await harness.hold(run) == ("open", None)


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.BUDGET, Outcome.FAILED])
async def test_a_bad_ending_demotes_by_one_stage_and_names_the_run(harness: StoreHarness, outcome: Outcome) -> None:
    await harness.at_stage(Stage.UNATTENDED)
    run = await harness.ended(outcome, scheduled=True)
    change = (await harness.store.stages.changes(run.task))[-1]
    assert (change.before, change.after, change.by) == (Stage.UNATTENDED, Stage.SEMI, "nightdesk")
    assert (change.run_id, outcome.value in change.reason) == (run.id, True)
    note = (await harness.records())[-1]
    assert (note.fields["event"], note.fields["before"], note.fields["after"]) == ("stage", "unattended", "semi")


async def test_manual_is_the_lowest_stage_and_other_endings_do_not_demote(harness: StoreHarness) -> None:
    await harness.ended(Outcome.FAILED)
    assert await harness.store.stages.changes("report") == ()
    await harness.at_stage(Stage.SEMI)
    for number, outcome in enumerate((Outcome.OK, Outcome.CANCELLED, Outcome.INCOMPLETE, Outcome.REJECTED)):
        await harness.ended(outcome, date=f"2026-12-{number + 10}")
    assert await harness.store.stages.stage("report") is Stage.SEMI


async def test_the_rules_stored_with_the_claim_decide_on_a_demotion(harness: StoreHarness) -> None:
    await harness.at_stage(Stage.SEMI)
    harness.rules = replace(harness.rules, demote_on=("cancelled",))
    await harness.ended(Outcome.FAILED)
    assert await harness.store.stages.stage("report") is Stage.SEMI
    await harness.ended(Outcome.CANCELLED, date="2026-11-24")
    assert await harness.store.stages.stage("report") is Stage.MANUAL


async def test_a_failure_with_a_scheduled_retry_does_not_demote_yet(harness: StoreHarness) -> None:
    await harness.at_stage(Stage.UNATTENDED)
    run = await harness.running(scheduled=True)
    failed = await harness.settle(run, Outcome.FAILED, retry_at_ms=harness.now.wall_ms + 60_000)
    assert failed.retry_at_ms == harness.now.wall_ms + 60_000
    assert await harness.store.stages.stage("report") is Stage.UNATTENDED


@pytest.mark.parametrize("state", [State.SENDING, State.UNCONFIRMED])
async def test_an_adopted_run_goes_on(harness: StoreHarness, state: State) -> None:
    run = await (harness.sending() if state is State.SENDING else harness.unconfirmed())
    adopted = await harness.store.runs.adopt(
        run, remote_id="v1_found", by="anna", reason="in the console", now=harness.now
    )
    assert (adopted.state, adopted.remote_id, await harness.sends(run)) == (State.RUNNING, "v1_found", ["launched"])
    note, launched = (await harness.records())[-2:]
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
    assert (await harness.settle(adopted)).outcome is Outcome.OK


async def test_an_adopted_run_that_was_to_stop_is_stopping(harness: StoreHarness) -> None:
    run = await harness.unconfirmed()
    asked = await harness.store.runs.request_stop(run.id, reason=StopReason.TIMEOUT, by="nightdesk", now=harness.now)
    adopted = await harness.store.runs.adopt(asked, remote_id="r", by=BY, reason="seen", now=harness.now)
    assert adopted.state is State.STOPPING


async def test_a_ruling_that_nothing_was_launched_frees_key_and_hold(harness: StoreHarness) -> None:
    run = await harness.unconfirmed()
    ruled = await harness.store.runs.rule_not_launched(run, by="anna", reason="sandbox deleted", now=harness.now)
    assert (ruled.outcome, ruled.used, ruled.note) == (
        Outcome.NOT_SENT,
        0,
        "ruled not launched by anna: sandbox deleted",
    )
    assert (await harness.sends(run), await harness.hold(run)) == (["ruled_not_launched"], ("released", None))
    assert (await harness.claimed()).attempt == 2


async def test_a_write_off_charges_the_hold_and_keeps_the_key(harness: StoreHarness) -> None:
    run = await harness.unconfirmed()
    harness.clock.advance(30)
    off = await harness.store.runs.write_off(run, by="anna", reason="cannot be told", now=harness.now)
    assert (off.outcome, off.used, off.elapsed_ms) == (Outcome.WRITTEN_OFF, BUDGET, 30_000)
    assert (await harness.hold(run), await harness.sends(run)) == (("settled", BUDGET), ["unknown"])
    assert (await harness.claim()).refusal is not None


async def test_a_stop_without_proof_is_written_off_only_after_its_alarm(harness: StoreHarness) -> None:
    run = await harness.stopping()
    run = await record_progress(harness.store.runs, run, Progress(used=BUDGET * 2, usage_known=True), harness.now)
    with pytest.raises(IllegalTransition, match="after the alarm"):
        await harness.store.runs.write_off(run, by=BY, reason="no", now=harness.now)
    alarmed = await harness.store.runs.record_alarm(run, harness.now)
    off = await harness.store.runs.write_off(alarmed, by=BY, reason="gave up", now=harness.now)
    assert off.used == BUDGET * 2, "what is known to be used is never clipped"


async def test_rulings_are_for_unconfirmed_runs_only(harness: StoreHarness) -> None:
    run, runs = await harness.running(), harness.store.runs
    for call in (
        runs.adopt(run, remote_id="x", by=BY, reason="r", now=harness.now),
        runs.rule_not_launched(run, by=BY, reason="r", now=harness.now),
        runs.write_off(run, by=BY, reason="r", now=harness.now),
    ):
        with pytest.raises(IllegalTransition):
            await call
    ended = await harness.settle(run)
    with pytest.raises(StaleRun):
        await harness.settle(run)
    assert await harness.run(run) == ended
