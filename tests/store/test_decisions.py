"""A proposal becomes a launch only by a person's yes, judged by the caps of that moment; time decides against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.guardrails import Cap, RefusalKind
from console.domain.run import Outcome, Run, State
from console.domain.task import Origin, Stage
from console.store.errors import StaleRun, StoreFull
from console.store.launches import ClaimAnswer, ClaimKind, Launches
from console.store.orders import FRESH_MS
from tests.store.building import BUDGET, BY, OWNER, Bench


async def _approve(bench: Bench, run: Run, *, owner: str | None = OWNER, expires_ms: int = 0) -> ClaimAnswer:
    return await bench.store.launches.approve(
        run.id, by=BY, owner=owner, task=bench.task, caps=bench.caps, expires_ms=expires_ms, now=bench.now
    )


async def test_an_approval_takes_the_hold_of_that_day(bench: Bench) -> None:
    proposal = await bench.proposed()
    assert (await bench.standing(Cap.DAILY_UNITS)).held == 0
    bench.clock.advance(86_400 / 4)
    until = bench.now.wall_ms + 3_600_000
    answer = await _approve(bench, proposal, expires_ms=until)
    run = answer.run
    assert run is not None
    assert (answer.kind, run.state, run.owner, run.expires_ms) == (ClaimKind.CLAIMED, State.CLAIMED, OWNER, until)
    assert (run.claimed, run.attempt, run.stage) == (bench.now, 1, Stage.SEMI)
    assert await bench.hold(run) == ("open", None)
    assert await bench.kinds(run) == ["proposed", "approved"]
    assert (await bench.standing(Cap.DAILY_UNITS)).held == BUDGET


async def test_the_hold_of_an_approval_after_midnight_counts_on_the_new_day(bench: Bench) -> None:
    bench.rules = replace(bench.rules, approval_ms=10**9)
    proposal = await bench.proposed()
    assert proposal.day == "2026-11-23"
    bench.clock.advance(86_400)
    run = (await _approve(bench, proposal)).run
    assert run is not None
    assert (run.day, run.expires_ms) == ("2026-11-24", bench.now.wall_ms + FRESH_MS)


async def test_without_an_owner_any_engine_may_take_it(bench: Bench) -> None:
    run = (await _approve(bench, await bench.proposed(), owner=None)).run
    assert run is not None
    assert run.owner is None
    taken = await bench.store.runs.take_over(run, owner="owner-2", now=bench.now)
    assert taken is not None
    assert (taken.owner, taken.fence) == ("owner-2", 2)


async def test_a_refused_approval_leaves_the_proposal_and_a_line(bench: Bench) -> None:
    proposal = await bench.proposed()
    await bench.store.controls.pause(by="anna", now=bench.now)
    paused = await _approve(bench, proposal)
    await bench.store.controls.resume(by="anna", now=bench.now)
    bench.caps = replace(bench.caps, daily_units=BUDGET - 1)
    capped = await _approve(bench, proposal)
    assert [answer.refusal.kind for answer in (paused, capped) if answer.refusal] == [
        RefusalKind.PAUSED,
        RefusalKind.CAP,
    ]
    assert await bench.run(proposal) == proposal
    assert await bench.hold(proposal) is None
    refused = [record.fields["reason"] for record in await bench.records() if record.status == "refused"]
    assert refused == ["paused", "cap"]


async def test_a_proposal_is_decided_once(bench: Bench) -> None:
    proposal = await bench.proposed()
    await _approve(bench, proposal)
    with pytest.raises(StaleRun):
        await _approve(bench, proposal)
    with pytest.raises(StaleRun):
        await bench.store.launches.decline(proposal.id, by=BY, reason="", now=bench.now)


async def test_a_declined_proposal_frees_the_key_and_is_logged(bench: Bench) -> None:
    run = await bench.store.launches.decline((await bench.proposed()).id, by="anna", reason="not today", now=bench.now)
    assert (run.state, run.outcome, run.used) == (State.ENDED, Outcome.DECLINED, 0)
    assert run.note == "declined by anna: not today"
    record = (await bench.records())[-1]
    assert (record.status, record.units, record.elapsed_ms) == ("declined", 0, 0)
    assert (record.fields["tokens"], record.fields["cost"]) == ("0", "-")
    again = await bench.claim(origin=Origin.SCHEDULE)
    assert again.kind is ClaimKind.PROPOSED


async def test_a_proposal_expires_at_its_time_and_not_before(bench: Bench) -> None:
    proposal = await bench.proposed(expires_ms=bench.now.wall_ms + 1_000)
    bench.clock.advance(0.999)
    assert await bench.store.launches.expire(proposal.id, bench.now) is None
    bench.clock.advance(0.001)
    expired = await bench.store.launches.expire(proposal.id, bench.now)
    assert expired is not None
    assert (expired.outcome, expired.ended_ms) == (Outcome.EXPIRED, bench.now.wall_ms)
    assert await bench.store.launches.expire(proposal.id, bench.now) is None


async def test_a_yes_that_comes_too_late_expires_the_proposal(bench: Bench) -> None:
    proposal = await bench.proposed(expires_ms=bench.now.wall_ms + 1_000)
    bench.clock.advance(1)
    answer = await _approve(bench, proposal)
    assert answer.refusal is not None
    assert answer.run is not None
    assert (answer.kind, answer.run.outcome) == (ClaimKind.REFUSED, Outcome.EXPIRED)
    assert (await bench.run(proposal)).outcome is Outcome.EXPIRED


async def test_a_claim_that_was_not_sent_in_its_window_gives_its_hold_back(bench: Bench) -> None:
    run = await bench.claimed()
    assert await bench.store.launches.expire(run.id, bench.now) is None
    bench.clock.advance(60)
    expired = await bench.store.launches.expire(run.id, bench.now)
    assert expired is not None
    assert (expired.outcome, await bench.hold(run)) == (Outcome.EXPIRED, ("released", None))
    assert (await bench.standing(Cap.DAILY_RUNS)).spent == 0


async def test_nothing_that_was_sent_ever_expires(bench: Bench) -> None:
    run = await bench.sending()
    bench.clock.advance(10**6)
    assert await bench.store.launches.expire(run.id, bench.now) is None
    assert (await bench.run(run)).state is State.SENDING


async def test_a_full_disk_approves_nothing(bench: Bench) -> None:
    proposal = await bench.proposed()
    cramped = Launches(bench.store.database, room=lambda: 0)
    with pytest.raises(StoreFull):
        await cramped.approve(
            proposal.id, by=BY, owner=OWNER, task=bench.task, caps=bench.caps, expires_ms=0, now=bench.now
        )
