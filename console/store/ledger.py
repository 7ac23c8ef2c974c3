"""The books: what is held and spent against each cap. A hold is taken with the claim and ends exactly once.

Amounts are milli-units. A hold counts on the day on which it was taken, until it ends, on whatever day that is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from console.domain.key import day_date
from console.domain.limits import UNIT_CAPS, Cap, Caps, CapUsage
from console.domain.run import Run
from console.domain.task import Task
from console.domain.timestamps import Timestamp
from console.domain.usage import units_text
from console.store.database import Database, Transaction
from console.store.errors import StaleRun
from console.store.events import write_event
from console.store.log_records import note
from console.store.rows import Columns, clamp_amount
from console.store.statements import fetch_all, fetch_one

TASK_CAPS = frozenset({Cap.TASK_DAILY_RUNS, Cap.TASK_DAILY_UNITS})
"""Caps of one task."""

SELECT_LAST_DAY = "select value from meta where name = 'last_day'"
KEEP_LAST_DAY = """
    insert into meta (name, value) values ('last_day', :day)
    on conflict (name) do update set value = max(value, excluded.value)
"""
SUM_DAYS = """
    select
        coalesce(sum(held), 0) as held,
        coalesce(sum(spent), 0) as spent,
        coalesce(sum(open_runs), 0) as open_runs,
        coalesce(sum(ended_runs), 0) as ended_runs
    from day_sums
    where day >= :first and day <= :last and (:task is null or task = :task)
"""
COUNT_SLOTS = """
    select count(*) as taken from runs
    where state <> 'ended' and state in ('claimed', 'sending', 'running', 'stopping')
"""
SELECT_RAISES = """
    select cap, task, amount, by, reason, at_ms, window from raises
    where window in (:day, :month)
    order by id
"""
INSERT_RAISE = """
    insert into raises (cap, task, amount, by, reason, at_ms, window)
    values (:cap, :task, :amount, :by, :reason, :at_ms, :window)
"""
TAKE_HOLD = """
    insert into holds (run_id, task, day, amount, taken_ms)
    values (:run_id, :task, :day, :amount, :at_ms)
"""
END_HOLD = """
    update holds set state = :state, settled = :settled, ended_ms = :at_ms
    where run_id = :run_id and state = 'open'
    returning amount
"""


class Ledger:
    """How full the caps are, and the one way to raise one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cap_usages(self, caps: Caps, now: Timestamp, task: Task | None = None) -> tuple[CapUsage, ...]:
        """Every cap in the order in which they are judged; with `task` its own caps too, first."""
        return await self._database.read(lambda tx: standings_in(tx, caps, now, task))

    async def raises(self, caps: Caps, now: Timestamp) -> tuple[RaiseRow, ...]:
        """What was added in the windows that `now` is in, oldest first."""

        async def unit(tx: Transaction) -> tuple[RaiseRow, ...]:
            return await _raises(tx, await today(tx, caps, now))

        return await self._database.read(unit)

    async def raise_cap(
        self, cap: Cap, *, task: str | None, amount: int, caps: Caps, by: str, reason: str, now: Timestamp
    ) -> None:
        """Adds `amount` (milli-units, or runs) to the limit of the window that `now` is in, once.

        Raises ValueError for an amount below 1 or a task that does not fit the cap.
        """
        if amount < 1:
            raise ValueError("a cap is raised by 1 at least")
        if (task is not None) != (cap in TASK_CAPS):
            raise ValueError(f"{cap} {'needs a' if task is None else 'has no'} task")

        async def unit(tx: Transaction) -> None:
            day = await today(tx, caps, now)
            window = month_of(day) if cap is Cap.MONTHLY_UNITS else day
            parameters: Columns = {"cap": cap.value, "task": task, "amount": clamp_amount(amount), "window": window}
            audit: Columns = {"by": by, "reason": reason, "at_ms": now.wall_ms}
            await fetch_all(tx, INSERT_RAISE, {**parameters, **audit})
            text = units_text(amount) if cap in UNIT_CAPS else str(amount)
            fields = {"task": task or "-", "cap": cap.value, "amount": text, "window": window, "by": by, "why": reason}
            await write_event(tx, "raise", now.wall_ms, record=note("raise", fields, None, now.wall_ms))

        await self._database.transaction(unit)


async def standings_in(tx: Transaction, caps: Caps, now: Timestamp, task: Task | None) -> tuple[CapUsage, ...]:
    """The standings as the open transaction sees them."""
    zone = ZoneInfo(caps.time_zone)
    day = day_of(now, zone, await last_day(tx))
    raised = _raised(await _raises(tx, day))
    days = day_ends_ms(day, zone)
    runs, units = await _sums(tx, day, day, None)
    _, month = await _sums(tx, f"{month_of(day)}-01", f"{month_of(day)}-31", None)
    slots = await fetch_one(tx, COUNT_SLOTS, {})
    taken: list[tuple[Cap, int | None, tuple[int, int], int | None]] = [
        (Cap.DAILY_RUNS, caps.daily_runs, runs, days),
        (Cap.DAILY_UNITS, caps.daily_units, units, days),
        (Cap.MONTHLY_UNITS, caps.monthly_units, month, month_ends_ms(day, zone)),
        (Cap.CONCURRENT_RUNS, caps.concurrent_runs, (slots["taken"] if slots else 0, 0), None),
    ]
    if task is not None:
        rails = task.guardrails
        runs, units = await _sums(tx, day, day, task.name)
        taken[:0] = [
            (Cap.TASK_DAILY_RUNS, rails.daily_runs, runs, days),
            (Cap.TASK_DAILY_UNITS, rails.daily_units, units, days),
        ]
    return tuple(
        CapUsage(
            cap=cap,
            limit=None if limit is None else limit + raised[cap, task.name if task and cap in TASK_CAPS else None],
            held=held,
            spent=spent,
            frees_at_ms=frees_at_ms,
            time_zone=caps.time_zone,
        )
        for cap, limit, (held, spent), frees_at_ms in taken
    )


