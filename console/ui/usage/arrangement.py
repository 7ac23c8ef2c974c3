"""Which members the table of usage shows and in which order.

Kept apart because each table has its filter and its orders in a module of that name.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from console.domain.usage_stats import Group, Measure
from console.engine.usage import MemberTotal, UsageReport
from console.ui.filtering.controls import Order
from console.ui.filtering.rows import FieldNames, RowFields, RowFilter

LARGEST = Order("largest", "largest first", "smallest first")
NAME = Order("name", "by name", "by name, from Z to A")
CHANGE = Order("change", "grown most first", "shrunk most first")
RUNS = Order("runs", "most runs first", "fewest runs first")
ORDERS = (LARGEST, NAME, CHANGE, RUNS)

NAMES = FieldNames(figures=("value", "runs"))
SCALES = {Measure.UNITS: 1_000, Measure.COST: 1_000_000, Measure.SECONDS: 1_000, Measure.RUNS: 1}
"""The integers of a report for one unit, one unit of money, one second and one run."""


def row_fields(member: MemberTotal, measure: Measure) -> RowFields:
    """What a row of the table offers to a filter; a cost that is known in part only meets no comparison."""
    is_known = measure is not Measure.COST or not member.unpriced
    value = Decimal(member.value) / SCALES[measure] if is_known else None
    return RowFields(figures={"value": value, "runs": Decimal(member.runs)}, text=member.member)


def arranged(report: UsageReport, wanted: RowFilter, order: Order, *, reverse: bool) -> list[MemberTotal]:
    """The members that fit, in this order. By day the usual order is the newest day first."""
    measure = report.query.measure
    found = [member for member in report.members if wanted.fits(row_fields(member, measure))]
    if report.query.group is Group.DAY and order is LARGEST:
        return sorted(found, key=lambda member: member.member, reverse=not reverse)
    found.sort(key=lambda member: member.member)
    found.sort(key=_KEYS[order], reverse=reverse)
    return found


def _growth(member: MemberTotal) -> float:
    """How much less than before, as a share; what is new has grown without limit."""
    if not member.before:
        return float("-inf") if member.value else 0.0
    return (member.before - member.value) / member.before


_KEYS: dict[Order, Callable[[MemberTotal], Any]] = {
    LARGEST: lambda member: -member.value,
    NAME: lambda member: member.member,
    CHANGE: _growth,
    RUNS: lambda member: -member.runs,
}
"""By order: what comes first has the smallest value."""
