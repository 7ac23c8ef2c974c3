"""A launch by hand: choose, preview, confirm. What was previewed is launched, once."""

from __future__ import annotations

from console.domain.caps import Cap, CapUsage, Refusal, RefusalKind
from console.domain.run import Outcome, State
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine


async def test_enter_twice_launches_once_the_key_that_was_shown(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("l")
        await screen.type("update")
        await screen.press("enter")
        text = screen.dialog
        for word in ("acme/backend", "2026-11-23", "2 h", "200 units", "38.2 units", "19 of 20", "4.20 USD", "1472"):
            assert word in text, word
        await screen.press("enter", "enter")
        assert busy.asked[:1] == [("launch", "update-deps", "2026-11-23", "")]
        assert [each[0] for each in busy.asked].count("launch") == 1
        assert "claimed" in screen.text()


async def test_the_way_back_launches_nothing(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("l", "escape", "l", "enter", "escape", "l", "enter", "right", "enter")
        assert busy.asked == []
        assert not screen.asks


async def test_a_key_that_had_its_run_asks_for_a_reason(busy: FakeEngine) -> None:
    busy.holder = samples.ended()[0]
    async with console(busy, busy.clock) as screen:
        await screen.press("l", "enter")
        assert "already done" in screen.dialog
        assert busy.holder.id in screen.dialog
        await screen.press("enter")
        assert busy.asked == []
        assert "is needed" in screen.text()
        await screen.type("the draft was lost")
        await screen.press("enter")
        assert busy.asked == [("launch", "nightly-report", "2026-11-23", "the draft was lost")]


async def test_a_live_holder_cannot_be_run_over(busy: FakeEngine) -> None:
    busy.holder = busy.live[3]
    async with console(busy, busy.clock) as screen:
        await screen.press("l", "enter")
        assert "already running" in screen.dialog
        await screen.press("enter")
        assert busy.asked == []


async def test_a_cap_says_how_full_it_is_and_when_it_frees(busy: FakeEngine) -> None:
    full = CapUsage(
        cap=Cap.DAILY_UNITS, limit=2_000_000, held=10_000, spent=1_980_000, frees_at_ms=samples.moment(7200).wall_ms
    )
    busy.refusal = Refusal(
        kind=RefusalKind.CAP, sentence="daily_units is reached: 10.0 left, 80.0 needed", cap_usage=full
    )
    async with console(busy, busy.clock) as screen:
        await screen.press("l", "enter")
        assert "daily_units is reached" in screen.dialog
        assert "frees at 06:20, in 2:00:00" in screen.dialog
        await screen.press("enter")
        assert busy.asked == []


async def test_a_failing_preview_is_reported(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("l")
        busy.broken = LookupError("no task is named 'nightly-report'")
        await screen.press("enter")
        assert "no task is named" in screen.text()


async def test_a_key_freed_by_its_ending_launches_without_a_reason(busy: FakeEngine) -> None:
    busy.holder = None
    busy.recent.insert(0, samples.run(33, State.ENDED, outcome=Outcome.NOT_SENT))
    async with console(busy, busy.clock) as screen:
        await screen.press("l", "enter", "enter")
        assert [each[0] for each in busy.asked] == ["launch"]


async def test_the_list_gets_shorter_while_one_types_and_goes_round(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("l")
        assert "5 of 5" in screen.text()
        await screen.type("acme tr")
        assert "2 of 5" in screen.text()
        await screen.type("zzz")
        assert "nothing matches" in screen.text()
        await screen.press("enter")
        assert screen.asks
        await screen.press(*["backspace"] * 3, "up", "enter")
        assert "translate-strings" in screen.text()
