"""What the runs of a day used, by task, stage and outcome. Sums of integers: any order of adding gives the same.

A day is the caps-zone day of the hold, as it stands in the log line; never the day on which a run ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from console.domain.run import NEVER_A_RUN, RERUN_FREELY

NOTHING_LAUNCHED = NEVER_A_RUN | RERUN_FREELY
"""Outcomes of entries for which no agent ever ran."""


class Measure(StrEnum):
    """What a chart counts."""

    UNITS = "units"
    COST = "cost"
    RUNS = "runs"
    SECONDS = "seconds"


class Group(StrEnum):
    """What a chart is stacked by."""

    TASK = "task"
    DAY = "day"
    OUTCOME = "outcome"
    STAGE = "stage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Sums over ended runs."""

    runs: int = 0
    """Runs in which an agent was launched."""
    unlaunched: int = 0
    """Entries without an agent: skipped, refused, declined, expired, rejected, not sent."""
    units: int = 0
    """Milli-units."""
    ms: int = 0
    """Real milliseconds from launch to end."""
    cost: tuple[tuple[str, int], ...] = ()
    """Micro-money by currency, in the order of the currencies' names."""
    unpriced: int = 0
    """Runs that used something at a price nobody knows: while this is not 0, `cost` is not the whole cost."""

    def __add__(self, other: Figures) -> Figures:
        """Both together."""
        money: dict[str, int] = defaultdict(int)
        for currency, micro in (*self.cost, *other.cost):
            money[currency] += micro
        return Figures(
            runs=self.runs + other.runs,
            unlaunched=self.unlaunched + other.unlaunched,
            units=self.units + other.units,
            ms=self.ms + other.ms,
            cost=tuple(sorted(money.items())),
            unpriced=self.unpriced + other.unpriced,
        )

    def cost_in(self, currency: str) -> int | None:
        """Micro-money in `currency`; None where nothing is known, which is not the same as 0."""
        known = dict(self.cost)
        return known.get(currency, 0) if currency in known or not self.unpriced else None

    def measured(self, measure: Measure, currency: str = "") -> int | None:
        """Milli-units, micro-money of `currency` (None: unknown), runs or milliseconds."""
        match measure:
            case Measure.UNITS:
                return self.units
            case Measure.COST:
                return self.cost_in(currency)
            case Measure.RUNS:
                return self.runs
            case Measure.SECONDS:
                return self.ms
            case _:
                assert_never(measure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The figures of one task on one day, at one stage, with one outcome."""

    day: str
    """`2026-11-23`."""
    task: str
    stage: str
    outcome: str
    figures: Figures

    def member(self, group: Group) -> str:
        """The bar of a stack that this belongs to."""
        match group:
            case Group.TASK:
                return self.task
            case Group.DAY:
                return self.day
            case Group.OUTCOME:
                return self.outcome
            case Group.STAGE:
                return self.stage
            case _:
                assert_never(group)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """Units that are held for a run whose end is not in the log yet."""

    run: str
    task: str
    stage: str
    day: str
    units: int
    """Milli-units."""
    since_ms: int
    """UTC wall milliseconds of the log line."""
    confirmed: bool
    """False: it is not known whether it runs."""


def rolled_up(buckets: Iterable[Bucket], group: Group) -> Mapping[str, Mapping[str, Figures]]:
    """By day, then by the members of `group`; only what there is, days in their order."""
    days: dict[str, dict[str, Figures]] = defaultdict(dict)
    for bucket in sorted(buckets, key=lambda one: one.day):
        members, member = days[bucket.day], bucket.member(group)
        members[member] = members.get(member, Figures()) + bucket.figures
    return dict(days)


def total(buckets: Iterable[Bucket]) -> Figures:
    """All of them together."""
    return sum((bucket.figures for bucket in buckets), Figures())
