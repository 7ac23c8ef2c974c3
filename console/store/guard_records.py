"""What the guards did in a period: the runs they stopped and the launches they did not let through, summed up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from console.domain.run import Outcome
from console.store.rows import damage_if_unreadable, fetch_all
from console.store.transaction import Database, Transaction, Value

# Real numbers: the product of two stored integers may be too large for one.
SELECT_STOPPED = """
    select
        outcome,
        count(*) as runs,
        sum(used) as used,
        sum(
            case
                when elapsed_ms >= max_ms then 0
                when elapsed_ms > 0 then 1.0 * used * (max_ms - elapsed_ms) / elapsed_ms
            end
        ) as rest,
        sum(case when elapsed_ms > 0 then 1.0 * used * 3600000 / elapsed_ms end) as an_hour
    from runs
    where outcome in ('budget', 'timeout', 'cancelled') and created_ms >= :since and created_ms < :until
    group by outcome
"""
SELECT_NOT_LAUNCHED = """
    select runs.task, runs.outcome, json_extract(events.detail, '$.reason') as reason, count(*) as launches,
        sum(runs.budget) as budgets
    from runs join events on events.run_id = runs.id and events.kind = runs.outcome
    where runs.outcome in ('skipped', 'refused') and runs.created_ms >= :since and runs.created_ms < :until
    group by runs.task, runs.outcome, reason
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Runs that ended in one of the ways in which a guard or a person stops them. Amounts are milli-units."""

    runs: int = 0
    used: int = 0
    rest: int = 0
    """What they would have used more at their own rates, had they gone on until their time limits."""
    an_hour: int = 0
    """What all of them together used in an hour, at their rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLaunched:
    """Launches of one task that were skipped or refused for one reason."""

    task: str
    outcome: Outcome
    reason: str
    """`done`, `running`, `missed` of a skip; `cap`, `paused`, `stage`, … of a refusal."""
    launches: int
    budgets: int
    """Milli-units that they would have held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardActions:
    """What the guards did."""

    stopped: Mapping[Outcome, Stopped] = field(default_factory=dict)
    """By outcome; those that did not occur are missing."""
    not_launched: tuple[NotLaunched, ...] = ()


class GuardRecords:
    """Sums up what the guards did. Raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def between(self, since_ms: int, until_ms: int) -> GuardActions:
        """Return what was done to launches that were asked for from `since_ms` on and before `until_ms`, UTC ms."""
        parameters: dict[str, Value] = {"since": since_ms, "until": until_ms}

        async def unit(tx: Transaction) -> GuardActions:
            stopped = await fetch_all(tx, SELECT_STOPPED, parameters)
            not_launched = await fetch_all(tx, SELECT_NOT_LAUNCHED, parameters)
            with damage_if_unreadable("what the guards did"):
                return GuardActions(
                    stopped={
                        Outcome(row["outcome"]): Stopped(
                            runs=row["runs"],
                            used=row["used"],
                            rest=round(row["rest"] or 0),
                            an_hour=round(row["an_hour"] or 0),
                        )
                        for row in stopped
                    },
                    not_launched=tuple(
                        NotLaunched(
                            task=row["task"],
                            outcome=Outcome(row["outcome"]),
                            reason=row["reason"] or "-",
                            launches=row["launches"],
                            budgets=row["budgets"],
                        )
                        for row in not_launched
                    ),
                )

        return await self._database.read(unit)
