"""One transaction judges pause, key, stage and caps, and takes key and hold; its answer is on disk, with its line."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from console.domain.admission import Asking, KeyAnswer, KeyVerdict
from console.domain.guardrails import Cap, Caps, Refusal, RefusalKind
from console.domain.run import RERUN_FREELY, Outcome, Run, State
from console.domain.task import Guardrails, Origin, Stage
from console.store.errors import StoreFull, StoreRefused
from console.store.launches import ClaimKind, Launches
from console.store.orders import FRESH_MS
from tests.store.building import BUDGET, BY, CAPS, OWNER, Bench, a_task

NEEDS_RERUN = (Outcome.FAILED, Outcome.INCOMPLETE, Outcome.BUDGET, Outcome.TIMEOUT, Outcome.CANCELLED)


async def test_a_claim_takes_key_and_hold_and_says_who_has_it(bench: Bench) -> None:
    order = bench.order()
    answer = await bench.store.launches.claim(order, bench.now)
    run = answer.run
    assert run is not None
    assert (answer.kind, run.state, run.attempt, run.fence) == (ClaimKind.CLAIMED, State.CLAIMED, 1, 1)
    assert (run.key, run.owner, run.requested_by, run.claimed) == (order.key, OWNER, BY, bench.now)
    assert run.expires_ms == bench.now.wall_ms + FRESH_MS
    assert await bench.hold(run) == ("open", None)
    assert (await bench.standing(Cap.DAILY_UNITS)).held == BUDGET
    assert await bench.store.runs.get(run.id) == run
    assert await bench.records() == ()


async def test_the_second_taker_is_skipped_and_told_which_run_has_the_key(bench: Bench) -> None:
    first = await bench.claimed()
    answer = await bench.claim()
    assert answer.kind is ClaimKind.SKIPPED
    assert answer.holder == first
    entry = answer.run
    assert entry is not None
    assert (entry.state, entry.outcome, entry.attempt, entry.used) == (State.ENDED, Outcome.SKIPPED, 0, 0)
    assert await bench.hold(entry) is None
    (record,) = await bench.records()
    assert (record.status, record.fields["reason"], record.fields["run"]) == ("skipped", "running", entry.id)
    assert await bench.store.runs.by_key(first.key) == (first,)


async def test_a_key_that_ended_ok_is_skipped_for_ever(bench: Bench) -> None:
    done = await bench.ended(Outcome.OK)
    bench.clock.advance(400 * 86_400)
    answer = await bench.claim()
    assert (answer.kind, answer.holder) == (ClaimKind.SKIPPED, done)
    assert (await bench.records())[-1].fields["reason"] == "done"


async def test_a_rerun_by_hand_supersedes_the_ok_run_in_the_same_transaction(bench: Bench) -> None:
    done = await bench.ended(Outcome.OK)
    assert (await bench.claim(rerun=True)).kind is ClaimKind.SKIPPED, "a rerun needs a reason"
    scheduled = await bench.claim(rerun=True, reason="again", origin=Origin.SCHEDULE)
    assert scheduled.kind is ClaimKind.SKIPPED, "a schedule has no reruns"
    again = await bench.claimed(rerun=True, reason="the report was wrong")
    assert (again.attempt, again.note) == (2, "the report was wrong")
    assert (await bench.run(done)).superseded_by == again.id
    assert (await bench.run(done)).outcome is Outcome.OK


@pytest.mark.parametrize("outcome", sorted(RERUN_FREELY))
async def test_an_ending_of_which_nothing_was_launched_frees_the_key(bench: Bench, outcome: Outcome) -> None:
    await bench.ended(outcome)
    assert (await bench.claimed()).attempt == 2


@pytest.mark.parametrize("outcome", [*NEEDS_RERUN, Outcome.WRITTEN_OFF])
async def test_any_other_ending_blocks_the_key_until_a_person_reruns_it(bench: Bench, outcome: Outcome) -> None:
    ended = await bench.ended(outcome)
    answer = await bench.claim()
    assert answer.kind is ClaimKind.REFUSED
    assert answer.refusal is not None
    assert (answer.refusal.kind, "--rerun" in answer.refusal.sentence) == (RefusalKind.KEY_HELD, True)
    assert (await bench.records())[-1].fields["reason"] == "key_held"
    again = await bench.claimed(rerun=True, reason="understood")
    assert (again.attempt, (await bench.run(ended)).superseded_by) == (2, None)


async def test_another_fingerprint_is_refused_and_the_difference_named(bench: Bench) -> None:
    await bench.running()
    edited = replace(bench.task, model="model-2")
    answer = await bench.claim(edited)
    assert answer.refusal is not None
    assert (answer.kind, answer.refusal.kind) == (ClaimKind.REFUSED, RefusalKind.FINGERPRINT)
    assert answer.differences == ("model: model-1 -> model-2",)
    rerun = await bench.claim(edited, rerun=True, reason="new model")
    assert rerun.kind is ClaimKind.REFUSED, "nothing takes a key from a run that is open"


async def test_a_rerun_with_another_fingerprint_records_the_difference(bench: Bench) -> None:
    await bench.ended(Outcome.FAILED)
    run = await bench.claimed(replace(bench.task, model="model-2"), rerun=True, reason="new model")
    claimed = (await bench.store.runs.timeline(run.id))[0]
    assert claimed.detail["differences"] == "model: model-1 -> model-2"
    assert claimed.detail["why"] == "new model"


async def test_unconfirmed_blocks_everybody(bench: Bench) -> None:
    held = await bench.unconfirmed()
    answer = await bench.claim(rerun=True, reason="please")
    assert answer.refusal is not None
    assert (answer.refusal.kind, answer.holder) == (RefusalKind.KEY_HELD, held)


async def test_pause_is_judged_before_anything_else(bench: Bench) -> None:
    await bench.ended(Outcome.OK)
    await bench.store.controls.pause(by="anna", now=bench.now)
    answer = await bench.claim()
    assert answer.refusal is not None
    assert (answer.refusal.kind, "anna" in answer.refusal.sentence) == (RefusalKind.PAUSED, True)


async def test_the_stage_decides_what_a_schedule_may(bench: Bench) -> None:
    refused = await bench.claim(origin=Origin.SCHEDULE)
    assert refused.refusal is not None
    assert refused.refusal.kind is RefusalKind.STAGE
    await bench.at_stage(Stage.SEMI)
    window = bench.now.wall_ms + 3_600_000
    proposal = await bench.claim(origin=Origin.SCHEDULE, expires_ms=window)
    assert proposal.run is not None
    assert (proposal.kind, proposal.run.state, proposal.run.owner) == (ClaimKind.PROPOSED, State.PROPOSED, None)
    assert (proposal.run.expires_ms, await bench.hold(proposal.run)) == (window, None)
    again = await bench.claim(origin=Origin.SCHEDULE)
    assert (again.kind, again.holder) == (ClaimKind.SKIPPED, proposal.run), "one proposal a key"
    by_hand = await bench.claim()
    assert by_hand.refusal is not None
    assert "waits for approval" in by_hand.refusal.sentence


async def test_a_proposal_waits_no_longer_than_the_rules_say(bench: Bench) -> None:
    run = await bench.proposed(expires_ms=bench.now.wall_ms + 10 * bench.rules.approval_ms)
    assert run.expires_ms == bench.now.wall_ms + bench.rules.approval_ms


async def test_unattended_runs_within_its_window_and_one_rung_lower_while_unconfirmed(bench: Bench) -> None:
    await bench.at_stage(Stage.UNATTENDED)
    window = bench.now.wall_ms + 7_200_000
    run = await bench.claimed(origin=Origin.SCHEDULE, expires_ms=window)
    assert (run.stage, run.expires_ms) == (Stage.UNATTENDED, window)
    lost = await bench.store.runs.mark_sending(run, bench.now)
    bench.rules = replace(bench.rules, demote_on=())
    await bench.store.runs.record_unconfirmed(lost, why="silence", now=bench.now)
    await bench.at_stage(Stage.UNATTENDED)
    next_day = await bench.claim(origin=Origin.SCHEDULE, date="2026-11-24")
    assert next_day.run is not None
    assert (next_day.kind, next_day.run.stage) == (ClaimKind.PROPOSED, Stage.SEMI)


async def test_an_automatic_retry_runs_only_after_failed_and_only_unattended(bench: Bench) -> None:
    await bench.at_stage(Stage.UNATTENDED)
    bench.rules = replace(bench.rules, demote_on=())
    await bench.ended(Outcome.FAILED, origin=Origin.SCHEDULE)
    retry = await bench.claimed(origin=Origin.SCHEDULE, automatic_retry=True)
    assert retry.attempt == 2
    await bench.settle(await bench.launch(await bench.store.runs.mark_sending(retry, bench.now)), Outcome.TIMEOUT)
    refused = await bench.claim(origin=Origin.SCHEDULE, automatic_retry=True)
    assert refused.refusal is not None
    assert refused.refusal.kind is RefusalKind.KEY_HELD
    other = a_task("other")
    await bench.at_stage(Stage.SEMI, other)
    await bench.ended(Outcome.FAILED, other)
    demoted = await bench.claim(other, origin=Origin.SCHEDULE, automatic_retry=True)
    assert demoted.refusal is not None
    assert demoted.refusal.kind is RefusalKind.STAGE


CAP_CASES = [
    (Cap.DAILY_UNITS, replace(CAPS, daily_units=BUDGET + BUDGET - 1)),
    (Cap.MONTHLY_UNITS, replace(CAPS, monthly_units=BUDGET + BUDGET - 1)),
    (Cap.DAILY_RUNS, replace(CAPS, daily_runs=1)),
    (Cap.CONCURRENT_RUNS, replace(CAPS, concurrent_runs=1)),
]
TASK_CAP_CASES = [
    (Cap.TASK_DAILY_RUNS, Guardrails(max_ms=1, budget=BUDGET, daily_runs=1)),
    (Cap.TASK_DAILY_UNITS, Guardrails(max_ms=1, budget=BUDGET, daily_units=BUDGET)),
]


@pytest.mark.parametrize(("cap", "caps"), CAP_CASES)
async def test_each_cap_refuses_the_launch_that_would_pass_it(bench: Bench, cap: Cap, caps: Caps) -> None:
    bench.caps = caps
    await bench.claimed()
    answer = await bench.claim(date="2026-11-24")
    assert answer.refusal is not None
    assert answer.refusal.standing is not None
    assert (answer.refusal.kind, answer.refusal.standing.cap) == (RefusalKind.CAP, cap)
    assert answer.run is not None
    assert await bench.hold(answer.run) is None
    record = (await bench.records())[-1]
    assert (record.status, record.fields["reason"], record.units) == ("refused", "cap", 0)


@pytest.mark.parametrize(("cap", "rails"), TASK_CAP_CASES)
async def test_a_task_has_caps_of_its_own(bench: Bench, cap: Cap, rails: Guardrails) -> None:
    tight = a_task(guardrails=rails)
    await bench.claimed(tight)
    answer = await bench.claim(tight, date="2026-11-24")
    assert answer.refusal is not None
    assert answer.refusal.standing is not None
    assert answer.refusal.standing.cap is cap
    assert (await bench.claim(a_task("other"))).kind is ClaimKind.CLAIMED


async def test_a_look_answers_as_a_claim_would_and_writes_nothing(bench: Bench) -> None:
    for expected in (ClaimKind.CLAIMED, ClaimKind.SKIPPED):
        look = await bench.store.launches.look(bench.order(), bench.now)
        assert (look.kind, look.run) == (expected, None)
        assert len(look.standings) == 6
        if expected is ClaimKind.CLAIMED:
            assert await bench.store.runs.open_runs() == ()
            await bench.claimed()
    assert await bench.records() == ()


async def test_a_missed_instant_and_an_engines_refusal_are_entries_with_a_line(bench: Bench) -> None:
    missed = await bench.store.launches.miss(bench.order(), bench.now)
    clock = Refusal(kind=RefusalKind.CLOCK, sentence="the clock stepped")
    refused = await bench.store.launches.refuse(bench.order(), clock, bench.now)
    assert (missed.outcome, refused.outcome) == (Outcome.SKIPPED, Outcome.REFUSED)
    assert [record.fields["reason"] for record in await bench.records()] == ["missed", "clock"]
    assert (await bench.claimed()).attempt == 1


async def test_the_index_has_the_last_word_over_a_judge_that_is_wrong(bench: Bench) -> None:
    def always_free(runs: Sequence[Run], asking: Asking) -> KeyVerdict:
        return KeyVerdict(answer=KeyAnswer.FREE, attempt=len(runs) + 1)

    first = await bench.claimed()
    naive = Launches(bench.store.database, judge=always_free)
    answer = await naive.claim(bench.order(), bench.now)
    assert (answer.kind, answer.holder) == (ClaimKind.SKIPPED, first)
    assert await bench.store.runs.by_key(first.key) == (first,)
    assert (await bench.standing(Cap.DAILY_UNITS)).held == BUDGET


async def test_a_cancelled_claim_took_key_and_hold_or_neither(bench: Bench) -> None:
    """Whoever was cancelled finds out by reading: the run is there with everything, or not at all."""
    bench.caps, taken = replace(CAPS, daily_runs=None, daily_units=None, concurrent_runs=None), 0
    for turns in range(60):
        order = bench.order(a_task(f"t{turns}"))
        claim = asyncio.create_task(bench.store.launches.claim(order, bench.now))
        for _ in range(turns):
            await asyncio.sleep(0)
        claim.cancel()
        await asyncio.gather(claim, return_exceptions=True)
        assert not bench.store.database.in_transaction
        run = await bench.store.runs.get(order.run_id)
        taken += run is not None
        if run is not None:
            assert (await bench.hold(run), await bench.kinds(run)) == (("open", None), ["claimed"])
    assert (await bench.standing(Cap.CONCURRENT_RUNS)).held == taken
    assert (await bench.standing(Cap.MONTHLY_UNITS)).held == taken * BUDGET


async def test_a_run_id_is_used_once(bench: Bench) -> None:
    order = bench.order()
    await bench.store.launches.claim(order, bench.now)
    with pytest.raises(StoreRefused):
        await bench.store.launches.claim(order, bench.now)


async def test_too_little_room_on_the_disk_launches_nothing(bench: Bench) -> None:
    cramped = Launches(bench.store.database, room=lambda: 50 * 1024 * 1024 - 1)
    with pytest.raises(StoreFull, match="51199 KiB are free"):
        await cramped.claim(bench.order(), bench.now)
    assert await bench.store.runs.open_runs() == ()


async def test_hostile_text_in_an_order_is_stored_cleaned(bench: Bench) -> None:
    run = await bench.claimed(by="eve\x1b[2J\ud800", rerun=True, reason="\x07\u202e")
    assert run.requested_by == "eve␛[2J\\ud800"
    assert run.note == "␇\\u202e"
