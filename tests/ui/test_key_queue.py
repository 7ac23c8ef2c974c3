"""Keys in one burst: each reaches what the one before has opened, in order, and none acts on what lies behind."""

from __future__ import annotations

import asyncio

import pytest
from textual import events
from textual.widgets import Input

from console.engine.models import LaunchPreview, LaunchRequest
from tests.driver import Console, console
from tests.ui.fake_engine import FakeEngine


def burst(screen: Console, *keys: str) -> None:
    """All keys at once, as a slow line delivers them."""
    driver = screen.app._driver
    assert driver is not None
    for key in keys:
        driver.send_message(events.Key(key, key if len(key) == 1 else None))


async def shown(screen: Console) -> str:
    """The text of the screen once all keys have done what they do."""
    for _ in range(12):
        await screen.settle()
    return screen.text()


def typed_into(screen: Console) -> str:
    return screen.app.screen.query_one(Input).value


@pytest.mark.parametrize(
    ("keys", "title", "value"),
    [
        ("lxx", "Launch which task?", "xx"),
        (["colon", "x", "q", "X"], "Commands", "xqX"),
        (["2", "slash", "x", "q", "x"], "and words", "xqx"),
        (["2", "1", "l", "x"], "Launch which task?", "x"),
        (["enter", "escape", "l", "x", "l"], "Launch which task?", "xl"),
        (["d", "x", "q"], "Decline this launch?", "xq"),
    ],
)
async def test_letters_behind_a_key_that_opens_a_line_are_typed_into_it(
    busy: FakeEngine, keys: list[str], title: str, value: str
) -> None:
    async with console(busy, busy.clock) as screen:
        burst(screen, *keys)
        assert title in await shown(screen)
        assert typed_into(screen) == value
        assert busy.asked == []


async def test_a_whole_launch_in_one_burst_launches_once(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        burst(screen, "l", *"update", "enter", "enter", "j")
        await shown(screen)
        assert [each[:2] for each in busy.asked] == [("launch", "update-deps")]
        assert screen.cursor == screen.table.order[1], "what follows acts on the table again"


class SlowPreview(FakeEngine):
    """Answers when it is told to, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = asyncio.Event()
        self.fails = False

    async def preview(self, request: LaunchRequest) -> LaunchPreview:
        await self.answer.wait()
        if self.fails:
            raise LookupError("no such task")
        return await super().preview(request)


@pytest.mark.parametrize("fails", [False, True])
async def test_keys_for_a_question_that_is_on_its_way_wait_for_it_or_are_dropped(fails: bool) -> None:
    slow = SlowPreview()
    slow.live, slow.fails = FakeEngine().live, fails
    async with console(slow, slow.clock) as screen:
        burst(screen, "l", "enter", "x", "x")
        for _ in range(5):
            await asyncio.sleep(0)
        slow.answer.set()
        text = await shown(screen)
        assert ("no such task" in text) is fails
        assert screen.asks is not fails
        assert slow.asked == []


async def test_keys_behind_one_that_closes_a_question_act_on_what_is_seen_then(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        burst(screen, "l", "z", "escape", "escape", "j", "j")
        await shown(screen)
        assert not screen.asks
        assert screen.cursor == screen.table.order[2]
        burst(screen, "X", "escape", "x", "j")
        await shown(screen)
        assert [each[0] for each in busy.asked] == ["stop"]
