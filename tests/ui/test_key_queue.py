"""Keys that arrive together: each reaches what the key before it has opened, and none answers a question unseen."""

from __future__ import annotations

import asyncio

import pytest
from textual import events
from textual.widgets import Input

from console.ui.dialogs.dialog import ChoiceDialog
from console.ui.terminal import keys
from tests.driver import Console, console
from tests.ui.fake_engine import FakeEngine
from tests.waiting import until


def burst(screen: Console, *keys: str) -> None:
    """All keys at once, as a slow line delivers them."""
    driver = screen.app._driver
    assert driver is not None
    for key in keys:
        driver.send_message(events.Key(key, " " if key == "space" else key if len(key) == 1 else None))


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


async def test_enter_that_was_typed_before_a_dialog_was_visible_does_not_answer_it(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        burst(screen, "l", *"update", "enter", "enter", "j")
        assert "Launch which task?" in await shown(screen)
        assert typed_into(screen) == "updatej", "text goes into the line of the dialog, Enter is dropped"
        assert busy.asked == []
        await screen.press("backspace", "enter", "enter")
        assert [each[:2] for each in busy.asked] == [("launch", "update-deps")]


class HeldPreviews:
    """Holds the previews of an engine until `answer` is set; they fail then where `fails` is true."""

    def __init__(self, engine: FakeEngine, *, fails: bool = False) -> None:
        self.answer = asyncio.Event()
        self._fails = fails
        engine.hooks["preview"] = self._hold

    async def _hold(self) -> None:
        await self.answer.wait()
        if self._fails:
            raise LookupError("no such task")


async def asked_for_a_slow_question(screen: Console) -> None:
    """The launch question is being prepared: `l` and Enter were pressed, the preview has not been answered."""
    await screen.press("j", "j", "l")
    await screen.press_only("enter")
    await until(lambda: not screen.asks and bool(screen.app.key_queue._holds), within=10)


@pytest.mark.parametrize("fails", [False, True])
async def test_keys_behind_a_question_that_is_being_prepared_never_act_on_the_table(
    busy: FakeEngine, fails: bool
) -> None:
    previews = HeldPreviews(busy, fails=fails)
    async with console(busy, busy.clock) as screen:
        await asked_for_a_slow_question(screen)
        burst(screen, "x", "x", "enter")
        await asyncio.sleep(0)
        previews.answer.set()
        text = await shown(screen)
        assert ("no such task" in text) is fails
        assert screen.asks is not fails
        assert busy.asked == []


async def test_enter_pressed_while_a_slow_question_is_on_its_way_does_not_launch(
    busy: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after the time for which keys are held back, when the screen is in use again."""
    monkeypatch.setattr(keys, "HELD_S", 0.5)
    previews = HeldPreviews(busy)
    async with console(busy, busy.clock) as screen:
        await asked_for_a_slow_question(screen)
        burst(screen, "enter")
        queue = screen.app.key_queue
        await until(lambda: not queue._holds and queue.is_idle, within=10, what="keys are held back no longer")
        before = screen.cursor
        burst(screen, "j")
        await until(lambda: screen.cursor != before, within=10, what="keys act on the table again")
        previews.answer.set()
        burst(screen, "enter")
        await shown(screen)
        assert busy.asked == []


async def test_a_question_whose_answers_changed_takes_no_key_that_is_older_than_the_change(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("q")
        dialog = screen.app.screen
        assert isinstance(dialog, ChoiceDialog)
        old = events.Key("enter", None)
        assert dialog.accepts(events.Key("enter", None))
        busy.live.clear()
        await screen.tick()
        assert not dialog.accepts(old)
        assert dialog.accepts(events.Key("enter", None))


async def test_keys_behind_one_that_closes_a_question_act_on_what_is_seen_then(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        burst(screen, "l", "z", "escape", "escape", "j", "j")
        await shown(screen)
        assert not screen.asks
        assert screen.cursor == screen.table.order[2]


@pytest.mark.parametrize("text", ["xterm", "fix it", "exit"])
async def test_pasted_text_that_the_terminal_does_not_mark_cancels_nothing(busy: FakeEngine, text: str) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("j", "j")
        burst(screen, *text)
        assert "x was ignored" in await shown(screen)
        assert busy.asked == []
        await screen.press("x")
        assert [each[0] for each in busy.asked] == ["stop"]


async def test_pasted_text_does_not_answer_a_question(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("X", "right")
        burst(screen, *"abc", "enter", *"def")
        await shown(screen)
        assert screen.asks
        assert busy.asked == []


@pytest.mark.parametrize(("behind", "asked"), [("", [("decline", "not tonight")]), ("and more", [])])
async def test_enter_behind_text_that_went_into_a_line_is_taken_unless_more_text_follows(
    busy: FakeEngine, behind: str, asked: list[tuple[str, str]]
) -> None:
    """A line typed ahead on a slow connection arrives at once; so does a paste of several lines."""
    async with console(busy, busy.clock) as screen:
        await screen.press("d")
        keys_of = {" ": "space", "\r": "enter"}
        burst(screen, *(keys_of.get(key, key) for key in "not tonight\r" + behind))
        await shown(screen)
        assert [(each[0], each[-1]) for each in busy.asked] == asked
        assert screen.asks is bool(behind)


@pytest.mark.parametrize("text", ["x\ry\r", "\rxy", "y x\r"])
async def test_a_short_line_of_pasted_text_cancels_nothing(busy: FakeEngine, text: str) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("j", "j")
        burst(screen, *("enter" if key == "\r" else "space" if key == " " else key for key in text))
        await shown(screen)
        assert busy.asked == []


async def test_pasted_text_that_arrives_in_pieces_cancels_nothing(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("j", "j")
        driver, now = screen.app._driver, asyncio.get_running_loop().time()
        assert driver is not None
        for number, key in enumerate("binofwmzvxown"):
            event = events.Key(key, key)
            # Two at a time, further apart than the first window is long.
            event.time = now - 1.0 + number // 2 * 0.03
            driver.send_message(event)
        await shown(screen)
        assert busy.asked == []
        assert "x was ignored" in screen.text()


async def test_a_single_key_acts_at_once_and_a_held_one_is_no_burst(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("j", "j")
        burst(screen, *"xxxxxx")
        await shown(screen)
        assert {each[0] for each in busy.asked} == {"stop"}


@pytest.mark.parametrize("turns", range(12))
async def test_the_console_can_end_at_any_moment_while_keys_arrive(busy: FakeEngine, turns: int) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("j")
        burst(screen, *"jjjj")
        for _ in range(turns):
            await asyncio.sleep(0)
    assert screen.app._exception is None
    assert busy.asked == []
