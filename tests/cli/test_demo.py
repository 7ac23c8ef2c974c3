"""The demo's past month is consistent: stages, schedules, ledger, log and history agree; one day is an anomaly."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.demo.history import ANOMALOUS_DAY, DAYS, DESK_HOURS, month
from console.demo.runner import prepare
from console.demo.tasks import BY_HAND, DIGEST, PROPOSED, TASKS
from console.domain.rollout import StageChange
from console.domain.run import Outcome
from console.domain.task import Origin, Stage
from console.domain.timestamps import Timestamp
from console.engine.scheduling.cron import date_for
from console.journal.log_reader import LogReader
from console.simulated import memory_folder
from console.simulator.scenario import Scenario, from_prompt
from console.store.history import HistoryFilter
from console.store.store import Store

SEEN = {
    Outcome.OK,
    Outcome.FAILED,
    Outcome.TIMEOUT,
    Outcome.BUDGET,
    Outcome.CANCELLED,
    Outcome.SKIPPED,
    Outcome.REFUSED,
}
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def moment(instant: datetime) -> Timestamp:
    wall_ms = int(instant.timestamp() * 1000)
    return Timestamp(wall_ms=wall_ms, boot_ms=wall_ms, boot_id="now")


def stage_at(changes: Sequence[StageChange], wall_ms: int) -> Stage:
    """The stage of a task at a time, by the changes of it, oldest first."""
    return max(((each.at_ms, each.after) for each in changes if each.at_ms <= wall_ms), default=(0, Stage.MANUAL))[1]


async def test_ledger_log_and_history_agree(tmp_path: Path) -> None:
    await prepare(tmp_path / "state", moment(NOON))

    reader = LogReader(tmp_path / "state" / "runs.log")
    records = [line.record for line in reader.read()]
    reader.close()
    assert [record.ev for record in records] == list(range(1, len(records) + 1))
    store = await Store.open(tmp_path / "state", now=moment(NOON))
    try:
        runs = (await store.history.page(HistoryFilter(), limit=1000)).runs
        assert not await store.runs.open_runs()
        stages = {task: await store.stages.stage(task) for task in ("nightly-report", "ticket-triage", "log-digest")}
        changes = {task.name: await store.stages.changes(task.name) for task in TASKS}
    finally:
        await store.close()
    assert stages["log-digest"] is Stage.MANUAL, "its budget stopped it twice"
    for run in runs:
        assert run.stage is stage_at(changes[run.task], run.created_ms), run
        if run.origin is Origin.SCHEDULE and run.stage is Stage.MANUAL:
            assert run.outcome is Outcome.REFUSED, "no scheduled launch runs at stage manual"
        if run.origin is Origin.MANUAL and run.attempt:
            assert DESK_HOURS[0] <= datetime.fromtimestamp(run.created_ms / 1000, UTC).hour < DESK_HOURS[1]
    days = {datetime.fromtimestamp(run.created_ms / 1000, UTC).date() for run in runs if run.attempt}
    assert days >= {(NOON - timedelta(days=ago)).date() for ago in range(1, DAYS + 1)}
    assert stages["nightly-report"] is Stage.UNATTENDED
    assert stages["ticket-triage"] is Stage.SEMI
    units = {record.fields["run"]: record.units for record in records if record.units}
    assert units == {run.id: run.used for run in runs if run.used}
    assert {run.outcome for run in runs} == SEEN
    assert all(run.created_ms < moment(NOON).wall_ms for run in runs)


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_one_day_is_an_anomaly_and_keys_of_today_are_free(hour: int) -> None:
    now = NOON.replace(hour=hour)
    launches = month(now, random.Random(7))

    days = Counter[str]()
    for past in launches:
        days[past.at.date().isoformat()] += round(past.units)
    ((day, most), (_, second), *_) = days.most_common()
    assert day == (now - timedelta(days=ANOMALOUS_DAY)).date().isoformat()
    assert most > 2 * second
    dates = {(past.task.name, past.date) for past in launches}
    for task in (*BY_HAND, PROPOSED):
        assert (task.name, date_for(task, now, scheduled=False)) not in dates


def test_tasks_are_unique_and_the_simulator_reads_their_prompts() -> None:
    assert len({task.name for task in TASKS}) == len({(task.type, task.target) for task in TASKS}) == len(TASKS)
    greedy = from_prompt(DIGEST.prompt, Scenario())
    assert greedy.tokens_per_step > 20_000


def test_the_demo_uses_a_memory_file_system_if_there_is_room(tmp_path: Path) -> None:
    assert memory_folder(tmp_path / "none") is None
    assert memory_folder(tmp_path) in (tmp_path, None)
