"""The runs screen over a fake engine: the cursor is a run, keys act on it, and rows stay in place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.run import Outcome, RunId, State
from console.ui.glyphs import ASCII
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine


def ids(engine: FakeEngine) -> list[RunId]:
    return [run.id for run in engine.live]


async def test_every_column_of_a_run_is_in_its_row(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, size=(200, 60)) as screen:
        row = screen.row(busy.live[3].id)
    for word in ("● running", "nightly-report", "acme/site", busy.live[3].key, "unattended", "9:48", "5:12", "38.2/80"):
        assert word in row
    assert "Comparing error rates" in row


async def test_time_passes_in_the_row_of_the_task(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        busy.clock.advance(49)
        await screen.tick()
        assert "! 8:59" not in screen.row(busy.live[3].id)
        assert "8:59" in screen.row(busy.live[3].id)
        assert "+0:04" in screen.row(busy.live[4].id)


async def test_x_cancels_the_run_under_the_cursor_at_once_and_no_other(busy: FakeEngine) -> None:
    target = busy.live[4].id
    async with console(busy, busy.clock) as screen:
        await screen.select(target)
        await screen.press("x")
        assert not screen.asks
        assert busy.asked == [("stop", target, "alice tty=yes")]
        assert "stopping" in screen.row(target)
        assert "waiting for the provider to confirm" in screen.bottom()


async def test_the_cursor_stays_on_its_run_when_rows_come_go_and_move(busy: FakeEngine) -> None:
    target = busy.live[5].id
    async with console(busy, busy.clock) as screen:
        await screen.select(target)
        for change in (lambda live: live[::-1], lambda live: live[:-1], lambda live: [samples.run(77), *live]):
            busy.live = change(busy.live)
            await screen.tick()
            assert screen.cursor == target
        await screen.press("x")
    assert busy.asked == [("stop", target, "alice tty=yes")]


async def test_a_run_that_ends_stays_in_its_row_for_a_moment_and_then_the_cursor_goes_to_its_neighbour(
    busy: FakeEngine,
) -> None:
    target, neighbour = busy.live[3].id, busy.live[4].id
    async with console(busy, busy.clock) as screen:
        await screen.select(target)
        at = screen.table.order.index(target)
        busy.end(target, Outcome.OK)
        await screen.tick()
        assert screen.cursor == target
        assert screen.table.order.index(target) == at
        assert "✓ ok" in screen.row(target)
        await screen.press("x")
        assert "nightly-report has ended: nothing to cancel" in screen.bottom()
        busy.clock.advance(2)
        await screen.tick()
        assert screen.cursor == neighbour
        assert screen.table.order.index(target) > at
        await screen.press("x")
        assert busy.asked == []
        assert "press the key again" in screen.bottom()
        busy.clock.advance(2)
        await screen.tick()
        await screen.press("x")
    assert busy.asked == [("stop", neighbour, "alice tty=yes")]


async def test_a_cursor_that_was_moved_meanwhile_stays_where_it_is(busy: FakeEngine) -> None:
    target = busy.live[3].id
    async with console(busy, busy.clock) as screen:
        await screen.select(target)
        busy.end(target, Outcome.OK)
        await screen.tick()
        await screen.press("k")
        here = screen.cursor
        busy.clock.advance(5)
        await screen.tick()
        assert screen.cursor == here == busy.live[2].id


async def test_where_nothing_is_live_any_more_the_cursor_stays_on_the_run_that_ended(idle: FakeEngine) -> None:
    idle.live = [samples.run(1)]
    target = idle.live[0].id
    async with console(idle, idle.clock) as screen:
        idle.end(target, Outcome.OK)
        for _ in range(4):
            idle.clock.advance(1)
            await screen.tick()
        assert screen.cursor == target


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("a", "nightly-report is not a proposal: nothing to approve"),
        ("s", "nightly-report: its outcome is not in doubt, nothing to settle"),
        ("z", "z does nothing here; ? shows the keys"),
        ("f5", "f5 does nothing here"),
    ],
)
async def test_a_key_that_cannot_act_says_why(busy: FakeEngine, key: str, words: str) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.select(busy.live[3].id)
        await screen.press(key)
        assert words in screen.bottom()


async def test_a_read_only_console_says_that_a_key_is_off(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, read_only=True, liftable=True) as screen:
        await screen.press("x")
        assert "this console is read-only: x is off; `:write` lifts that" in screen.bottom()
    async with console(busy, busy.clock, read_only=True) as screen:
        await screen.press("l")
        assert "this console is read-only: l is off" in screen.bottom()
        assert ":write" not in screen.bottom()


async def test_the_panel_folds_and_grows(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        usual = screen.table.size.height
        await screen.press("minus")
        folded = screen.table.size.height
        assert folded > usual
        await screen.press("minus")
        assert "the panel is folded" in screen.bottom()
        await screen.press("plus", "plus")
        assert screen.table.size.height < usual


async def test_where_the_run_has_gone_no_key_acts_on_the_one_that_took_its_row(busy: FakeEngine) -> None:
    target = busy.live[3].id
    async with console(busy, busy.clock) as screen:
        await screen.select(target)
        busy.live = [run for run in busy.live if run.id != target]
        await screen.tick()
        assert screen.cursor is None
        await screen.press("x")
        assert busy.asked == []
        await screen.press("j")
        assert screen.cursor == busy.live[3].id


async def test_marked_runs_are_cancelled_after_one_question_that_names_the_number(busy: FakeEngine) -> None:
    first, second = busy.live[3].id, busy.live[4].id
    async with console(busy, busy.clock) as screen:
        await screen.select(first)
        await screen.press("space", "space", "x")
        assert screen.asks
        assert "Cancel 2 marked runs?" in screen.text()
        assert "nightly-report" in screen.dialog
        assert busy.asked == []
        await screen.press("enter")
        assert busy.asked == [], "the answer that stands out is Back"
        await screen.press("x", "x")
        assert [each[:2] for each in busy.asked] == [("stop", first), ("stop", second)]
        assert screen.table.marks == frozenset()


async def test_marks_on_ended_runs_do_not_let_the_key_act_on_the_cursor(busy: FakeEngine) -> None:
    first, second = busy.live[3].id, busy.live[4].id
    async with console(busy, busy.clock) as screen:
        await screen.select(first)
        await screen.press("space")
        busy.end(first, Outcome.OK)
        await screen.tick()
        await screen.select(second)
        await screen.press("x")
        assert busy.asked == []
        assert "the marked runs have ended; esc clears the marks" in screen.bottom()
        await screen.press("escape", "x")
        assert [each[:2] for each in busy.asked] == [("stop", second)]


async def test_no_row_moves_while_a_question_is_open(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        before = screen.table.order
        await screen.press("X")
        busy.live = [samples.run(99), *busy.live[::-1]]
        await screen.tick()
        assert screen.table.order == (*before, samples.run(99).id)
        await screen.press("escape")
        assert screen.table.order.index(samples.run(99).id) == 2, "below what waits for a person"


async def test_the_kill_switch_asks_and_enter_does_nothing(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("X")
        assert "Pause and cancel all 7" in screen.text()
        await screen.press("enter")
        assert busy.asked == []
        await screen.press("X", "right", "enter")
        assert busy.asked == [("pause", "False")]
        assert "PAUSED" in screen.text()
        await screen.press("X", "right", "enter")
        assert busy.asked[-1] == ("resume",)


async def test_the_kill_switch_can_cancel_everything(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("X", "left", "enter")
        await screen.settle()
    assert busy.asked[0] == ("pause", "True")
    assert len(busy.asked) == 1 + 7


async def test_proposals_are_approved_and_declined_after_showing_what_would_run(busy: FakeEngine) -> None:
    proposed = busy.live[0]
    async with console(busy, busy.clock) as screen:
        await screen.select(proposed.id)
        assert "approve" in screen.bottom()
        await screen.press("d")
        await screen.type("not tonight")
        await screen.press("escape", "a")
        assert proposed.key in screen.dialog
        assert proposed.fingerprint.prompt_sha256[:12] in screen.dialog
        await screen.press("a")
        assert busy.asked == [("approve", proposed.id)]


async def test_a_declined_proposal_shows_its_reason(busy: FakeEngine) -> None:
    proposed = busy.live[0]
    async with console(busy, busy.clock) as screen:
        await screen.press("d")
        await screen.type("not tonight")
        await screen.press("enter")
        assert busy.asked == [("decline", proposed.id, "not tonight")]
        assert "declined" in screen.row(proposed.id)


@pytest.mark.parametrize(
    ("ruling", "typed", "asked"),
    [
        (1, ("v1_found", "seen in the list"), ("adopt", "v1_found", "seen in the list")),
        (2, ("looked twice",), ("not_launched", "looked twice")),
        (3, ("nobody knows",), ("write_off", "nobody knows")),
    ],
)
async def test_an_unconfirmed_run_is_settled_with_a_reason(
    busy: FakeEngine, ruling: int, typed: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    lost = busy.live[1]
    async with console(busy, busy.clock) as screen:
        await screen.select(lost.id)
        assert "IT MAY BE RUNNING" in screen.text()
        await screen.press("s", *["right"] * ruling, "enter")
        await screen.press("enter")
        assert busy.asked == [], "a ruling takes a reason"
        for text in typed:
            await screen.type(text)
            await screen.press("enter")
        assert busy.asked == [(asked[0], lost.id, *asked[1:])]


async def test_the_panel_shows_what_a_stop_has_come_to(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.select(busy.live[2].id)
        text = screen.text()
        assert "since 04:18:20 (1:40), 4 cancels sent" in text
        assert "last answer of the provider: Method not found" in text
        busy.change(samples.stopping(3, alarmed=True))
        await screen.tick()
        assert "STOP NOT PROVEN" in screen.text()
        assert "no proof of a stop" in screen.bottom(), "the news first, then the keys again"
        busy.clock.advance(16)
        await screen.tick()
        assert "settle" in screen.bottom()


async def test_enter_shows_a_run_in_full_and_its_keys_act_on_it(busy: FakeEngine) -> None:
    target = busy.live[3].id
    async with console(busy, busy.clock) as screen:
        await screen.select(target)
        await screen.press("enter")
        text = screen.text()
        for word in ("timeline", "sandbox", "38.2 of 80 units"):
            assert word in text
        await screen.press("G")
        for word in ("steps, newest last", "run_command python3"):
            assert word in screen.text()
        await screen.press("G", "k", "pageup", "pagedown", "g", "j", "x")
        assert busy.asked == [("stop", target, "alice tty=yes")]
        await screen.press("escape")
        assert screen.cursor == target
        assert "recent" in screen.text()


async def test_the_table_scrolls_with_its_cursor_and_by_pages(idle: FakeEngine) -> None:
    idle.live = [samples.run(number, of=samples.TASKS[number % 5]) for number in range(200)]
    async with console(idle, idle.clock) as screen:
        await screen.press("G")
        assert screen.cursor == idle.live[-1].id
        assert "▌" in screen.row(idle.live[-1].id)
        await screen.press("pageup", "up", "k")
        assert screen.cursor == idle.live[199 - screen.table.size.height + 2 - 2].id
        assert "▌" in screen.row(screen.cursor)
        await screen.press("home")
        assert screen.cursor == idle.live[0].id


async def test_a_click_moves_the_cursor_and_does_nothing_else(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.click(20, screen.table.region.y + 1 + 4)
        assert screen.cursor == busy.live[4].id
        await screen.click(20, screen.table.region.y + 1 + len(busy.live))
        assert screen.cursor == busy.live[4].id, "the rule between is no run"
        assert busy.asked == []


async def test_a_click_on_the_hint_that_cancels_says_to_press_the_key(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("j", "j")
        await screen.click(screen.bottom().index("x cancel") + 1, screen.app.size.height - 1)
        assert "press the key" in screen.bottom()
        assert busy.asked == []


async def test_a_clicked_hint_is_its_key(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.click(screen.lines()[-1].index("kill switch"), screen.app.size.height - 1)
        assert "Kill switch" in screen.text()


async def test_a_read_only_console_offers_nothing_that_writes(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, read_only=True) as screen:
        for index, key in ((0, "a"), (0, "d"), (1, "s"), (3, "x"), (3, "X"), (3, "l"), (3, "space")):
            await screen.select(busy.live[index].id)
            await screen.press(key)
            assert not screen.asks
        assert busy.asked == []
        for word in ("cancel", "approve", "settle", "launch", "kill switch", "mark"):
            assert word not in screen.bottom()


async def test_an_empty_table_says_what_to_do(idle: FakeEngine) -> None:
    async with console(idle, idle.clock) as screen:
        assert "No runs and no proposals." in screen.text()
        await screen.press("x", "enter", "space", "j", "k", "y")
        assert idle.asked == []
        idle.live = [samples.run(5)]
        await screen.tick()
        assert screen.cursor == idle.live[0].id


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60), (60, 16)])
async def test_the_countdown_is_there_at_any_size(busy: FakeEngine, size: tuple[int, int]) -> None:
    async with console(busy, busy.clock, size=size) as screen:
        row = screen.row(busy.live[3].id)
        assert "running" in row
        assert "9:48" in row
        assert "38.2/80" in row
        assert len(screen.lines()) == size[1]


async def test_a_resize_lays_everything_out_anew(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, size=(200, 60)) as screen:
        assert "unattended" in screen.row(busy.live[3].id)
        await screen.resize(80, 24)
        assert "unattended" not in screen.row(busy.live[3].id)
        assert screen.lines()[0].endswith("CET")


async def test_names_in_east_asian_letters_keep_the_columns_in_line(idle: FakeEngine) -> None:
    idle.live = [
        replace(samples.run(1), task="毎晩の報告書を作る", target="東京/本社ウェブサイト"),
        replace(samples.run(2), task="nightly-report-with-a-very-long-name-that-does-not-fit-anywhere"),
    ]
    async with console(idle, idle.clock) as screen:
        strips = screen.app.screen._compositor.render_strips(screen.app.size)
        assert {strip.cell_length for strip in strips} == {120}
        top = screen.table.region.y + 1
        left = strips[top + 1].text.index(idle.live[1].key[:8])
        cells = [strips[top + row].crop(left, left + 8).text for row in (0, 1)]
        assert cells == [run.key[:8] for run in idle.live]


async def test_ascii_signs_leave_no_other_character_on_the_screen(busy: FakeEngine) -> None:
    busy.live[3] = replace(busy.live[3], last_step="Übersetzung 翻訳 ✓")
    async with console(busy, busy.clock, glyphs=ASCII) as screen:
        await screen.press("j", "j", "j")
        text = screen.text()
        assert "* running" in text
        assert text.isascii()


async def test_hostile_text_is_shown_and_never_obeyed(busy: FakeEngine) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\x9b31m [bold][/oops] [@click=app.exit]x[/] \u202egnp\u200b"
    busy.live[3] = replace(
        busy.live[3], last_step=hostile, trouble=hostile, note=hostile, result=hostile, remote_status=hostile
    )
    busy.problems = (samples.problem(hostile),)
    async with console(busy, busy.clock, size=(200, 60)) as screen:
        await screen.select(busy.live[3].id)
        await screen.press("enter")
        text = screen.text()
        assert "[/oops]" in text
        assert not [character for character in text if character != "\n" and not character.isprintable()]


async def test_y_copies_the_id(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("y")
        assert screen.app.clipboard == busy.live[0].id
        assert f"sent to the terminal's clipboard: {busy.live[0].id}" in screen.bottom()


async def test_a_stopped_unconfirmed_run_keeps_its_state(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.select(busy.live[1].id)
        await screen.press("x")
        assert busy.live[1].state is State.UNCONFIRMED
        assert "unconfirmed" in screen.row(busy.live[1].id)


async def test_rows_stand_below_their_heads_also_beside_a_scrollbar(busy: FakeEngine) -> None:
    busy.live = [samples.run(100 + number, sent_ago=60) for number in range(30)]
    async with console(busy, busy.clock, size=(80, 24)) as screen:
        for _ in range(2):
            lines = screen.lines()
            end = lines[2].index("cut-off") + len("cut-off")
            assert [line[end - 5 : end] for line in lines[3:9]] == ["14:00"] * 6
            await screen.press("j")
