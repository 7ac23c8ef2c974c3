"""The ledger: what is held and spent against each cap.

A hold is taken with the claim of a run and ends exactly once. It counts on the day it was taken, on whatever day it
ends. Until then it counts with its amount, or with what its run has used so far if that is more. Amounts are
milli-units. Days and months are those of the time zone of the caps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from console.domain.caps import UNIT_CAPS, Cap, Caps, CapUsage, check_raise
from console.domain.key import day_date
from console.domain.run import Run
from console.domain.task import Task
from console.domain.timestamps import Timestamp
from console.domain.usage import units_text
from console.store.errors import StaleRun
from console.store.events import note_record, write_event
from console.store.integrity_probe import WRONG_SUMS
from console.store.rows import clamp_amount, damage_if_unreadable, fetch_all, fetch_batch, fetch_one, int_of, text_of
from console.store.transaction import Columns, Database, Row, Statement, Transaction

MOST_AHEAD_DAYS = 31
"""By how many days the day of the newest hold may be ahead of the clock, which was set back then."""

TASK_CAPS = frozenset({Cap.TASK_DAILY_RUNS, Cap.TASK_DAILY_UNITS})
"""Caps that each task has for itself."""

SELECT_LAST_DAY = "select value from meta where name = 'last_day'"
KEEP_LAST_DAY = """
    insert into meta (name, value) values ('last_day', :day)
    on conflict (name) do update set value = excluded.value
    where meta.value < excluded.value or meta.value > :latest
"""
SUM_DAYS = """
    select
        coalesce(sum(held), 0) as held,
        coalesce(sum(spent), 0) as spent,
        coalesce(sum(open_runs), 0) as open_runs,
        coalesce(sum(ended_runs), 0) as ended_runs
    from day_sums
    where day >= :first and day <= :last and (cast(:task as text) is null or task = :task)
"""
FORGET_SUMS = "delete from day_sums"
ADD_UP_HOLDS = """
    insert into day_sums (day, task, held, spent, open_runs, ended_runs)
    select
        day,
        task,
        sum(case when state = 'open' then amount else 0 end),
        sum(coalesce(settled, 0)),
        sum(case when state = 'open' then 1 else 0 end),
        sum(case when state = 'settled' then 1 else 0 end)
    from holds
    group by day, task
"""
# Without the hint the planner reads all runs, and there are only a few open ones.
SELECT_EXCESS = """
    select day, task, sum(used - budget) as excess from runs indexed by runs_open
    where state <> 'ended' and used > budget
    group by day, task
"""
# An unconfirmed run keeps its slot: its agent may be running.
COUNT_SLOTS = "select count(*) as taken from runs indexed by runs_open where state <> 'ended' and state <> 'proposed'"
SELECT_RAISES = """
    select cap, task, amount from raises
    where "window" in (:day, :month)
    order by id
