"""A week of history for the demo: the rows, holds and log lines that real launches leave, with past timestamps.

On one day usage is far above normal, and one task is the cause.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from console.demo.tasks import AUDIT, BACKUP, CAPS, DIGEST, NOTES, PRICE, REPORT, TASKS, TRIAGE, UNITS
from console.domain.launch import LaunchKind, LaunchRequest, LaunchTerms
from console.domain.rollout import RolloutRules, unmet_criteria
from console.domain.run import Outcome, Run, new_run_id
from console.domain.server_limit import TokenLimit
from console.domain.task import Stage, Task
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage
from console.engine.scheduling.cron import date_for
from console.engine.settings import limits_of
from console.journal.runs_log import LogWriter
from console.store.store import Store
from console.store.transitions import RunResult

DAYS = 7
ANOMALOUS_DAY = 2
"""Days ago on which the digest used far more than usual."""
WANTED = {
    REPORT.name: Stage.UNATTENDED,
    DIGEST.name: Stage.UNATTENDED,
    TRIAGE.name: Stage.SEMI,
    BACKUP.name: Stage.SEMI,
}
"""The stages to which tasks are promoted."""
NOBODY = "0" * 32
ADA, CRON = "ada tty=yes", "cron tty=no"
REMOTE_STATUS = {"failed": "failed", "ok": "completed", "incomplete": "incomplete"}
"""The service's status for an outcome; for all others `cancelled`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLaunch:
    """One launch in the past."""

    task: Task
    at: datetime
    outcome: Outcome
    seconds: float
    units: float
    by_hand: bool = False

    @property
    def date(self) -> str:
        """The date of its key."""
        return date_for(self.task, self.at, scheduled=not self.by_hand)


def week(now: datetime, rng: random.Random) -> list[PastLaunch]:
    """Return the launches before `now` (aware) in order of time, those of today among them.

    Keys that the demo itself launches at its start are left out.
    """
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    launches = [past for ago in range(DAYS, -1, -1) for past in _day(today - timedelta(days=ago), ago, rng)]
    past_days = [past for past in launches if past.at < now and past.date != date_for(past.task, now, scheduled=False)]
    return sorted(past_days, key=lambda past: past.at)


def _day(day: datetime, ago: int, rng: random.Random) -> Iterator[PastLaunch]:
    def past(
        task: Task, hour: float, outcome: Outcome, seconds: float, units: float, *, hand: bool = False
    ) -> PastLaunch:
        vary = rng.uniform(0.85, 1.15)
        at = day + timedelta(hours=hour, seconds=rng.uniform(1, 40))
        return PastLaunch(task=task, at=at, outcome=outcome, seconds=seconds * vary, units=units * vary, by_hand=hand)

    early = ago > DAYS - 2
    yield past(REPORT, 18, Outcome.OK, 44, 8.2, hand=early)
    if ago % 2:
        timed_out = ago == 3
        yield past(AUDIT, 2.5, Outcome.TIMEOUT if timed_out else Outcome.OK, 45 if timed_out else 38, 9.5, hand=ago > 1)
    # Its first day by hand, then approved, then unattended. Its budget stops it on the unusual day, which demotes it to
    # manual; since then it is launched by hand.
    anomalous = ago == ANOMALOUS_DAY
    for place, hour in enumerate((0.25, 6.25, 12.25, 18.25)):
        by_hand = ago == DAYS and place == 0
        if ago < ANOMALOUS_DAY and place != 2:
            continue
        cut = anomalous and place > 0
        yield past(
            DIGEST,
            hour,
            Outcome.BUDGET if cut else Outcome.OK,
            95 if anomalous else 31,
            41 if anomalous else 9.8,
            hand=by_hand or ago < ANOMALOUS_DAY,
        )
    yield past(BACKUP, 4, Outcome.FAILED if ago in (5, 1) else Outcome.OK, 25, 5.1, hand=early)
    if ago <= DAYS - 1:
        yield past(TRIAGE, 6.1, Outcome.OK, 58, 8.6, hand=ago == DAYS - 1)
    if ago in (6, 4):
        yield past(NOTES, 9.5, Outcome.CANCELLED if ago == 4 else Outcome.OK, 61, 6.3, hand=True)
    if ago == 4:
        yield past(REPORT, 19, Outcome.SKIPPED, 0, 0)


async def seed(store: Store, log: LogWriter, now: Timestamp, rng: random.Random) -> None:
    """Write the week before `now` to the store and the log. Raises StoreError."""
    writer = _Seeder(store, rng)
    for past in week(now.utc(), rng):
        await writer.write(past)
    async with log.locked_async():
        while records := await store.outbox.unlogged():
            log.append(records, sync=False)
            await store.outbox.mark_logged([record.ev for record in records])


