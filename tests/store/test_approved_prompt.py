"""Which prompt was approved last, and what is remembered of earlier ones."""

from __future__ import annotations

from dataclasses import replace

from console.domain.run import Outcome
from console.domain.task import Stage
from console.engine.prompts import Prompts
from tests.store.harness import StoreHarness, a_task
from tests.ui.samples import settings


async def test_the_last_run_by_hand_or_approved_counts_and_no_scheduled_one(harness: StoreHarness) -> None:
    prompts, task = Prompts(harness.store.history), a_task("report")
    assert (await prompts.compare(task)).approved is None
    by_hand = await harness.ended(Outcome.OK, task)
    assert (await prompts.compare(task)).approved == by_hand
    harness.clock.advance(90_000)
    await harness.at_stage(Stage.UNATTENDED, task)
    await harness.ended(Outcome.OK, task, scheduled=True, date="2026-11-25")
    assert (await prompts.compare(task)).approved == by_hand, "nobody agreed to the scheduled one"
    harness.clock.advance(90_000)
    edited = replace(task, prompt="Another.")
    found = await prompts.compare(edited)
    assert (found.has_changed, found.approved_text) == (True, None)
    prompts.remember(settings((task,)))
    prompts.remember(settings((edited,)))
    found = await prompts.compare(edited)
    assert (found.has_changed, found.approved_text, found.text) == (True, task.prompt, "Another.")
