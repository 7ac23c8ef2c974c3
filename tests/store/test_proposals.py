"""A proposal is launched only by an approval, under the caps of that moment; otherwise it is declined or expires."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.caps import Cap, RefusalKind
from console.domain.launch import LaunchKind, LaunchResult
from console.domain.run import Outcome, Run, State
from console.domain.task import Stage
from console.store.claims import FRESH_MS, ClaimRepository
from console.store.errors import StaleRun, StoreFull
from tests.store.harness import BUDGET, BY, OWNER, StoreHarness


async def _approve(harness: StoreHarness, run: Run, *, owner: str | None = OWNER, expires_ms: int = 0) -> LaunchResult:
    return await harness.store.claims.approve(
        run.id, by=BY, owner=owner, task=harness.task, caps=harness.caps, expires_ms=expires_ms, now=harness.now
    )


async def test_an_approval_takes_the_hold_of_that_day(harness: StoreHarness) -> None:
    proposal = await harness.proposed()
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).held == 0
    harness.clock.advance(86_400 / 4)
    until = harness.now.wall_ms + 3_600_000
    answer = await _approve(harness, proposal, expires_ms=until)
    run = answer.run
    assert run is not None
    assert (answer.kind, run.state, run.owner, run.expires_ms) == (LaunchKind.LAUNCHED, State.CLAIMED, OWNER, until)
    assert (run.claimed, run.attempt, run.stage) == (harness.now, 1, Stage.SEMI)
    assert await harness.hold(run) == ("open", None)
    assert await harness.kinds(run) == ["proposed", "approved"]
    assert (await harness.cap_usage(Cap.DAILY_UNITS)).held == BUDGET


async def test_the_hold_of_an_approval_after_midnight_counts_on_the_new_day(harness: StoreHarness) -> None:
    harness.rules = replace(harness.rules, approval_ms=10**9)
    proposal = await harness.proposed()
    assert proposal.day == "2026-11-23"
    harness.clock.advance(86_400)
    run = (await _approve(harness, proposal)).run
    assert run is not None
    assert (run.day, run.expires_ms) == ("2026-11-24", harness.now.wall_ms + FRESH_MS)


async def test_a_claim_without_an_owner_can_be_taken_over(harness: StoreHarness) -> None:
    run = (await _approve(harness, await harness.proposed(), owner=None)).run
    assert run is not None
    assert run.owner is None
    taken = await harness.store.runs.take_over(run, owner="owner-2", now=harness.now)
    assert taken is not None
    assert (taken.owner, taken.fence) == ("owner-2", 2)


async def test_a_refused_approval_keeps_the_proposal_and_is_logged(harness: StoreHarness) -> None:
    proposal = await harness.proposed()
    await harness.store.controls.pause(by="anna", now=harness.now)
    paused = await _approve(harness, proposal)
    await harness.store.controls.resume(by="anna", now=harness.now)
    harness.caps = replace(harness.caps, daily_units=BUDGET - 1)
    capped = await _approve(harness, proposal)
    assert [answer.refusal.kind for answer in (paused, capped) if answer.refusal] == [
        RefusalKind.PAUSED,
        RefusalKind.CAP,
    ]
    assert await harness.run(proposal) == proposal
    assert await harness.hold(proposal) is None
    refused = [record.fields["reason"] for record in await harness.records() if record.status == "refused"]
    assert refused == ["paused", "cap"]


async def test_a_proposal_is_decided_once(harness: StoreHarness) -> None:
    proposal = await harness.proposed()
    await _approve(harness, proposal)
    with pytest.raises(StaleRun):
        await _approve(harness, proposal)
    with pytest.raises(StaleRun):
        await harness.store.claims.decline(proposal.id, by=BY, reason="", now=harness.now)


async def test_a_declined_proposal_frees_the_key_and_is_logged(harness: StoreHarness) -> None:
    run = await harness.store.claims.decline(
        (await harness.proposed()).id, by="anna", reason="not today", now=harness.now
    )
    assert (run.state, run.outcome, run.used) == (State.ENDED, Outcome.DECLINED, 0)
    assert run.note == "declined by anna: not today"
    record = (await harness.records())[-1]
    assert (record.status, record.units, record.elapsed_ms) == ("declined", 0, 0)
    assert (record.fields["tokens"], record.fields["cost"]) == ("0", "-")
    again = await harness.claim(scheduled=True)
    assert again.kind is LaunchKind.PROPOSED


async def test_a_proposal_expires_at_its_time_and_not_before(harness: StoreHarness) -> None:
    proposal = await harness.proposed(expires_ms=harness.now.wall_ms + 1_000)
    harness.clock.advance(0.999)
    assert await harness.store.claims.expire(proposal.id, harness.now) is None
    harness.clock.advance(0.001)
    expired = await harness.store.claims.expire(proposal.id, harness.now)
    assert expired is not None
    assert (expired.outcome, expired.ended_ms) == (Outcome.EXPIRED, harness.now.wall_ms)
    assert await harness.store.claims.expire(proposal.id, harness.now) is None


async def test_an_approval_after_the_end_expires_the_proposal(harness: StoreHarness) -> None:
    proposal = await harness.proposed(expires_ms=harness.now.wall_ms + 1_000)
    harness.clock.advance(1)
    answer = await _approve(harness, proposal)
    assert answer.refusal is not None
    assert (answer.kind, answer.run.outcome) == (LaunchKind.REFUSED, Outcome.EXPIRED)
    assert (await harness.run(proposal)).outcome is Outcome.EXPIRED


async def test_a_claim_that_was_not_sent_in_its_window_gives_its_hold_back(harness: StoreHarness) -> None:
    run = await harness.claimed()
    assert await harness.store.claims.expire(run.id, harness.now) is None
    harness.clock.advance(60)
    expired = await harness.store.claims.expire(run.id, harness.now)
    assert expired is not None
    assert (expired.outcome, await harness.hold(run)) == (Outcome.EXPIRED, ("released", None))
    assert (await harness.cap_usage(Cap.DAILY_RUNS)).spent == 0


async def test_nothing_that_was_sent_ever_expires(harness: StoreHarness) -> None:
    run = await harness.sending()
    harness.clock.advance(10**6)
    assert await harness.store.claims.expire(run.id, harness.now) is None
    assert (await harness.run(run)).state is State.SENDING


async def test_a_full_disk_approves_nothing(harness: StoreHarness) -> None:
    proposal = await harness.proposed()
    cramped = ClaimRepository(harness.store.database, room=lambda: 0)
    with pytest.raises(StoreFull):
        await cramped.approve(
            proposal.id, by=BY, owner=OWNER, task=harness.task, caps=harness.caps, expires_ms=0, now=harness.now
        )