class _Seeder:
    """Takes past launches through the store, one after the other."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        self._store = store
        self._rng = rng
        self._stages = dict.fromkeys((task.name for task in TASKS), Stage.MANUAL)
        self._last_ms = 0

    async def write(self, past: PastLaunch) -> None:
        # In order of time: the store refuses a day before the last one.
        start_ms = max(int(past.at.timestamp() * 1000), self._last_ms + 5_000)
        run = await self._claim(past, start_ms)
        if run is not None:
            await self._finish(past, run, start_ms)
            await self._promote(past)

    async def _claim(self, past: PastLaunch, start_ms: int) -> Run | None:
        now = _moment(start_ms)
        request, terms = self._launch(past, now)
        result = await self._store.claims.claim(request, terms, now)
        run = result.run
        if result.kind is LaunchKind.PROPOSED:
            later = _moment(start_ms + 180_000)
            approved = await self._store.claims.approve(
                run.id,
                by=ADA,
                owner=NOBODY,
                task=past.task,
                caps=CAPS,
                expires_ms=later.wall_ms + 60_000,
                now=later,
            )
            run = approved.run
        self._last_ms = start_ms
        return run if run.attempt else None

    def _launch(self, past: PastLaunch, now: Timestamp) -> tuple[LaunchRequest, LaunchTerms]:
        by = ADA if past.by_hand else CRON
        request = LaunchRequest(task=past.task.name, date=past.date, scheduled=not past.by_hand, by=by)
        return request, LaunchTerms(
            run_id=new_run_id(now.wall_ms, self._rng.randbytes(10)),
            task=past.task,
            date=past.date,
            owner=NOBODY,
            limits=limits_of(past.task, UNITS, TokenLimit(tokens=UNITS.tokens_of(past.task.guardrails.budget))),
            caps=CAPS,
            rollout=RolloutRules(),
            expires_ms=now.wall_ms + 3_600_000,
        )

    async def _finish(self, past: PastLaunch, run: Run, start_ms: int) -> None:
        runs = self._store.runs
        begin_ms = max(start_ms, run.claimed.wall_ms if run.claimed else 0)
        tag = f"{self._rng.getrandbits(48):012x}"
        run = await runs.record_sandbox(run, sandbox_id=f"demo-{tag}", own=True, note="", now=_moment(begin_ms + 200))
        run = await runs.mark_sending(run, _moment(begin_ms + 400))
        run = await runs.record_launched(
            run, remote_id=f"v1_{tag}", status="in_progress", sandbox_id=None, now=_moment(begin_ms + 900)
        )
        end = _moment(begin_ms + 400 + int(past.seconds * 1000))
        await runs.settle(run, _ending(past, end.since(run.sent or end)), end)
        self._last_ms = end.wall_ms

    async def _promote(self, past: PastLaunch) -> None:
        """Promote tasks as soon as their evidence allows it, by the rules that hold for everybody."""
        name, rules = past.task.name, RolloutRules()
        stage = await self._store.stages.stage(name)
        if past.outcome is not Outcome.OK or stage >= WANTED.get(name, Stage.MANUAL):
            return
        evidence = await self._store.evidence.of(name)
        if unmet_criteria(stage, evidence, rules):
            return
        now = _moment(self._last_ms + 60_000)
        await self._store.stages.change(
            name, Stage(stage + 1), by=ADA, reason="evidence complete", forced=False, evidence=asdict(evidence), now=now
        )


def _ending(past: PastLaunch, elapsed_ms: int) -> RunResult:
    tokens = int(past.units * UNITS.tokens_per_unit)
    # About half of the input is cached, as in real runs, so there are more tokens than the units suggest.
    usage = Usage(total=tokens * 2, input=int(tokens * 1.8), cached=int(tokens * 1.11), output=int(tokens * 0.2))
    return RunResult(
        outcome=past.outcome,
        note="The sandbox could not reach the database." if past.outcome is Outcome.FAILED else "",
        result="Drafted; see the pull request." if past.outcome is Outcome.OK else "",
        usage=usage,
        used=UNITS.of(usage),
        usage_known=True,
        cost_micro=PRICE.cost(usage),
        currency=PRICE.currency,
        elapsed_ms=elapsed_ms,
        remote_status=REMOTE_STATUS.get(past.outcome.value, "cancelled"),
    )


def _moment(wall_ms: int) -> Timestamp:
    return Timestamp(wall_ms=wall_ms, boot_ms=wall_ms, boot_id="an earlier boot")
