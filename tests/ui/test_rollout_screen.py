"""The rollout screen: what it shows, and promotions and demotions that ask and never happen by accident."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.rollout import Evidence, StageChange
from console.domain.task import Stage
from console.engine.errors import StoreError
from console.engine.models import TaskRollout
from console.engine.rollout import upcoming_times
from console.ui.glyphs import ASCII
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

SHOWN = Evidence(
    since_ms=samples.moment(-9 * 86_400).wall_ms,
    ran=5,
    manual_ok=2,
    approved_ok=3,
    observed=4,
    guards_held=1,
    p95_units=41_000,
    p95_ms=412_000,
    budget=80_000,
    max_ms=900_000,
)
DOWN = StageChange(
    at_ms=samples.moment(-3 * 86_400).wall_ms,
    before=Stage.UNATTENDED,
    after=Stage.SEMI,
    by="nightdesk",
    reason="run 01k9zq of key 9f2c51ab03de7714: timeout",
    forced=False,
)


def rollout(number: int, stage: Stage, unmet_criteria: tuple[str, ...] = (), **more: object) -> TaskRollout:
    task = samples.TASKS[number]
    base = TaskRollout(
        task=task,
        stage=stage,
        effective=stage,
        evidence=SHOWN,
        unmet_criteria=unmet_criteria,
        next=upcoming_times(task, samples.NOW.utc()),
    )
    return replace(base, **more)  # type: ignore[arg-type]  # any field of TaskRollout


EARNED = rollout(0, Stage.SEMI, changes=(DOWN,))
LACKING = rollout(1, Stage.SEMI, ("2 more successful approved runs",))
TOP = rollout(2, Stage.UNATTENDED)
FIRST = rollout(3, Stage.MANUAL, ("1 more successful manual run",))
DOUBTED = rollout(4, Stage.UNATTENDED, effective=Stage.SEMI)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(rollouts=(EARNED, LACKING, TOP, FIRST, DOUBTED))


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)])
async def test_everything_about_a_task_fits_on_the_screen(engine: FakeEngine, size: tuple[int, int]) -> None:
    async with console(engine, engine.clock, size=size) as screen:
        await screen.press("3")
        text = screen.text()
        for word in (
            "Evidence complete: p promotes",
            "3 of 3",
            "41 of 80",
            "6:52 of 15:00",
            "4 of 5 with a console",
            "1 cut off, with proof",
            "0 3 * * * in Europe/Berlin",
            "Tue 24 Nov 03:00 CET",
            "24 Nov 02:00 UTC",
            "Sat 28 Nov 03:00 CET",
            "last demotion Fri 20 Nov 04:20",
            "nightdesk: run 01k9zq of key",
            "timeout",
        ):
            assert word in text, word


async def test_a_change_of_the_clocks_is_marked_before_it_happens(engine: FakeEngine) -> None:
    task = samples.TASKS[0]
    before = samples.NOW.utc().replace(year=2027, month=3, day=26)
    engine.rollouts = (replace(EARNED, next=upcoming_times(task, before)),)
    async with console(engine, engine.clock, size=(80, 24)) as screen:
        await screen.press("3")
        assert "! Sun 28 Mar 03:00 CEST  28 Mar 01:00 UTC" in screen.text()
        assert "! the clocks change before it, to CEST" in screen.text()


async def test_a_stage_that_counts_lower_for_now_says_so(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("3", "G")
        assert "counts as semi while a run is unconfirmed" in screen.text()
        (row,) = [line for line in screen.lines() if line.startswith("▌")]
        assert "✓ manual ─ ● semi ─ ○ unattended" in row


async def test_an_earned_promotion_takes_one_question(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("3", "p")
        assert "without approval" in screen.dialog
        await screen.press("escape")
        assert engine.asked == []
        await screen.press("p", "enter")
        assert engine.asked == [], "the answer that stands out does nothing"
        await screen.press("p", "p")
        assert engine.asked == [("move", "nightly-report", "unattended", "", "False")]
        assert "nightly-report is now at unattended" in screen.text()


async def test_a_promotion_without_evidence_takes_two_questions_and_a_reason(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("3", "j", "p")
        assert "still missing: 2 more successful approved runs" in screen.dialog
        await screen.press("p", "enter")
        assert engine.asked == []
        await screen.press("p", "right", "enter")
        assert "crawl-docs to unattended without the evidence" in screen.text()
        await screen.press("enter")
        assert engine.asked == [], "a reason is needed"
        await screen.type("watched it all week")
        await screen.press("enter")
        assert engine.asked == [("move", "crawl-docs", "unattended", "watched it all week", "True")]


async def test_a_demotion_takes_a_reason_and_goes_one_stage(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("3", "j", "j", "P")
        assert "Demote triage-issues to semi?" in screen.text()
        await screen.press("escape", "P", "enter")
        assert engine.asked == []
        await screen.type("it files nonsense")
        await screen.press("enter")
        assert engine.asked == [("move", "triage-issues", "semi", "it files nonsense", "False")]


async def test_the_first_and_the_last_stage_offer_no_further_change(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("3", "j", "j", "p")
        assert not screen.asks
        await screen.press("j", "P")
        assert not screen.asks
        assert engine.asked == []


async def test_every_change_of_stage_can_be_read(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("3", "h")
        assert "unattended → semi" in screen.dialog
        assert "2026-11-20 04:20" in screen.dialog
        await screen.press("escape", "j", "h")
        assert "not promoted yet" in screen.dialog


async def test_a_read_only_console_offers_no_change_of_stage(engine: FakeEngine) -> None:
    async with console(engine, engine.clock, read_only=True) as screen:
        await screen.press("3")
        assert "promote" not in screen.bottom()
        assert "history" in screen.bottom()
        await screen.press("p", "P")
        assert not screen.asks
        assert "this console is read-only: P is off" in screen.bottom()
        assert engine.asked == []


async def test_a_busy_store_is_reported_and_the_list_stays(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("3")
        engine.broken = StoreError("the state store is busy")
        await screen.tick()
        assert "the state store is busy" in screen.text()
        assert "crawl-docs" in screen.text()
        engine.broken = None
        await screen.tick()
        assert "Evidence complete" in screen.text()


async def test_the_cursor_stays_on_its_task_when_the_list_changes(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("3", "j")
        engine.rollouts = (TOP, FIRST, EARNED, LACKING)
        await screen.tick()
        (row,) = [line for line in screen.lines() if line.startswith("▌")]
        assert "crawl-docs" in row


async def test_without_unicode_every_sign_has_a_letter(engine: FakeEngine) -> None:
    async with console(engine, engine.clock, size=(80, 24), glyphs=ASCII) as screen:
        await screen.press("3")
        assert "+-*-. semi" in screen.text()
        assert screen.text().isascii()


async def test_hostile_reasons_are_harmless(engine: FakeEngine) -> None:
    step = replace(DOWN, reason="\x1b[2J[red]oops[/oops]")
    engine.rollouts = (replace(EARNED, changes=(step,)),)
    async with console(engine, engine.clock) as screen:
        await screen.press("3", "h")
        assert "[red]oops[/oops]" in screen.dialog
        assert "\x1b" not in screen.text()


async def test_the_panel_of_a_task_folds_and_grows(idle: FakeEngine) -> None:
    async with console(idle, idle.clock, size=(80, 24)) as screen:
        await screen.press("3")
        before = screen.text()
        assert "counted" in before
        await screen.press("minus")
        assert "counted" not in screen.text()
        assert "translate-strings" in screen.text()
        await screen.press("minus")
        assert "the panel is folded" in screen.bottom()
        await screen.press("plus")
        assert screen.lines()[:-1] == before.splitlines()[:-1]
        await screen.press("plus")
        assert "counted" in screen.text()
        assert "translate-strings" not in screen.text()
