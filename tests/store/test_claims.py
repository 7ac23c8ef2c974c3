"""Claims: one transaction checks kill switch, key, stage and caps, and stores its result with a log record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from console.domain.caps import Cap, Caps, RefusalKind
from console.domain.key import KeyDecision, KeyDecisionKind, KeyRequest
from console.domain.launch import LaunchKind
from console.domain.run import KEY_FREEING_OUTCOMES, Outcome, Run, State
from console.domain.task import Guardrails, Stage
from console.store.claims import FRESH_MS, ClaimRepository
from console.store.errors import KeyTaken, StoreFull, StoreRefused
from tests.store.harness import BUDGET, BY, CAPS, OWNER, StoreHarness, a_task

NEEDS_RERUN = (Outcome.FAILED, Outcome.INCOMPLETE, Outcome.BUDGET, Outcome.TIMEOUT, Outcome.CANCELLED)


async def test_a_claim_takes_key_and_hold_and_records_owner_and_user(harness: StoreHarness) -> None:
    request, terms = harness.launch_of()
    answer = await harness.store.claims.claim(request, terms, harness.now)
    run = answer.run
    assert run is not None
    assert (answer.kind, run.state, run.attempt, run.fence) == (LaunchKind.LAUNCHED, State.CLAIMED, 1, 1)
    assert (run.key, run.owner, run.requested_by, run.claimed) == (terms.key, OWNER, BY, harness.now)
    assert run.expires_ms == harness.now.wall_ms + FRESH_MS
    assert await harness.hold(run) == ("open", None)
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).held == BUDGET
    assert await harness.store.runs.get(run.id) == run
    assert await harness.records() == ()


async def test_the_second_claim_is_skipped_and_names_the_run_that_has_the_key(harness: StoreHarness) -> None:
    first = await harness.claimed()
    answer = await harness.claim()
    assert answer.kind is LaunchKind.SKIPPED
    assert answer.holder == first
    entry = answer.run
    assert entry is not None
    assert (entry.state, entry.outcome, entry.attempt, entry.used) == (State.ENDED, Outcome.SKIPPED, 0, 0)
    assert await harness.hold(entry) is None
    (record,) = await harness.records()
    assert (record.status, record.fields["reason"], record.fields["run"]) == ("skipped", "running", entry.id)
    assert await harness.store.runs.by_key(first.key) == (first,)


async def test_a_key_that_ended_ok_is_skipped_for_ever(harness: StoreHarness) -> None:
    done = await harness.ended(Outcome.OK)
    harness.clock.advance(400 * 86_400)
    answer = await harness.claim()
    assert (answer.kind, answer.holder) == (LaunchKind.SKIPPED, done)
    assert (await harness.records())[-1].fields["reason"] == "done"


async def test_a_rerun_by_hand_supersedes_the_ok_run_in_the_same_transaction(harness: StoreHarness) -> None:
    done = await harness.ended(Outcome.OK)
    assert (await harness.claim(rerun=True)).kind is LaunchKind.SKIPPED, "a rerun needs a reason"
    scheduled = await harness.claim(rerun=True, reason="again", scheduled=True)
    assert scheduled.kind is LaunchKind.SKIPPED, "a schedule has no reruns"
    again = await harness.claimed(rerun=True, reason="the report was wrong")
    assert (again.attempt, again.note) == (2, "the report was wrong")
    assert (await harness.run(done)).superseded_by == again.id
    assert (await harness.run(done)).outcome is Outcome.OK


@pytest.mark.parametrize("outcome", sorted(KEY_FREEING_OUTCOMES))
async def test_an_ending_of_which_nothing_was_launched_frees_the_key(harness: StoreHarness, outcome: Outcome) -> None:
    await harness.ended(outcome)
    assert (await harness.claimed()).attempt == 2


@pytest.mark.parametrize("outcome", [*NEEDS_RERUN, Outcome.WRITTEN_OFF])
async def test_any_other_ending_blocks_the_key_until_a_person_reruns_it(
    harness: StoreHarness, outcome: Outcome
) -> None:
    ended = await harness.ended(outcome)
    answer = await harness.claim()
    assert answer.kind is LaunchKind.REFUSED
    assert answer.refusal is not None
    assert (answer.refusal.kind, "--rerun" in answer.refusal.sentence) == (RefusalKind.KEY_HELD, True)
    assert (await harness.records())[-1].fields["reason"] == "key_held"
    again = await harness.claimed(rerun=True, reason="understood")
    assert (again.attempt, (await harness.run(ended)).superseded_by) == (2, None)


async def test_another_fingerprint_is_refused_and_the_difference_named(harness: StoreHarness) -> None:
    await harness.running()
    edited = replace(harness.task, model="model-2")
    answer = await harness.claim(edited)
    assert answer.refusal is not None
    assert (answer.kind, answer.refusal.kind) == (LaunchKind.REFUSED, RefusalKind.FINGERPRINT)
    assert answer.differences == ("model: model-1 -> model-2",)
    rerun = await harness.claim(edited, rerun=True, reason="new model")
    assert rerun.kind is LaunchKind.REFUSED, "nothing takes a key from a run that is open"


async def test_a_rerun_with_another_fingerprint_records_the_difference(harness: StoreHarness) -> None:
    await harness.ended(Outcome.FAILED)
    run = await harness.claimed(replace(harness.task, model="model-2"), rerun=True, reason="new model")
    claimed = (await harness.store.runs.timeline(run.id))[0]
    assert claimed.detail["differences"] == "model: model-1 -> model-2"
    assert claimed.detail["why"] == "new model"


async def test_an_unconfirmed_run_blocks_every_launch_of_its_key(harness: StoreHarness) -> None:
    held = await harness.unconfirmed()
    answer = await harness.claim(rerun=True, reason="please")
    assert answer.refusal is not None
    assert (answer.refusal.kind, answer.holder) == (RefusalKind.KEY_HELD, held)


async def test_the_kill_switch_is_checked_first(harness: StoreHarness) -> None:
    await harness.ended(Outcome.OK)
    await harness.store.controls.pause(by="anna", now=harness.now)
    answer = await harness.claim()
    assert answer.refusal is not None
    assert (answer.refusal.kind, "anna" in answer.refusal.sentence) == (RefusalKind.PAUSED, True)


async def test_the_stage_decides_what_a_schedule_may(harness: StoreHarness) -> None:
    refused = await harness.claim(scheduled=True)
    assert refused.refusal is not None
    assert refused.refusal.kind is RefusalKind.STAGE
    await harness.at_stage(Stage.SEMI)
    window = harness.now.wall_ms + 3_600_000
    proposal = await harness.claim(scheduled=True, expires_ms=window)
    assert (proposal.kind, proposal.run.state, proposal.run.owner) == (LaunchKind.PROPOSED, State.PROPOSED, None)
    assert (proposal.run.expires_ms, await harness.hold(proposal.run)) == (window, None)
    again = await harness.claim(scheduled=True)
    assert (again.kind, again.holder) == (LaunchKind.SKIPPED, proposal.run), "one proposal a key"
    by_hand = await harness.claim()
    assert by_hand.refusal is not None
    assert "waits for approval" in by_hand.refusal.sentence


async def test_a_proposal_expires_at_the_end_of_the_approval_time(harness: StoreHarness) -> None:
    run = await harness.proposed(expires_ms=harness.now.wall_ms + 10 * harness.rules.approval_ms)
    assert run.expires_ms == harness.now.wall_ms + harness.rules.approval_ms


async def test_unattended_launches_within_its_window_and_one_stage_lower_while_unconfirmed(
    harness: StoreHarness,
) -> None:
    await harness.at_stage(Stage.UNATTENDED)
    window = harness.now.wall_ms + 7_200_000
    run = await harness.claimed(scheduled=True, expires_ms=window)
    assert (run.stage, run.expires_ms) == (Stage.UNATTENDED, window)
    lost = await harness.store.runs.mark_sending(run, harness.now)
    harness.rules = replace(harness.rules, demote_on=())
    await harness.store.runs.record_unconfirmed(lost, why="silence", now=harness.now)
    await harness.at_stage(Stage.UNATTENDED)
    next_day = await harness.claim(scheduled=True, date="2026-11-24")
    assert (next_day.kind, next_day.run.stage) == (LaunchKind.PROPOSED, Stage.SEMI)


async def test_an_automatic_retry_runs_only_after_failed_and_only_unattended(harness: StoreHarness) -> None:
    await harness.at_stage(Stage.UNATTENDED)
    harness.rules = replace(harness.rules, demote_on=())
    await harness.ended(Outcome.FAILED, scheduled=True)
    retry = await harness.claimed(scheduled=True, automatic_retry=True)
    assert retry.attempt == 2
    await harness.settle(
        await harness.launch(await harness.store.runs.mark_sending(retry, harness.now)), Outcome.TIMEOUT
    )
    refused = await harness.claim(scheduled=True, automatic_retry=True)
    assert refused.refusal is not None
    assert refused.refusal.kind is RefusalKind.KEY_HELD
    other = a_task("other")
    await harness.at_stage(Stage.SEMI, other)
    await harness.ended(Outcome.FAILED, other)
    demoted = await harness.claim(other, scheduled=True, automatic_retry=True)
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
async def test_each_cap_refuses_the_launch_that_would_pass_it(harness: StoreHarness, cap: Cap, caps: Caps) -> None:
    harness.caps = caps
    await harness.claimed()
    answer = await harness.claim(date="2026-11-24")
    assert answer.refusal is not None
    assert answer.refusal.cap_usage is not None
    assert (answer.refusal.kind, answer.refusal.cap_usage.cap) == (RefusalKind.CAP, cap)
    assert await harness.hold(answer.run) is None
    record = (await harness.records())[-1]
    assert (record.status, record.fields["reason"], record.units) == ("refused", "cap", 0)


@pytest.mark.parametrize(("cap", "rails"), TASK_CAP_CASES)
async def test_a_task_has_caps_of_its_own(harness: StoreHarness, cap: Cap, rails: Guardrails) -> None:
    tight = a_task(guardrails=rails)
    await harness.claimed(tight)
    answer = await harness.claim(tight, date="2026-11-24")
    assert answer.refusal is not None
    assert answer.refusal.cap_usage is not None
    assert answer.refusal.cap_usage.cap is cap
    assert (await harness.claim(a_task("other"))).kind is LaunchKind.LAUNCHED


async def test_a_preview_decides_as_a_claim_would_and_writes_nothing(harness: StoreHarness) -> None:
    for expected in (LaunchKind.LAUNCHED, LaunchKind.SKIPPED):
        decision = await harness.store.claims.preview(*harness.launch_of(), harness.now)
        assert decision.kind is expected
        assert len(decision.cap_usages) == 6
        if expected is LaunchKind.LAUNCHED:
            assert await harness.store.runs.open_runs() == ()
            await harness.claimed()
    assert await harness.records() == ()


async def test_a_missed_time_is_an_entry_with_a_log_record(harness: StoreHarness) -> None:
    missed = await harness.store.claims.record_missed(*harness.launch_of(), harness.now)
    assert missed.outcome is Outcome.SKIPPED
    assert [record.fields["reason"] for record in await harness.records()] == ["missed"]
    assert (await harness.claimed()).attempt == 1


async def test_the_index_refuses_a_second_run_even_if_the_decision_was_wrong(harness: StoreHarness) -> None:
    def always_free(runs: Sequence[Run], request: KeyRequest) -> KeyDecision:
        return KeyDecision(answer=KeyDecisionKind.FREE, attempt=len(runs) + 1)

    first = await harness.claimed()
    naive = ClaimRepository(harness.store.database, key_decider=always_free)
    answer = await naive.claim(*harness.launch_of(), harness.now)
    assert (answer.kind, answer.holder) == (LaunchKind.SKIPPED, first)
    assert await harness.store.runs.by_key(first.key) == (first,)
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).held == BUDGET


async def test_a_cancelled_claim_took_key_and_hold_or_neither(harness: StoreHarness) -> None:
    """After a cancellation the run is stored with its hold and events, or not at all."""
    harness.caps, taken = replace(CAPS, daily_runs=None, daily_units=None, concurrent_runs=None), 0
    for turns in range(60):
        request, terms = harness.launch_of(a_task(f"t{turns}"))
        claim = asyncio.create_task(harness.store.claims.claim(request, terms, harness.now))
        for _ in range(turns):
            await asyncio.sleep(0)
        claim.cancel()
        await asyncio.gather(claim, return_exceptions=True)
        assert not harness.store.database.in_transaction
        run = await harness.store.runs.get(terms.run_id)
        taken += run is not None
        if run is not None:
            assert (await harness.hold(run), await harness.kinds(run)) == (("open", None), ["claimed"])
    assert (await harness.cap_usage(Cap.CONCURRENT_RUNS)).held == taken
    assert (await harness.cap_usage(Cap.MONTHLY_UNITS)).held == taken * BUDGET


async def test_a_run_id_is_used_once(harness: StoreHarness) -> None:
    launch = harness.launch_of()
    await harness.store.claims.claim(*launch, harness.now)
    with pytest.raises(StoreRefused):
        await harness.store.claims.claim(*launch, harness.now)


async def test_only_the_index_on_keys_turns_a_claim_into_a_skip(harness: StoreHarness) -> None:
    """Any other refusal of the schema is a StoreError, and nothing is written."""

    def first_attempt(runs: Sequence[Run], request: KeyRequest) -> KeyDecision:
        return KeyDecision(answer=KeyDecisionKind.FREE, attempt=1)

    await harness.ended(Outcome.FAILED)
    before = await harness.records()
    naive = ClaimRepository(harness.store.database, key_decider=first_attempt)
    with pytest.raises(StoreRefused, match=r"runs\.key, runs\.attempt|runs_attempt") as raised:
        await naive.claim(*harness.launch_of(), harness.now)
    assert not isinstance(raised.value, KeyTaken)
    assert await harness.records() == before


async def test_a_launch_that_breaks_a_rule_of_the_schema_is_not_a_skip(harness: StoreHarness) -> None:
    request, terms = harness.launch_of()
    with pytest.raises(StoreRefused, match=r"(?i)check constraint"):
        await harness.store.claims.claim(request, replace(terms, limits=replace(terms.limits, max_ms=0)), harness.now)
    assert await harness.records() == ()


async def test_too_little_room_on_the_disk_launches_nothing(harness: StoreHarness) -> None:
    cramped = ClaimRepository(harness.store.database, room=lambda: 50 * 1024 * 1024 - 1)
    with pytest.raises(StoreFull, match="51199 KiB are free"):
        await cramped.claim(*harness.launch_of(), harness.now)
    assert await harness.store.runs.open_runs() == ()


async def test_hostile_text_in_an_order_is_stored_cleaned(harness: StoreHarness) -> None:
    run = await harness.claimed(by="eve\x1b[2J\ud800", rerun=True, reason="\x07\u202e")
    assert run.requested_by == "eve␛[2J\\ud800"
    assert run.note == "␇\\u202e"