async def last_day(tx: Transaction) -> str | None:
    """The newest day on which a hold was taken."""
    row = await fetch_one(tx, SELECT_LAST_DAY, {})
    return row["value"] if row else None


async def today(tx: Transaction, caps: Caps, now: Timestamp) -> str:
    """The day on which a hold taken now would count."""
    return day_of(now, ZoneInfo(caps.time_zone), await last_day(tx))


async def claim_day(tx: Transaction, caps: Caps, now: Timestamp) -> str:
    """The day on which a hold taken now counts; kept, so that no later one counts on an earlier day."""
    day = await today(tx, caps, now)
    await fetch_all(tx, KEEP_LAST_DAY, {"day": day})
    return day


async def take_hold(tx: Transaction, run: Run, at_ms: int) -> None:
    """The budget of `run`, from the caps of its day."""
    parameters: Columns = {
        "run_id": run.id,
        "task": run.task,
        "day": run.day,
        "amount": run.limits.budget,
        "at_ms": at_ms,
    }
    await fetch_all(tx, TAKE_HOLD, parameters)


async def settle_hold(tx: Transaction, run: Run, spent: int, at_ms: int) -> None:
    """Ends the hold with what was really used. More than was held is booked as it is, and noted in the log."""
    amount = await _end_hold(tx, run, "settled", clamp_amount(spent), at_ms)
    if spent > amount:
        record = note("overshoot", {"hold": units_text(amount), "used": units_text(spent)}, run, at_ms)
        await write_event(tx, "overshoot", at_ms, run=run, record=record, hold=amount, used=spent)


async def release_hold(tx: Transaction, run: Run, at_ms: int) -> None:
    """Ends the hold with nothing: nothing was launched."""
    await _end_hold(tx, run, "released", None, at_ms)


async def _end_hold(tx: Transaction, run: Run, state: str, settled: int | None, at_ms: int) -> int:
    row = await fetch_one(tx, END_HOLD, {"run_id": run.id, "state": state, "settled": settled, "at_ms": at_ms})
    if row is None:
        raise StaleRun(f"run {run.id} has no open hold")
    return int(row["amount"])


async def _sums(tx: Transaction, first: str, last: str, task: str | None) -> tuple[tuple[int, int], tuple[int, int]]:
    """Runs that are open and ended, and milli-units that are held and spent, from `first` to `last`."""
    row = await fetch_one(tx, SUM_DAYS, {"first": first, "last": last, "task": task})
    if row is None:
        return (0, 0), (0, 0)
    return (row["open_runs"], row["ended_runs"]), (row["held"], row["spent"])


def _raised(raises: Iterable[RaiseRow]) -> Counter[tuple[Cap, str | None]]:
    """What was added to each limit."""
    added: Counter[tuple[Cap, str | None]] = Counter()
    for row in raises:
        added[row.cap, row.task] += row.amount
    return added


async def _raises(tx: Transaction, day: str) -> tuple[RaiseRow, ...]:
    rows = await fetch_all(tx, SELECT_RAISES, {"day": day, "month": month_of(day)})
    return tuple(
        RaiseRow(
            cap=Cap(row["cap"]),
            task=row["task"],
            amount=row["amount"],
            by=row["by"],
            reason=row["reason"],
            at_ms=row["at_ms"],
            window=row["window"],
        )
        for row in rows
    )


def day_of(now: Timestamp, zone: ZoneInfo, last_day: str | None) -> str:
    """Today in `zone`, but never before `last_day`: a clock set back opens no second day."""
    today = day_date(now.utc(), zone)
    return today if last_day is None else max(today, last_day)


def month_of(day: str) -> str:
    """`2026-11` of `2026-11-23`."""
    return day[:7]


def day_ends_ms(day: str, zone: ZoneInfo) -> int:
    """The instant at which the day after `day` begins in `zone`."""
    return _midnight_ms(date.fromisoformat(day) + timedelta(days=1), zone)


def month_ends_ms(day: str, zone: ZoneInfo) -> int:
    """The instant at which the month after that of `day` begins in `zone`."""
    first = date.fromisoformat(day).replace(day=1)
    return _midnight_ms((first + timedelta(days=32)).replace(day=1), zone)


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    # Where midnight does not exist, the first reading of the gap (fold 0) is the very instant of the change.
    return int(datetime.combine(day, time(), tzinfo=zone).timestamp() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseRow:
    """A cap that was raised once."""

    cap: Cap
    task: str | None
    amount: int
    by: str
    reason: str
    at_ms: int
    window: str
    """The day, or for the monthly cap the month, that it was given for."""
