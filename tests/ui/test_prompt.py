"""The prompt in the config: what was approved last, its difference, and that its text is shown on request only."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from console.domain.task import Fingerprint
from console.engine.errors import StoreBusy
from console.ui.actions.prompt import prompt_fact, prompt_lines
from console.ui.state.view_state import ViewState
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

TEXT = "Summarise yesterday's errors and open a draft."


def edited(engine: FakeEngine, prompt: str) -> None:
    """Edit the prompt of every task in the config."""
    tasks = tuple(replace(task, prompt=prompt) for task in engine.settings.tasks)
    engine.settings = replace(engine.settings, tasks=tasks)


async def facts(engine: FakeEngine, cells: int = 80) -> tuple[str, str]:
    """The fact and the page of the first task."""
    prompt = await engine.queries.prompt("nightly-report")
    assert prompt is not None
    view = ViewState(snapshot=await engine.queries.snapshot(), now=samples.NOW)
    page = "\n".join("".join(span.text for span in line) for line in prompt_lines(prompt, None, view, cells))
    return "".join(span.text for span in prompt_fact(prompt, view)), page


async def test_the_fact_says_whether_the_prompt_is_the_one_that_was_approved(busy: FakeEngine) -> None:
    fact, page = await facts(busy)
    assert "46 characters, as approved" in fact
    assert page.splitlines()[-1] == TEXT
    edited(busy, "Summarise it.\x1b[2J\nThen stop.")
    fact, page = await facts(busy)
    assert "CHANGED since a run was approved" in fact
    assert "(46 then)" in fact
    assert "The earlier text is not known here" in page
    assert hashlib.sha256(TEXT.encode()).hexdigest() in page.replace("\n", "")
    assert "\x1b" not in page
    busy.approved_text = TEXT
    fact, page = await facts(busy)
    assert f"- {TEXT}" in page
    assert "+ Summarise it.␛[2J" in page
    busy.live, busy.recent = [], []
    assert "no run of the task was approved yet" in (await facts(busy))[0]
    assert await busy.queries.prompt("gone") is None


async def test_a_launch_shows_the_prompt_on_request_and_asks_again(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("l", *"nightly", "enter")
        assert "46 characters, as approved" in screen.dialog
        assert TEXT not in screen.text()
        await screen.press("p")
        assert TEXT in screen.text()
        await screen.press("escape")
        assert "Launch nightly-report" in screen.text()
        assert busy.asked == []
        await screen.press("enter")
        assert busy.asked[0][:2] == ("launch", "nightly-report")


async def test_an_approval_shows_the_prompt_on_request_and_asks_again(busy: FakeEngine) -> None:
    edited(busy, "Something else.")
    async with console(busy, busy.clock) as screen:
        await screen.press("a")
        assert "CHANGED since a run was approved" in screen.dialog
        await screen.press("p")
        assert "Something else." in screen.text()
        assert "This run has another prompt than the config now" in screen.text()
        await screen.press("escape", "enter")
        assert busy.asked == [], "Enter goes back"
        await screen.press("a", "a")
        assert busy.asked == [("approve", busy.live[0].id)]


async def test_an_approval_is_asked_for_also_where_the_store_does_not_answer(
    busy: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(task: str) -> None:
        raise StoreBusy("the store is busy")

    async with console(busy, busy.clock) as screen:
        monkeypatch.setattr(busy.queries, "prompt", fails)
        await screen.press("a", "a")
        assert busy.asked == [("approve", busy.live[0].id)]


async def test_the_full_screen_of_a_run_shows_its_prompt_with_p(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.select(busy.live[3].id)
        await screen.press("enter")
        assert TEXT not in screen.text()
        await screen.press("p")
        assert TEXT in screen.text()
        await screen.press("escape")
        busy.settings = replace(busy.settings, tasks=())
        await screen.press("p")
        assert "is not in the config any more" in screen.bottom()


def test_the_fingerprint_of_the_samples_is_that_of_the_text() -> None:
    assert Fingerprint.of(samples.TASKS[0]).prompt_length == len(TEXT)
