"""The daily summary: what ended in the last 24 hours, what it used, and what waits for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from console.domain.caps import UNIT_CAPS
from console.domain.formatting import DAY, at, counted, format_money, format_units
from console.domain.run import Run, State
from console.domain.usage import units_text
from console.engine.endings import ended_since
from console.engine.models import Snapshot
from console.engine.queries import Queries


async def summary_lines(queries: Queries, snapshot: Snapshot, zone: ZoneInfo) -> tuple[str, ...]:
    """The lines of the message. Raises StoreError."""
    now_ms = snapshot.taken.wall_ms
    runs = await ended_since(queries, now_ms - DAY)
    return (
        f"24 hours until {at(now_ms, zone):%Y-%m-%d %H:%M %Z}: {_outcomes(runs)}",
        *_used(runs),
        *_caps(snapshot),
        _waiting(snapshot),
    )


def _outcomes(runs: Iterable[Run]) -> str:
    counts = Counter(run.outcome_words for run in runs)
    if not counts:
        return "no run ended"
    return f"{counted(sum(counts.values()), 'run')}: " + ", ".join(
        f"{number} {words}" for words, number in counts.most_common()
    )


def _used(runs: Iterable[Run]) -> Iterable[str]:
    runs = tuple(runs)
    if not runs:
        return
    costs: Counter[str] = Counter()
    for run in runs:
        if run.cost_micro is not None and run.currency:
            costs[run.currency] += run.cost_micro
    unknown = sum(run.cost_micro is None for run in runs)
    money = [format_money(amount, currency) for currency, amount in sorted(costs.items())]
    money += [f"{counted(unknown, 'run')} at an unknown cost"] if unknown else []
    yield f"used: {format_units(sum(run.used for run in runs))} units, {', '.join(money)}"


def _caps(snapshot: Snapshot) -> Iterable[str]:
    for usage in snapshot.cap_usages:
        if usage.cap in UNIT_CAPS and usage.limit is not None:
            taken = usage.held + usage.spent
            yield f"{usage.cap}: {units_text(taken)} of {units_text(usage.limit)} units held or spent"


def _waiting(snapshot: Snapshot) -> str:
    unconfirmed = sum(run.state is State.UNCONFIRMED for run in snapshot.live)
    proposed = sum(run.state is State.PROPOSED for run in snapshot.live)
    parts = [f"{counted(unconfirmed, 'run')} to settle"] if unconfirmed else []
    parts += [f"{counted(proposed, 'proposal')} to approve"] if proposed else []
    parts += ["launches are paused"] if snapshot.paused else []
    parts += ["nobody schedules"] if snapshot.nobody_schedules else []
    return f"needs a person: {', '.join(parts)}" if parts else "nothing needs a person"
