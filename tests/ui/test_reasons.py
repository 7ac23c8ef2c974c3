"""A reason that is typed into a question stands in the record, and no key of it answers the question."""

from __future__ import annotations

import pytest

from console.domain.rollout import Evidence
from console.domain.task import Stage
from console.engine.models import TaskRollout
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

LETTERS = "a x: audit"
"""Contains the letters that answer the questions."""
RUN = samples.run(4, used=38.2)


def engine() -> FakeEngine:
    return FakeEngine(live=[samples.proposal(), RUN])


async def test_an_approval_carries_its_reason() -> None:
    asked = engine()
    async with console(asked, asked.clock) as screen:
        await screen.select(samples.proposal().id)
        await screen.press("a", "r")
        await screen.type(LETTERS)
        assert screen.asks
        await screen.press("enter")
        assert screen.asks, "Enter in the line does not answer"
        assert asked.asked == []
        assert LETTERS in screen.text()
        await screen.press("a")
        assert asked.asked == [("approve", samples.proposal().id, LETTERS)]


async def test_marked_runs_are_cancelled_with_a_reason_also_where_it_is_one() -> None:
    asked = engine()
    async with console(asked, asked.clock) as screen:
        await screen.select(RUN.id)
        await screen.press("space")
        await screen.select(RUN.id)
        await screen.press("x", "r")
        await screen.type(LETTERS)
        await screen.press("enter", "x")
        assert asked.asked == [("stop", RUN.id, "alice tty=yes", LETTERS)]


@pytest.mark.parametrize(
    ("to_the_answer", "paused"), [(["l"], ("pause", "False", LETTERS)), (["l", "l"], ("pause", "True", LETTERS))]
)
async def test_a_pause_carries_its_reason(to_the_answer: list[str], paused: tuple[str, ...]) -> None:
    asked = engine()
    async with console(asked, asked.clock) as screen:
        await screen.press("X", "r")
        await screen.type(LETTERS)
        await screen.press("enter", *to_the_answer, "enter")
        assert asked.asked[0] == paused


async def test_a_resume_and_a_promotion_carry_their_reasons() -> None:
    asked = engine()
    earned = TaskRollout(
        task=samples.TASKS[0],
        stage=Stage.MANUAL,
        effective=Stage.MANUAL,
        evidence=Evidence(since_ms=None),
        unmet_criteria=(),
    )
    asked.rollouts = (earned,)
    async with console(asked, asked.clock) as screen:
        await screen.press("X", "l", "enter", "X", "r")
        await screen.type(LETTERS)
        await screen.press("enter", "l", "enter")
        assert asked.asked[-1] == ("resume", LETTERS)
        await screen.press("3", "p", "r")
        await screen.type(LETTERS)
        await screen.press("enter", "p")
        assert ("move", earned.task.name, "semi", LETTERS, "False") in asked.asked


async def test_what_was_typed_is_kept_while_the_line_is_closed_and_changed() -> None:
    asked = engine()
    async with console(asked, asked.clock, size=(60, 20)) as screen:
        await screen.select(samples.proposal().id)
        await screen.press("a", "r")
        await screen.type("one")
        await screen.press("tab")
        assert "one  r changes it" in screen.text()
        await screen.press("r")
        await screen.type(" two")
        await screen.press("enter", "a")
        assert asked.asked == [("approve", samples.proposal().id, "one two")]


async def test_escape_in_the_line_leaves_everything_as_it_is() -> None:
    asked = engine()
    async with console(asked, asked.clock) as screen:
        await screen.select(samples.proposal().id)
        await screen.press("a", "r")
        await screen.type("one")
        await screen.press("escape")
        assert not screen.asks
        assert asked.asked == []
