"""The selection as shell commands: the command line accepts them, and no name breaks out of its quotes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click
import pytest

from console.cli.main import cli
from console.domain.rollout import Evidence
from console.domain.run import Outcome, Run, State
from console.domain.task import Origin, Stage
from console.domain.timestamps import parse_instant
from console.domain.usage_stats import Group, Measure
from console.engine.models import HistoryFilter, HistoryOrder, TaskRollout
from console.engine.usage import UsageQuery
from console.ui.actions.shell_commands import (
    ShellCommand,
    command,
    history_commands,
    rollout_commands,
    run_commands,
    usage_commands,
)
from console.ui.format import zone
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

BASE = ("nightdesk",)
HOSTILE = "a'; touch /tmp/x; '$(b) --force"


def parsed(words: ShellCommand) -> click.Context:
    """As the command line understands it. Raises click.UsageError."""
    name, *arguments = shlex.split(words.text)
    assert name == "nightdesk"
    group = cli
    assert isinstance(group, click.Group)
    sub, called, rest = group.resolve_command(click.Context(group), arguments)
    assert called is not None
    assert sub is not None
    return called.make_context(sub, rest)


def texts(words: Sequence[ShellCommand]) -> list[str]:
    return [each.text for each in words]


def all_words() -> list[ShellCommand]:
    runs = [*samples.busy(), *samples.ended()]
    rollout = TaskRollout(
        task=samples.TASKS[0],
        stage=Stage.SEMI,
        effective=Stage.SEMI,
        evidence=Evidence(since_ms=None),
        unmet_criteria=(),
    )
    wanted = HistoryFilter(
        tasks=("crawl-docs", HOSTILE),
        outcomes=(Outcome.FAILED,),
        stages=(Stage.SEMI,),
        origins=(Origin.SCHEDULE,),
        since_ms=samples.NOW.wall_ms,
        until_ms=samples.NOW.wall_ms,
        text="two words",
    )
    found = [words for run in runs for words in run_commands(BASE, run, read_only=False)]
    found += [*history_commands(BASE, wanted), *history_commands(BASE, HistoryFilter())]
    found += rollout_commands(BASE, rollout, read_only=False)
    for group in Group:
        for measure in Measure:
            found += usage_commands(BASE, UsageQuery(days=90, group=group, measure=measure))
    return found


def test_the_command_line_takes_every_command_that_the_screen_offers() -> None:
    for words in all_words():
        parsed(words)


def test_no_name_breaks_out_of_its_quotes() -> None:
    (listed, _) = history_commands(BASE, HistoryFilter(tasks=(HOSTILE,), text=HOSTILE))
    assert shlex.split(listed.text) == ["nightdesk", "history", "--task", HOSTILE, "--grep", HOSTILE]


@pytest.mark.parametrize("unseen", ["a\nb", "a\x1b[31m", "a\u202eb"])
def test_what_no_terminal_shows_makes_no_command(unseen: str) -> None:
    assert command(BASE, "x", "history", "--task", unseen) == ()


def test_instants_come_back_as_they_were() -> None:
    (sorted_list, _) = history_commands(
        BASE, HistoryFilter(order=HistoryOrder.COST, reverse=True, keys=("9f",)), "key:9f"
    )
    assert sorted_list.text == "nightdesk history --filter key:9f --sort cost --reverse"
    (listed, _) = history_commands(BASE, HistoryFilter(since_ms=samples.NOW.wall_ms))
    typed = shlex.split(listed.text)[-1]
    assert parse_instant(typed, now_ms=0, zone=zone("Asia/Tokyo")) == samples.NOW.wall_ms


def test_what_is_offered_follows_the_state_of_the_run() -> None:
    def names(run: Run, *, read_only: bool = False) -> list[str]:
        return [words.name for words in run_commands(BASE, run, read_only=read_only)]

    assert names(samples.run(1)) == ["show", "cancel", "its task"]
    assert names(samples.proposal()) == ["show", "approve", "decline", "its task"]
    assert names(samples.run(1, State.ENDED, outcome=Outcome.OK)) == ["show", "its task"]
    assert names(samples.run(1), read_only=True) == ["show", "its task"]


async def test_c_shows_the_commands_and_y_copies_the_first(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("c")
        run_id = screen.cursor
        assert f"nightdesk show {run_id}" in screen.dialog
        await screen.press("y")
        assert screen.app.clipboard == f"nightdesk show {run_id}"
        assert busy.asked == []
        await screen.press("4", "t", "c", "y")
        assert screen.app.clipboard == "nightdesk usage --days 90 --by task --measure units"
        await screen.press("3", "c", "y")
        assert screen.app.clipboard == "nightdesk stage nightly-report"
        await screen.press("2", "slash")
        await screen.type("task:crawl-docs")
        await screen.press("enter", "c", "y")
        assert screen.app.clipboard == "nightdesk history --task crawl-docs"


def test_a_state_folder_that_is_not_the_default_is_in_the_command(busy: FakeEngine) -> None:
    words = run_commands(("nightdesk", "--state-dir", "/var/a b"), busy.live[0], read_only=True)
    assert texts(words)[0] == f"nightdesk --state-dir '/var/a b' show {busy.live[0].id}"
