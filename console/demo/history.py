"""A month of history for the demo: the rows, holds and log lines that real launches leave, with past timestamps.

Each task began on a day of its own, by hand, and its schedule launches it since: what becomes of a scheduled launch is
decided by the stage that the task had then, by the rules that hold for everybody. Two days ago usage was far above
normal, and one task is the cause.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from console.demo.tasks import AUDIT, BACKUP, CAPS, DIGEST, NOTES, PRICE, REPORT, TRIAGE, UNITS
from console.domain.launch import LaunchKind, LaunchRequest, LaunchTerms
from console.domain.rollout import RolloutRules, unmet_criteria
from console.domain.run import Outcome, Run, new_run_id
from console.domain.server_limit import TokenLimit
from console.domain.task import Stage, Task
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage
from console.engine.log_flush import LogCopy
from console.engine.scheduling.cron import date_for, times_after
from console.engine.settings import limits_of
from console.journal.runs_log import LogWriter
from console.store.store import Store
from console.store.transitions import RunResult

ANOMALOUS_DAY = 2
"""Days ago on which the digest used far more than usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTask:
    """How one task was used."""

    task: Task
    since: int
    """Days ago on which it was launched for the first time, by hand; its schedule counts from the next day on."""
    seconds: float
    units: float
    wanted: Stage = Stage.MANUAL
    """The stage to which it is promoted as soon as its evidence allows it."""
    by_hand: tuple[int, ...] = ()
    """More days ago on which it was launched by hand."""
    endings: tuple[tuple[int, Outcome], ...] = ()
    """By days ago: how its runs of that day ended, where not well."""


PAST = (
    PastTask(task=REPORT, since=30, seconds=44, units=8.2, wanted=Stage.UNATTENDED),
    PastTask(
        task=BACKUP,
        since=28,
        seconds=25,
        units=5.1,
        wanted=Stage.SEMI,
        by_hand=(10,),
        endings=((12, Outcome.FAILED),),
    ),
    PastTask(task=NOTES, since=25, seconds=61, units=6.3, by_hand=(18, 11, 6, 4, 1), endings=((4, Outcome.CANCELLED),)),
    PastTask(
        task=AUDIT, since=20, seconds=38, units=9.5, wanted=Stage.SEMI, by_hand=(1,), endings=((3, Outcome.TIMEOUT),)
    ),
    PastTask(task=TRIAGE, since=14, seconds=58, units=8.6, wanted=Stage.SEMI),
    PastTask(task=DIGEST, since=8, seconds=31, units=9.8, wanted=Stage.UNATTENDED, by_hand=(1,)),
)
WANTED = {past.task.name: past.wanted for past in PAST}
DAYS = max(past.since for past in PAST)
DESK_HOURS = (8.0, 17.0)
"""The hours, UTC, between which somebody launches by hand."""
HIGH_UNITS, CUT_AT = 43.0, 12
"""The units of a run of the digest on the unusual day, and the hour from which on its budget stops it."""
SETTLED = timedelta(days=2)
"""A task that was demoted is not promoted for this long."""
NOBODY = "0" * 32
ADA, CRON = "ada tty=yes", "cron tty=no"
REMOTE_STATUS = {"failed": "failed", "ok": "completed", "incomplete": "incomplete"}
"""The service's status for an outcome; for all others `cancelled`."""
STARTED_BY_DEMO = (REPORT, DIGEST, AUDIT, BACKUP, TRIAGE)
"""Tasks whose keys of today the demo itself launches."""


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


def month(now: datetime, rng: random.Random) -> list[PastLaunch]:
    """Return the launches before `now` (aware) in order of time, those of today among them.

    Keys that the demo itself launches at its start are left out.
    """
    launches = [launch for past in PAST for launch in _launches(past, now, rng)]
    today = {task.name: date_for(task, now, scheduled=False) for task in STARTED_BY_DEMO}
    kept = [past for past in launches if past.at < now and past.date != today.get(past.task.name)]
    return sorted(kept, key=lambda past: past.at)


def _launches(past: PastTask, now: datetime, rng: random.Random) -> Iterator[PastLaunch]:
    """The launches of one task: by hand in working hours, by its schedule at its times."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for ago in (past.since, *past.by_hand):
        at = midnight - timedelta(days=ago) + timedelta(hours=rng.uniform(*DESK_HOURS))
        yield _launch(past, at, ago, rng, by_hand=True)
    if past.task is REPORT:
        # Somebody launches what has run already: it is skipped.
        yield _launch(past, midnight - timedelta(days=4, hours=-19), 4, rng, by_hand=False)
    begin = midnight - timedelta(days=past.since - 1)
    for due in takewhile(lambda due: due < now, times_after(past.task, begin)):
        ago = (midnight.date() - due.date()).days
        yield _launch(past, due + timedelta(seconds=rng.uniform(1, 40)), ago, rng, by_hand=False)


def _launch(past: PastTask, at: datetime, ago: int, rng: random.Random, *, by_hand: bool) -> PastLaunch:
    vary = rng.uniform(0.85, 1.15)
    outcome, seconds, units = dict(past.endings).get(ago, Outcome.OK), past.seconds * vary, past.units * vary
    if past.task is DIGEST and ago == ANOMALOUS_DAY:
        outcome = Outcome.BUDGET if at.hour >= CUT_AT else Outcome.OK
        seconds, units = 95 * vary, HIGH_UNITS + vary
    if outcome is Outcome.TIMEOUT:
        seconds = past.task.guardrails.max_ms / 1000 + 1
    return PastLaunch(task=past.task, at=at, outcome=outcome, seconds=seconds, units=units, by_hand=by_hand)


async def seed(store: Store, log: LogWriter, now: Timestamp, rng: random.Random) -> None:
    """Write the month before `now` to the store and the log. Raises StoreError."""
    writer = _Seeder(store, rng)
    for past in month(now.utc(), rng):
        await writer.write(past)
    await LogCopy(store, log).append_missing()


class _Seeder:
    """Takes past launches through the store, one after the other."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        self._store = store
        self._rng = rng
        self._demoted_ms: dict[str, int] = {}
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
        if past.outcome.value in rules.demote_on:
            self._demoted_ms[name] = self._last_ms
        waits = self._last_ms - self._demoted_ms.get(name, 0) < SETTLED.total_seconds() * 1000
        if past.outcome is not Outcome.OK or waits:
            return
        stage = await self._store.stages.stage(name)
        if stage >= WANTED[name]:
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
