"""The metrics: gauges of the state folder now, and counters of the day of the caps, which begin anew with each day.

Labels hold names of tasks, caps and outcomes; never a prompt, a result, a key of a run or the text of an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from console import __version__
from console.domain.caps import UNIT_CAPS, CapUsage
from console.domain.formatting import at, zone_or_utc
from console.domain.run import Run, RunId, State
from console.domain.task import Stage
from console.engine.endings import HistoryReader, ended_since
from console.engine.models import Snapshot
from console.engine.reachability import OFFLINE

Values = dict[tuple[str, ...], float]
"""By the values of the labels."""


class DayTotals:
    """The runs of today that ended. The day is read once; from then on the newest endings are added."""

    def __init__(self, queries: HistoryReader) -> None:
        self._queries = queries
        self._day = ""
        self._runs: dict[RunId, Run] = {}

    async def update(self, snapshot: Snapshot) -> tuple[Run, ...]:
        """The runs that were created today and ended. Raises StoreError."""
        begin = _day_begin(snapshot)
        day, recent = f"{begin:%Y-%m-%d}", snapshot.recent
        known = any(run.id in self._runs for run in recent) or len(recent) < 50
        if day != self._day or not known:
            # More ended since the last time than the snapshot lists, or a new day has begun.
            self._runs = {run.id: run for run in await ended_since(self._queries, _ms(begin))}
            self._day = day
        self._runs |= {run.id: run for run in recent if run.created_ms >= _ms(begin)}
        return tuple(self._runs.values())


class _Fixed:
    """A collector of metrics that were made before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterator[Metric]:
        """The metrics, as prometheus-client asks for them."""
        return iter(self._families)


def metrics_text(snapshot: Snapshot, ended: Iterable[Run], *, ledger: str) -> bytes:
    """All metrics as text in the format 0.0.4. `ended` are the runs of today that ended."""
    return generate_latest(_registry(snapshot, ended, ledger))


def _registry(snapshot: Snapshot, ended: Iterable[Run], ledger: str) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    families = (*_state(snapshot, ledger), *_caps(snapshot.cap_usages), *_day(tuple(ended)))
    registry.register(_Fixed(families))
    return registry


def _state(now: Snapshot, ledger: str) -> Iterator[Metric]:
    yield _gauge("info", "The version, and the name of the ledger.", {(__version__, ledger): 1}, "version", "ledger")
    yield _gauge("snapshot_timestamp_seconds", "When this was read.", {(): now.taken.wall_ms / 1000})
    states = Counter(run.state for run in now.live)
    counts: Values = {(state.value,): float(states[state]) for state in State if state is not State.ENDED}
    yield _gauge("runs", "Runs that have not ended, by state.", counts, "state")
    unproven = sum(run.stop is not None and run.stop.alarmed for run in now.live)
    yield _gauge("unproven_stops", "Runs whose stop is not proven after ten minutes.", {(): unproven})
    yield _gauge("stalled_runs", "Running runs without a new step.", {(): sum(_is_stalled(run) for run in now.live)})
    yield _gauge("paused", "1 while the kill switch is on.", {(): now.paused is not None})
    yield _gauge("scheduler_running", "1 while a process schedules.", {(): now.scheduler is not None or now.schedules})
    yield _gauge("nobody_schedules", "1 while tasks are due and no process schedules.", {(): now.nobody_schedules})
    if now.next_launch is not None:
        seconds = now.next_launch.at_ms / 1000
        yield _gauge("next_launch_timestamp_seconds", "The next scheduled time.", {(): seconds})
    lasting = [problem for problem in now.problems if problem.over_ms is None]
    yield _gauge("problems", "What does not work now.", {(): len(lasting)})
    offline = any(problem.topic == OFFLINE for problem in lasting)
    yield _gauge("provider_offline", "1 while the provider does not answer.", {(): offline})
    stages: Values = {(task,): float(stage) for task, stage in now.stages.items()}
    labels = ", ".join(f"{int(stage)} {stage.label}" for stage in Stage)
    yield _gauge("task_stage", f"The stage of each task that was ever promoted: {labels}.", stages, "task")


def _is_stalled(run: Run) -> bool:
    return run.stalled and run.state is State.RUNNING


def _caps(usages: Iterable[CapUsage]) -> Iterator[Metric]:
    usages = tuple(usages)
    for name, text in (
        ("limit", "The cap with its raises; none for an unlimited one. Units, or launches."),
        ("held", "Held for open runs."),
        ("spent", "Booked by ended runs in the present period."),
    ):
        values = {(usage.cap.value,): _amount(usage, getattr(usage, name)) for usage in usages}
        present: Values = {labels: value for labels, value in values.items() if value is not None}
        yield _gauge(f"cap_{name}", text, present, "cap")


def _amount(usage: CapUsage, value: int | None) -> float | None:
    if value is None:
        return None
    return value / 1000 if usage.cap in UNIT_CAPS else float(value)


def _day(ended: tuple[Run, ...]) -> Iterator[Metric]:
    runs: Counter[tuple[str, ...]] = Counter()
    units: Counter[tuple[str, ...]] = Counter()
    costs: Counter[tuple[str, ...]] = Counter()
    unknown: Counter[tuple[str, ...]] = Counter()
    for run in ended:
        if run.outcome is None:
            continue
        runs[run.task, run.outcome.value] += 1
        units[run.task,] += run.used
        if run.cost_micro is not None and run.currency:
            costs[run.task, run.currency] += run.cost_micro
        else:
            unknown[run.task,] += 1
    today = "today, in the zone of the caps"
    yield _counter("runs_ended", f"Runs of {today}, by outcome.", _scaled(runs, 1), "task", "outcome")
    yield _counter("units_used", f"Units used by ended runs of {today}.", _scaled(units, 1000), "task")
    yield _counter("cost", f"Cost of ended runs of {today}.", _scaled(costs, 1_000_000), "task", "currency")
    text = f"Ended runs of {today} whose cost is not known."
    yield _counter("runs_of_unknown_cost", text, _scaled(unknown, 1), "task")


def _scaled(amounts: Counter[tuple[str, ...]], scale: int) -> Values:
    return {labels: amount / scale for labels, amount in amounts.items()}


def _gauge(name: str, text: str, values: Values, *labels: str) -> Metric:
    family = GaugeMetricFamily(f"nightdesk_{name}", text, labels=labels)
    for of, value in values.items():
        family.add_metric(of, float(value))
    return family


def _counter(name: str, text: str, values: Values, *labels: str) -> Metric:
    family = CounterMetricFamily(f"nightdesk_{name}", text, labels=labels)
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def _day_begin(snapshot: Snapshot) -> datetime:
    now = at(snapshot.taken.wall_ms, zone_or_utc(snapshot.time_zone))
    begin = now.replace(hour=0, minute=0, second=0, microsecond=0)
    # Where the clocks skip midnight, the day begins at the change.
    return begin if begin.date() == now.date() else begin + timedelta(hours=1)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