"""
INSERT_RAISE = """
    insert into raises (cap, task, amount, by, reason, at_ms, "window")
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
    """Reads how full the caps are, and raises one for its current window."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cap_usages(self, caps: Caps, now: Timestamp, task: Task | None = None) -> tuple[CapUsage, ...]:
        """Return the usage of every cap in the order they are checked; the caps of `task`, if given, come first."""

        async def unit(tx: Transaction) -> tuple[CapUsage, ...]:
            return await load_cap_usages(tx, caps, await load_today(tx, caps, now), task)

        return await self._database.read(unit)

    async def raise_cap(
        self, cap: Cap, *, task: str | None, amount: int, caps: Caps, by: str, reason: str, now: Timestamp
    ) -> None:
        """Add `amount` (milli-units, or runs) to the limit of the window that contains `now`, and to no other.

        Raises ValueError for an amount outside of the bounds of a cap, or a task that does not fit the cap.
        """
        check_raise(cap, amount)
        if (task is not None) != (cap in TASK_CAPS):
            raise ValueError(f"{cap} {'needs a' if task is None else 'has no'} task")

        async def unit(tx: Transaction) -> None:
            day = await load_today(tx, caps, now)
            window = month_of(day) if cap is Cap.MONTHLY_UNITS else day
            parameters: Columns = {"cap": cap.value, "task": task, "amount": amount, "window": window}
            audit: Columns = {"by": by, "reason": reason, "at_ms": now.wall_ms}
            await fetch_all(tx, INSERT_RAISE, {**parameters, **audit})
            text = units_text(amount) if cap in UNIT_CAPS else str(amount)
            fields = {"task": task or "-", "cap": cap.value, "amount": text, "window": window, "by": by, "why": reason}
            await write_event(tx, "raise", now.wall_ms, record=note_record("raise", fields, None, now.wall_ms))

        await self._database.transaction(unit)

    async def recount(self, *, by: str, now: Timestamp) -> tuple[str, ...]:
        """Add up again what counts against the caps, if damage has changed it; write a log note.

        Return the days that were wrong. A run whose hold could not end because of a wrong sum can end after that.
        """

        async def unit(tx: Transaction) -> tuple[str, ...]:
            wrong = await fetch_all(tx, WRONG_SUMS, {})
            if not wrong:
                return ()
            days = tuple(sorted({text_of(row, "day") for row in wrong}))
            await fetch_all(tx, FORGET_SUMS, {})
            await fetch_all(tx, ADD_UP_HOLDS, {})
            record = note_record("sums_recounted", {"by": by, "days": " ".join(days)}, None, now.wall_ms)
            await write_event(tx, "sums_recounted", now.wall_ms, record=record, by=by, days=" ".join(days))
            return days

        return await self._database.transaction(unit)


@dataclass(frozen=True, slots=True)
class _Sums:
    """What some days hold and have spent."""

    runs: tuple[int, int]
    """Open and ended ones."""
    units: tuple[int, int]
    """Held and spent ones, in thousandths."""


async def load_cap_usages(tx: Transaction, caps: Caps, day: str, task: Task | None) -> tuple[CapUsage, ...]:
    """Return the usage of the caps on `day`, which is today or the day of a later hold, as the transaction sees it."""
    zone = ZoneInfo(caps.time_zone)
    day_ends, month_ends = day_ends_ms(day, zone), month_ends_ms(day, zone)
    first, last = f"{month_of(day)}-01", f"{month_of(day)}-31"
    name = task.name if task else None
    raises, beyond, of_day, of_month, of_task_day, slots = await fetch_batch(
        tx,
        Statement(SELECT_RAISES, {"day": day, "month": month_of(day)}),
        Statement(SELECT_EXCESS),
        Statement(SUM_DAYS, {"first": day, "last": day, "task": None}),
        Statement(SUM_DAYS, {"first": first, "last": last, "task": None}),
        Statement(SUM_DAYS, {"first": day, "last": day, "task": name}),
        Statement(COUNT_SLOTS),
    )
    raised, excess = _raised_of(raises), _excess_of(beyond)
    today, month = _sums_of(of_day, day, day, None, excess), _sums_of(of_month, first, last, None, excess)
    usages: list[tuple[Cap, int | None, tuple[int, int], int | None]] = [
        (Cap.DAILY_RUNS, caps.daily_runs, today.runs, day_ends),
        (Cap.DAILY_UNITS, caps.daily_units, today.units, day_ends),
        (Cap.MONTHLY_UNITS, caps.monthly_units, month.units, month_ends),
        (Cap.CONCURRENT_RUNS, caps.concurrent_runs, (int_of(slots[0], "taken"), 0), None),
    ]
    if task is not None:
        of_task = _sums_of(of_task_day, day, day, task.name, excess)
        usages[:0] = [
            (Cap.TASK_DAILY_RUNS, task.guardrails.daily_runs, of_task.runs, day_ends),
            (Cap.TASK_DAILY_UNITS, task.guardrails.daily_units, of_task.units, day_ends),
        ]
    return tuple(
        CapUsage(
            cap=cap,
            limit=None if limit is None else limit + raised[cap, name if cap in TASK_CAPS else None],
            held=held,
            spent=spent,
            frees_at_ms=frees_at_ms,
            time_zone=caps.time_zone,
        )
        for cap, limit, (held, spent), frees_at_ms in usages
    )


def day_of(now: Timestamp, zone: ZoneInfo, last_day: str | None) -> str:
    """Return today's date in `zone`, but never one before `last_day`: a clock set back must not open a day again.

    A `last_day` more than MOST_AHEAD_DAYS ahead came from a clock that was wrong, or is damaged. It does not count, or
    the caps would stay on that day until it comes.
    """
    today = day_date(now.utc(), zone)
    return today if last_day is None or last_day > _latest(today) else max(today, last_day)


def _latest(today: str) -> str:
    """Return the last day that `last_day` can be."""
    return (date.fromisoformat(today) + timedelta(days=MOST_AHEAD_DAYS)).isoformat()


def month_of(day: str) -> str:
    """Return `2026-11` for `2026-11-23`."""
    return day[:7]


def day_ends_ms(day: str, zone: ZoneInfo) -> int:
    """Return when the day after `day` begins in `zone`, UTC ms."""
    return _midnight_ms(date.fromisoformat(day) + timedelta(days=1), zone)


def month_ends_ms(day: str, zone: ZoneInfo) -> int:
    """Return when the month after that of `day` begins in `zone`, UTC ms."""
    first = date.fromisoformat(day).replace(day=1)
    return _midnight_ms((first + timedelta(days=32)).replace(day=1), zone)


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    # Where a clock change skips midnight, fold 0 makes this the time of the change, which is when the day begins.
    return int(datetime.combine(day, time(), tzinfo=zone).timestamp() * 1000)


async def load_today(tx: Transaction, caps: Caps, now: Timestamp) -> str:
    """Return the day on which a hold taken now would count: no earlier than that of the newest hold."""
    return today_of(await fetch_all(tx, SELECT_LAST_DAY, {}), caps, now)


def today_of(rows: Sequence[Row], caps: Caps, now: Timestamp) -> str:
    """Return the day on which a hold taken now would count, after what SELECT_LAST_DAY found. Raises StoreDamaged."""
    with damage_if_unreadable("the day of the newest hold"):
        last_day = date.fromisoformat(rows[0]["value"]).isoformat() if rows else None
    return day_of(now, ZoneInfo(caps.time_zone), last_day)


def keep_day_statement(day: str) -> Statement:
    """Store the day of a hold, so that no later hold counts on an earlier day."""
    return Statement(KEEP_LAST_DAY, {"day": day, "latest": _latest(day)})


def hold_statement(run: Run, at_ms: int) -> Statement:
    """Hold the budget of `run` in the caps of its day."""
    columns: Columns = {"run_id": run.id, "task": run.task, "day": run.day, "amount": run.limits.budget, "at_ms": at_ms}
    return Statement(TAKE_HOLD, columns)


async def settle_hold(tx: Transaction, run: Run, spent: int, at_ms: int) -> None:
    """End the hold with what was used. An amount above the hold is booked in full and logged as an overshoot."""
    amount = await _end_hold(tx, run, "settled", clamp_amount(spent), at_ms)
    if spent > amount:
        record = note_record("overshoot", {"hold": units_text(amount), "used": units_text(spent)}, run, at_ms)
        await write_event(tx, "overshoot", at_ms, run=run, record=record, hold=amount, used=spent)


async def release_hold(tx: Transaction, run: Run, at_ms: int) -> None:
    """End the hold of a run for which nothing was launched: nothing is booked."""
    await _end_hold(tx, run, "released", None, at_ms)


async def _end_hold(tx: Transaction, run: Run, state: str, settled: int | None, at_ms: int) -> int:
    row = await fetch_one(tx, END_HOLD, {"run_id": run.id, "state": state, "settled": settled, "at_ms": at_ms})
    if row is None:
        raise StaleRun(f"run {run.id} has no open hold")
    return int_of(row, "amount")


def _excess_of(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    """Return by how much open runs have used more than they hold, by day and task."""
    return {(text_of(row, "day"), text_of(row, "task")): int_of(row, "excess") for row in rows}


def _sums_of(
    rows: Sequence[Row], first: str, last: str, task: str | None, excess: Mapping[tuple[str, str], int]
) -> _Sums:
    (row,) = rows
    beyond = sum(amount for (day, name), amount in excess.items() if first <= day <= last and task in (None, name))
    held, spent = int_of(row, "held") + beyond, int_of(row, "spent")
    return _Sums(runs=(int_of(row, "open_runs"), int_of(row, "ended_runs")), units=(held, spent))


def _raised_of(rows: Sequence[Row]) -> Counter[tuple[Cap, str | None]]:
    """Return what the raises of SELECT_RAISES add to each limit, by cap and task."""
    added: Counter[tuple[Cap, str | None]] = Counter()
    for row in rows:
        with damage_if_unreadable("a raise of a cap"):
            added[Cap(row["cap"]), row["task"]] += int_of(row, "amount")
    return added
