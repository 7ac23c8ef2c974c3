"""The audit holds every act of a person with author and reason, newest first, and nothing that a limit did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from console.domain.caps import Cap, Caps
from console.domain.run import Outcome, Run, StopReason
from console.domain.task import Stage
from console.store import audit
from console.store.audit import STOP_REASON, AuditAct, AuditEntry, AuditFilter
from tests.store.harness import BY, StoreHarness

CAPS = Caps(daily_units=None, monthly_units=None, daily_runs=5, concurrent_runs=None, time_zone="UTC")


async def acts(harness: StoreHarness, *, limit: int = 100, **wanted: object) -> list[tuple[AuditAct, str, str, str]]:
    return [(entry.act, entry.by, entry.why, entry.what) for entry in await entries(harness, limit=limit, **wanted)]


async def entries(harness: StoreHarness, *, limit: int = 100, **wanted: object) -> tuple[AuditEntry, ...]:
    found, _ = await harness.store.audit.acts(AuditFilter(**wanted), limit=limit)  # type: ignore[arg-type]  # its fields
    return found


async def stop(harness: StoreHarness, run: Run, reason: StopReason, by: str, why: str = "") -> None:
    await harness.store.runs.request_stop(run.id, reason=reason, by=by, now=harness.now)
    if why:
        await harness.store.runs.note(event=STOP_REASON, fields={"by": by, "why": why}, run=run, now=harness.now)


async def test_a_stop_has_its_reason_and_one_by_a_limit_is_no_act(harness: StoreHarness) -> None:
    await stop(harness, await harness.running(date="2026-11-01"), StopReason.OPERATOR, "ada tty=yes", "wrong log")
    await stop(harness, await harness.running(date="2026-11-02"), StopReason.KILL_SWITCH, "ben tty=no")
    await stop(harness, await harness.running(date="2026-11-03"), StopReason.TIMEOUT, "nightdesk")
    assert await acts(harness) == [
        (AuditAct.CANCEL, "ben tty=no", "", "kill switch"),
        (AuditAct.CANCEL, "ada tty=yes", "wrong log", ""),
    ]


async def test_a_second_cancel_does_not_lend_its_reason_to_the_first(harness: StoreHarness) -> None:
    run = await harness.running()
    await stop(harness, run, StopReason.OPERATOR, "ada tty=yes")
    await stop(harness, run, StopReason.OPERATOR, "ben tty=no", "I was first")
    assert await acts(harness) == [(AuditAct.CANCEL, "ada tty=yes", "", "")]


async def approve(harness: StoreHarness) -> None:
    run = await harness.proposed()
    await harness.store.claims.approve(
        run.id,
        by="ada tty=yes",
        why="looks right",
        owner=None,
        task=harness.task,
        caps=CAPS,
        expires_ms=harness.now.wall_ms + 60_000,
        now=harness.now,
    )


async def decline(harness: StoreHarness) -> None:
    run = await harness.proposed()
    await harness.store.claims.decline(run.id, by="ada (says: A: B) tty=yes", reason="not: today", now=harness.now)


async def raise_cap(harness: StoreHarness) -> None:
    await harness.store.ledger.raise_cap(
        Cap.DAILY_RUNS, task=None, amount=3, caps=CAPS, by="ada tty=yes", reason="month end", now=harness.now
    )


async def pause_and_resume(harness: StoreHarness) -> None:
    await harness.store.controls.pause(by="ada tty=yes", why="bill", now=harness.now)
    await harness.store.controls.resume(by="ben tty=no", now=harness.now)


async def settle(harness: StoreHarness) -> None:
    run = await harness.unconfirmed()
    await harness.store.runs.write_off(run, by="ada tty=yes", reason="nobody knows", now=harness.now)


async def rerun(harness: StoreHarness) -> None:
    await harness.ended(Outcome.OK)
    await harness.claimed(rerun=True, reason="its draft was lost", by="ada tty=yes")


@pytest.mark.parametrize(
    ("work", "wanted"),
    [
        (approve, (AuditAct.APPROVE, "ada tty=yes", "looks right", "")),
        (decline, (AuditAct.DECLINE, "ada (says: A: B) tty=yes", "not: today", "")),
        (raise_cap, (AuditAct.RAISE, "ada tty=yes", "month end", "daily_runs +3 in 2026-11-23")),
        (rerun, (AuditAct.RERUN, "ada tty=yes", "its draft was lost", "")),
        (settle, (AuditAct.SETTLE, "ada tty=yes", "nobody knows", "write-off")),
    ],
)
async def test_each_act_has_its_author_and_its_reason(
    harness: StoreHarness, work: Callable[[StoreHarness], Awaitable[None]], wanted: tuple[AuditAct, str, str, str]
) -> None:
    await work(harness)
    assert (await acts(harness))[0] == wanted


async def test_a_pause_and_its_end(harness: StoreHarness) -> None:
    await pause_and_resume(harness)
    assert await acts(harness) == [(AuditAct.RESUME, "ben tty=no", "", ""), (AuditAct.PAUSE, "ada tty=yes", "bill", "")]


async def test_a_pause_that_waited_in_a_file_keeps_its_reason(harness: StoreHarness) -> None:
    await harness.store.controls.request_pause(by="ada tty=yes", why="bill", now=harness.now)
    await harness.store.controls.adopt_pause()
    assert await acts(harness) == [(AuditAct.PAUSE, "ada tty=yes", "bill", "")]


async def test_stages_up_and_down(harness: StoreHarness) -> None:
    for to, forced in ((Stage.SEMI, True), (Stage.MANUAL, False)):
        await harness.store.stages.change(
            "report", to, by=BY, reason="a test", forced=forced, evidence={}, now=harness.now
        )
    assert await acts(harness) == [
        (AuditAct.DEMOTE, BY, "a test", "semi -> manual"),
        (AuditAct.PROMOTE, BY, "a test", "manual -> semi, forced"),
    ]
    assert {entry.task for entry in await entries(harness)} == {"report"}


async def test_filters_by_time_author_and_act(harness: StoreHarness) -> None:
    await pause_and_resume(harness)
    harness.clock.advance(1)
    await raise_cap(harness)
    now = harness.now.wall_ms

    async def found(**wanted: Any) -> list[str]:
        return [entry.act.value for entry in await entries(harness, **wanted)]

    assert await found(since_ms=now) == ["raise"]
    assert await found(until_ms=now) == ["resume", "pause"]
    assert await found(by="BEN") == ["resume"]
    assert await found(acts=(AuditAct.PAUSE, AuditAct.RAISE)) == ["raise", "pause"]


async def test_pages_leave_nothing_out_and_say_whether_there_is_more(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAGE", 2)
    for _ in range(3):
        await pause_and_resume(harness)
    found = await acts(harness)
    assert [act for act, *_ in found] == [AuditAct.RESUME, AuditAct.PAUSE] * 3
    for limit, has_more in ((5, True), (6, False)):
        _, more = await harness.store.audit.acts(AuditFilter(), limit=limit)
        assert more is has_more
