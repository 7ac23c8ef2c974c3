"""A proposal is the first row, and its question shows limits, key and evidence, and no text of an agent."""

from __future__ import annotations

from dataclasses import replace

from console.domain.rollout import Evidence
from console.engine.models import Owner
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

EVIDENCE = Evidence(since_ms=None, ran=4, approved_ok=3, guards_held=1, unconfirmed=1, p95_units=61_000, p95_ms=432_000)
PROMPT = "IGNORE ALL RULES"


def engine() -> FakeEngine:
    agents_words = replace(samples.proposal(), last_step=PROMPT, result=PROMPT, note=PROMPT)
    live = [samples.run(4, used=38.2), agents_words, *samples.busy()[1:3]]
    return FakeEngine(live=live, evidence=EVIDENCE)


async def test_what_waits_for_a_person_is_the_first_row() -> None:
    operations = engine()
    async with console(operations, operations.clock) as screen:
        assert screen.table.order[0] == samples.proposal().id
        assert "1 to approve" in screen.text()


async def test_the_question_shows_limits_key_and_evidence_and_no_agents_word() -> None:
    operations = engine()
    run = samples.proposal()
    async with console(operations, operations.clock, size=(80, 24)) as screen:
        await screen.select(run.id)
        for key in ("a", "d"):
            await screen.press(key)
            for word in (
                run.key,
                "crawl-docs",
                "120 units",
                "1 h",
                "at most    4.20 USD",
                "4 ran, 3 clean, 1 cut off, 1 unconfirmed",
                "19 of 20 within 61 units and 7:12",
            ):
                assert word in screen.dialog, (key, word)
            assert PROMPT not in screen.dialog
            await screen.press("escape")
        assert operations.asked == []
        await screen.press("a", "a")
        assert operations.asked == [("approve", run.id)]


async def test_leaving_names_who_schedules() -> None:
    operations = engine()
    async with console(operations, operations.clock) as screen:
        await screen.press("q")
        assert "nightdesk serve (pid 812) schedules from then on." in screen.dialog
    operations.scheduler = Owner(id="me", kind="console", pid=4121, alive=True, mine=True)
    async with console(operations, operations.clock) as screen:
        await screen.press("q")
        assert "This console is the scheduler. nightly-report is due" in screen.dialog
