"""Each shell command that the console prints is run, and its output matches what the console shows."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import replace

import pytest

from console.domain.rollout import Evidence
from console.domain.run import Outcome, Run, RunId, State
from console.domain.task import Origin, Stage
from console.domain.usage_stats import Group, Measure
from console.engine.models import HistoryFilter, TaskRollout
from console.engine.usage import UsageQuery
from console.ui.actions.shell_commands import (
    ShellCommand,
    history_commands,
    rollout_commands,
    run_commands,
    usage_commands,
)
from tests.cli import runs as samples
from tests.cli.nightdesk import Done, Nightdesk
from tests.waiting import until_sync

BASE = ("nightdesk",)


def outputs(nightdesk: Nightdesk, printed: Sequence[ShellCommand]) -> dict[str, Done]:
    """Run each command, which must succeed, and return the results by name."""
    found: dict[str, Done] = {}
    for each in printed:
        program, *arguments = shlex.split(each.text)
        assert program == "nightdesk"
        found[each.name] = nightdesk(*arguments)
        assert found[each.name].code == 0, (each.text, found[each.name].err)
    return found


def columns(done: Done) -> list[str]:
    return list(csv.DictReader(io.StringIO(done.out)).fieldnames or ())


@pytest.mark.parametrize("group", Group)
@pytest.mark.parametrize("measure", Measure)
def test_the_commands_of_a_chart_give_its_figures(nightdesk: Nightdesk, group: Group, measure: Measure) -> None:
    nightdesk.launch("good")
    found = outputs(nightdesk, usage_commands(BASE, UsageQuery(days=7, group=group, measure=measure)))
    assert f"a day by {group.value}, last 7 days" in found["this chart"].out
    assert group.value in columns(found["as CSV"])


def test_the_commands_of_a_history_give_its_entries(nightdesk: Nightdesk) -> None:
    nightdesk.launch("good")
    nightdesk.launch("failing")
    wanted = HistoryFilter(
        tasks=("failing",), outcomes=(Outcome.FAILED,), stages=(Stage.MANUAL,), origins=(Origin.MANUAL,), since_ms=0
    )
    for each, tasks in ((wanted, ["failing"]), (HistoryFilter(), ["failing", "good"])):
        found = outputs(nightdesk, history_commands(BASE, each))
        assert [row["task"] for row in csv.DictReader(io.StringIO(found["as CSV"].out))] == tasks
        assert all(task in found["this list"].out for task in tasks)


def test_the_commands_of_a_run_act_on_that_run(nightdesk: Nightdesk) -> None:
    launched = nightdesk.launch("good").json
    run = samples.ended(Outcome.OK, id=RunId(launched["run"]), task="good")
    found = outputs(nightdesk, run_commands(BASE, run, read_only=False))
    assert set(found) == {"show", "its task"}
    assert launched["run"] in found["show"].out
    assert "good" in found["its task"].out


def test_the_cancel_command_of_a_live_run_cancels_it(nightdesk: Nightdesk) -> None:
    process = nightdesk.start("run", "endless", "--origin", "manual", "--json")
    try:
        live = _live_run(nightdesk)
        (cancel,) = (each for each in run_commands(BASE, live, read_only=False) if each.name == "cancel")
        outputs(nightdesk, [cancel])
        assert nightdesk.ended(process).json["outcome"] == "cancelled"
    finally:
        process.kill()


def _live_run(nightdesk: Nightdesk) -> Run:
    until_sync(lambda: [each for each in nightdesk.live() if each["state"] == "running"], within=30, what="a live run")
    (shown,) = nightdesk.live()
    return samples.run(id=RunId(shown["run"]), task="endless", state=State.RUNNING)


def test_the_commands_of_a_task_show_and_move_its_stage(nightdesk: Nightdesk) -> None:
    (task,) = (row["task"] for row in nightdesk("stage", "--json").json if row["task"] == "nightly")
    rollout = TaskRollout(
        task=replace(samples.TASK, name=task),
        stage=Stage.MANUAL,
        effective=Stage.MANUAL,
        evidence=Evidence(since_ms=None),
        unmet_criteria=(),
    )
    printed = {each.name: each for each in rollout_commands(BASE, rollout, read_only=False)}
    assert set(printed) == {"stage", "promote", "its runs"}
    assert "nightly" in outputs(nightdesk, [printed["stage"]])["stage"].out
    outputs(nightdesk, [printed["its runs"]])
    promoted = nightdesk(*shlex.split(printed["promote"].text)[1:])
    assert promoted.code == 6, "the command is understood; the task has not earned the stage"
