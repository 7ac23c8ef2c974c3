"""The metrics say what the snapshot says, as an independent parser reads them, and nothing that is secret."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest

from console.domain.caps import Cap, CapUsage
from console.domain.run import NON_RUN_OUTCOMES, Outcome, Run, State
from console.domain.task import Stage
from console.engine.models import Cursor, HistoryFilter, NextLaunch, Page, Pause, Snapshot
from console.engine.problems import Problem
from tests.ui import samples

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("prometheus_client") is None, reason="prometheus-client is optional"
)

CAPS = (
    CapUsage(cap=Cap.DAILY_UNITS, limit=2_000_000, held=80_000, spent=1_500, frees_at_ms=1),
    CapUsage(cap=Cap.DAILY_RUNS, limit=100, held=1, spent=7, frees_at_ms=1),
    CapUsage(cap=Cap.MONTHLY_UNITS, limit=None, held=0, spent=0, frees_at_ms=1),
)


class Reader:
    """A history of these runs, which counts how often it is read."""

    def __init__(self, *runs: Run) -> None:
        self.runs = runs
        self.reads = 0

    async def history(self, wanted: HistoryFilter, *, limit: int = 50, after: Cursor | None = None) -> Page:
        self.reads += 1
        since = wanted.since_ms or 0
        return Page(runs=tuple(run for run in self.runs if run.created_ms >= since), after=None)


def ended(number: int, outcome: Outcome, **more: object) -> Run:
    made = replace(samples.run(number, State.ENDED, outcome=outcome), created_ms=samples.NOW.wall_ms - 60_000)
    return replace(made, **more)  # type: ignore[arg-type]  # fields of Run by name


def values(snapshot: Snapshot, *runs: Run) -> dict[str, float]:
    """Every sample by its name and labels, as the parser of prometheus-client reads the text."""
    from prometheus_client.parser import text_string_to_metric_families

    from console.metrics.families import metrics_text

    text = metrics_text(snapshot, runs, ledger="prod").decode()
    return {
        f"{sample.name}{dict(sorted(sample.labels.items())) or ''}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_gauge_says_what_the_snapshot_says() -> None:
    stalled = replace(samples.run(1), stalled=True)
    offline = Problem(topic="offline", text="canary-why", since_ms=0, last_ms=0, count=1)
    snapshot = Snapshot(
        taken=samples.NOW,
        live=(samples.proposal(), samples.unconfirmed(), stalled),
        cap_usages=CAPS,
        paused=Pause(since_ms=0, by="canary-by"),
        next_launch=NextLaunch(task="nightly", at_ms=5_000),
        stages={"nightly": Stage.SEMI},
        problems=(offline, replace(offline, topic="over", over_ms=1)),
    )
    found = values(snapshot)
    assert found["nightdesk_snapshot_timestamp_seconds"] == samples.NOW.wall_ms / 1000
    assert found["nightdesk_runs{'state': 'unconfirmed'}"] == 1
    assert found["nightdesk_runs{'state': 'proposed'}"] == 1
    assert found["nightdesk_runs{'state': 'stopping'}"] == 0
    assert found["nightdesk_stalled_runs"] == found["nightdesk_paused"] == found["nightdesk_provider_offline"] == 1
    assert (found["nightdesk_scheduler_running"], found["nightdesk_nobody_schedules"]) == (0, 1)
    assert found["nightdesk_next_launch_timestamp_seconds"] == 5
    assert found["nightdesk_problems"] == 1
    assert found["nightdesk_task_stage{'task': 'nightly'}"] == 1
    assert found["nightdesk_cap_limit{'cap': 'daily_units'}"] == 2000
    assert found["nightdesk_cap_held{'cap': 'daily_units'}"] == 80
    assert found["nightdesk_cap_spent{'cap': 'daily_units'}"] == 1.5
    assert found["nightdesk_cap_spent{'cap': 'daily_runs'}"] == 7
    assert "nightdesk_cap_limit{'cap': 'monthly_units'}" not in found
    assert not [name for name in found if "canary" in name]


def test_the_counters_of_today_count_what_ended() -> None:
    hostile = 'a"b\\c\nd'
    runs = (
        ended(1, Outcome.OK, used=1_500, cost_micro=250_000, currency="USD"),
        ended(2, Outcome.OK, used=500, cost_micro=None),
        ended(3, Outcome.TIMEOUT, used=1_000, cost_micro=None, task=hostile),
    )
    found = values(Snapshot(taken=samples.NOW), *runs)
    name = samples.TASKS[0].name
    assert found[f"nightdesk_runs_ended_total{ {'outcome': 'ok', 'task': name} }"] == 2
    assert found[f"nightdesk_units_used_total{ {'task': name} }"] == 2
    assert found[f"nightdesk_cost_total{ {'currency': 'USD', 'task': name} }"] == 0.25
    assert found[f"nightdesk_runs_of_unknown_cost_total{ {'task': name} }"] == 1
    assert found[f"nightdesk_runs_ended_total{ {'outcome': 'timeout', 'task': hostile} }"] == 1


async def test_the_history_of_the_day_is_read_once_and_after_a_gap() -> None:
    from console.metrics.families import DayTotals

    first = ended(1, Outcome.OK)
    reader = Reader(first, ended(9, next(iter(NON_RUN_OUTCOMES))), ended(8, Outcome.OK, created_ms=0))
    totals = DayTotals(reader)
    assert await totals.update(Snapshot(taken=samples.NOW, recent=(first,))) == (first,)
    second = ended(2, Outcome.FAILED)
    assert await totals.update(Snapshot(taken=samples.NOW, recent=(second, first))) == (first, second)
    assert reader.reads == 1
    reader.runs = tuple(ended(number, Outcome.OK) for number in range(100, 200))
    assert len(await totals.update(Snapshot(taken=samples.NOW, recent=reader.runs[50:]))) == 100
    assert reader.reads == 2
    tomorrow = Snapshot(taken=samples.moment(86_400), recent=reader.runs[50:])
    assert await totals.update(tomorrow) == ()
