"""The app: one guarded refresh, errors that are shown and do not end it, and no way out by accident."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input

from console.domain.run import Outcome, State
from console.engine.errors import StoreBusy, StoreUnreachable
from console.engine.models import Owner
from console.ui.actions import operations
from console.ui.app import ConsoleApp
from console.ui.context import Context, Contexts, ExitReason, ExitResult, SessionInfo
from console.ui.glyphs import UNICODE
from console.ui.runs.detail import DetailScreen
from console.ui.spans import Span, Tone
from console.ui.state.preferences import Preferences
from console.ui.state.view_state import StatePoller
from console.ui.theme import load_themes
from tests.driver import Console, console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine
from tests.waiting import until


async def left(screen: Console) -> str | None:
    """How the app ended; None while it runs."""
    await screen.settle()
    result = screen.app.return_value
    return result.reason if result is not None else None


async def test_a_store_that_does_not_answer_is_a_stale_badge_with_an_age(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        busy.broken = StoreBusy("the database is locked by another process")
        busy.clock.advance(12)
        await screen.tick()
        text = screen.text()
        assert "STALE" in text
        assert "this is the state of 12 s ago: the database is locked by another process" in text
        assert "9:36" in screen.row(busy.live[3].id), "countdowns go on"
        busy.broken = None
        await screen.tick()
        assert "STALE" not in screen.text()


@pytest.mark.parametrize("size", [(120, 36), (80, 24), (40, 12)], ids=str)
async def test_without_the_database_of_a_fleet_the_console_says_since_when_and_goes_on(
    busy: FakeEngine, size: tuple[int, int]
) -> None:
    async with console(busy, busy.clock, size=size, session=SessionInfo(host="web1", in_fleet=True)) as screen:
        busy.broken = StoreUnreachable("the state database at db does not answer")
        busy.clock.advance(7_560)
        await screen.tick()
        assert "NO DATABASE since 04:20" in screen.text()
        await screen.press("2")
        await until(lambda: "does not answer" in screen.text() or size[0] == 40)
        assert "NO DATABASE since 04:20" in screen.text(), "on every screen"
        await screen.press("1", "down")
        busy.broken = None
        await screen.tick()
        assert "NO DATABASE" not in screen.text()


async def test_an_error_of_any_kind_in_a_refresh_does_not_end_the_console(busy: FakeEngine) -> None:
    busy.broken = ZeroDivisionError("division by zero \x1b[31m")
    async with console(busy, busy.clock) as screen:
        assert "ZeroDivisionError: division by zero ␛[31m" in screen.text()
        busy.broken = None
        await screen.tick()
        assert "nightly-report" in screen.text()


async def test_a_failing_operation_is_reported_in_one_line(busy: FakeEngine) -> None:
    async def refuse() -> None:
        raise StoreBusy("the database is locked\nby another process")

    busy.hooks["stop"] = refuse
    async with console(busy, busy.clock) as screen:
        await screen.press("j", "x")
        assert screen.bottom().startswith("the database is locked by another process ")
        assert screen.bottom().endswith("? help"), "the way to the keys stays"
        busy.clock.advance(7)
        await screen.tick()
        assert "kill switch" in screen.bottom()


async def test_a_stop_that_is_not_recorded_is_not_reported_as_one(busy: FakeEngine) -> None:
    busy.unstored = "cancel sent, not recorded yet: the state store is busy"
    running = next(run for run in busy.live if run.state is State.RUNNING)
    context = Context(engine=busy, clock=busy.clock, glyphs=UNICODE, by="alice tty=yes")
    told = await operations.stop(context, (running.id,))
    assert told == Span(f"{running.task}: {busy.unstored}", Tone.WARN)


async def test_problems_are_alarms_and_the_rest_is_counted(busy: FakeEngine) -> None:
    busy.problems = tuple(samples.problem(f"problem {number}") for number in range(6))
    async with console(busy, busy.clock) as screen:
        text = screen.text()
        assert "problem 0" in text
        assert "and 4 more" in text


async def test_all_problems_can_be_read_with_their_age_and_count(busy: FakeEngine) -> None:
    busy.problems = tuple(
        replace(samples.problem(f"problem {number} {'x' * 90}"), count=number + 1) for number in range(6)
    )
    async with console(busy, busy.clock, size=(80, 30)) as screen:
        assert "press ! to read them" in screen.text()
        await screen.press("exclamation_mark")
        for number in range(6):
            assert f"problem {number}" in screen.text()
        assert "(6 times in 90 s)" in screen.text()
        await screen.press("escape")
        assert "Problems" not in screen.text()


async def test_the_help_explains_the_words_of_the_screens(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, size=(120, 200)) as screen:
        await screen.press("question_mark")
        for word in ("unit", "hold", "key", "stage", "proposal", "unconfirmed", "settle"):
            assert re.search(rf"^.*{word} {{2,}}[A-Z]", screen.text(), re.MULTILINE), word


async def test_q_leaves_at_once_where_nothing_is_live(idle: FakeEngine) -> None:
    idle.live = [samples.proposal()]
    async with console(idle, idle.clock) as screen:
        await screen.press("q")
        assert await left(screen) == ExitReason.QUIT


async def test_every_way_out_asks_once_while_runs_are_live(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        for key in ("q", "ctrl+q", "ctrl+c"):
            await screen.press(key)
            assert "7 runs are live" in screen.text()
            await screen.press("ctrl+c", "ctrl+q")
            assert len(screen.app.screen_stack) == 2, "asking twice is one question"
            await screen.press("escape")
        assert await left(screen) is None
        assert busy.asked == []


async def test_ctrl_c_asks_from_within_a_dialog_too(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("l", "ctrl+c")
        assert "7 runs are live" in screen.text()


async def test_enter_leaves_the_runs_under_guard(busy: FakeEngine) -> None:
    handed_over: list[bool] = []

    async def leave() -> None:
        handed_over.append(True)

    async with console(busy, busy.clock, leave=leave) as screen:
        await screen.press("q", "enter")
        assert await left(screen) == ExitReason.LEFT
    assert handed_over == [True]
    assert busy.asked == []


async def test_where_the_runs_cannot_be_handed_over_the_screen_stays(busy: FakeEngine) -> None:
    async def leave() -> None:
        raise OSError("no process can be started")

    async with console(busy, busy.clock, leave=leave) as screen:
        await screen.press("q", "enter")
        assert await left(screen) is None
        assert "no process can be started" in screen.bottom()


async def test_without_a_background_supervisor_the_preselected_answer_is_to_stay(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, leave=None) as screen:
        await screen.press("q")
        assert "If you quit now, nothing supervises these runs." in screen.text()
        await screen.press("enter")
        assert await left(screen) is None


async def test_the_question_counts_what_is_live_now_and_ends_with_it(idle: FakeEngine) -> None:
    idle.live = [samples.run(1), samples.run(2)]
    idle.guarded = frozenset(run.id for run in idle.live)
    first, second = idle.live

    async def leave() -> None:
        raise AssertionError("there is nothing to leave behind")

    async with console(idle, idle.clock, leave=leave) as screen:
        await screen.press("q")
        assert "2 runs are live" in screen.text()
        idle.end(first.id, Outcome.OK)
        await screen.tick()
        assert "1 run is live" in screen.text()
        idle.end(second.id, Outcome.OK)
        await screen.tick()
        assert "No runs are live any more" in screen.text()
        assert "Stop all" not in screen.text()
        await screen.press("enter")
        assert await left(screen) == ExitReason.QUIT


async def test_stop_all_waits_for_proof(idle: FakeEngine) -> None:
    idle.live = [samples.run(1), samples.run(2), samples.unconfirmed(3)]
    idle.guarded = frozenset(run.id for run in idle.live)
    first, second, _ = idle.live
    async with console(idle, idle.clock, leave=None) as screen:
        await screen.press("q", "right", "enter")
        assert [each[0] for each in idle.asked] == ["stop"] * 3
        assert "Waiting until every run has ended" in screen.text()
        idle.end(first.id, Outcome.CANCELLED)
        await screen.tick()
        assert await left(screen) is None
        idle.end(second.id, Outcome.CANCELLED)
        await screen.tick()
        assert await left(screen) == ExitReason.STOPPED


async def test_waiting_for_proof_can_be_given_up(idle: FakeEngine) -> None:
    idle.live = [samples.run(1)]
    async with console(idle, idle.clock) as screen:
        await screen.press("q", "right", "enter", "enter")
        assert not screen.asks
        assert idle.live[0].state is State.STOPPING
        assert await left(screen) is None


ME = Owner(id="me", kind="console", pid=4121, alive=True, mine=True)


async def test_leaving_runs_that_others_supervise_asks_nothing(busy: FakeEngine) -> None:
    busy.guarded = frozenset()
    busy.live = [replace(run, owner="serve") for run in busy.live]
    async with console(busy, busy.clock) as screen:
        await screen.press("q")
        assert await left(screen) == ExitReason.QUIT


async def test_a_read_only_console_and_the_demo_leave_at_once(busy: FakeEngine) -> None:
    busy.scheduler = ME
    async with console(busy, busy.clock, read_only=True) as screen:
        await screen.press("q")
        assert await left(screen) == ExitReason.QUIT
    async with console(busy, busy.clock, session=SessionInfo(is_demo=True)) as screen:
        await screen.press("q")
        assert await left(screen) == ExitReason.QUIT
    assert busy.asked == []


async def test_the_console_that_schedules_is_not_left_without_a_question(idle: FakeEngine) -> None:
    idle.scheduler = ME
    left_behind: list[bool] = []

    async def leave_scheduler() -> None:
        left_behind.append(True)

    async with console(idle, idle.clock, leave_scheduler=leave_scheduler) as screen:
        await screen.press("q")
        assert "nightly-report is due 06:33, and will be missed" in " ".join(screen.dialog.split())
        await screen.press("enter")
        assert await left(screen) is None, "Enter stays"
        await screen.press("q", "right", "enter")
        assert await left(screen) == ExitReason.SCHEDULER_LEFT
    assert left_behind == [True]
    async with console(idle, idle.clock) as screen:
        await screen.press("q", "right", "enter")
        assert await left(screen) == ExitReason.QUIT


async def test_runs_and_schedule_are_left_together_or_the_runs_alone(busy: FakeEngine) -> None:
    busy.scheduler = ME
    calls: list[str] = []

    async def leave() -> None:
        calls.append("runs")

    async def leave_scheduler() -> None:
        calls.append("schedule")

    for keys, reason in ((["enter"], ExitReason.SCHEDULER_LEFT), (["right", "enter"], ExitReason.LEFT)):
        async with console(busy, busy.clock, leave=leave, leave_scheduler=leave_scheduler) as screen:
            await screen.press("q", *keys)
            assert await left(screen) == reason
    assert calls == ["schedule", "runs"]


async def test_where_another_process_goes_on_scheduling_nothing_is_lost(idle: FakeEngine) -> None:
    idle.scheduler = ME
    idle.others = (Owner(id="other", kind="console", pid=9, alive=True, mine=False),)
    async with console(idle, idle.clock) as screen:
        await screen.press("q")
        assert await left(screen) == ExitReason.QUIT


async def test_write_is_offered_only_where_somebody_can_lift_read_only(busy: FakeEngine) -> None:
    for read_only, liftable in ((False, True), (True, False)):
        async with console(busy, busy.clock, read_only=read_only, liftable=liftable) as screen:
            await screen.press("colon")
            await screen.type("write")
            assert "Leave read-only" not in screen.text()
    async with console(busy, busy.clock, read_only=True, liftable=True) as screen:
        await screen.press("colon", *"write", "enter", "enter")
        assert await left(screen) is None, "Enter alone lifts nothing"
        await screen.press("colon", *"write", "enter", "right", "enter")
        assert await left(screen) == ExitReason.WRITE


TWO_CONTEXTS = Contexts(files={"prod": "/c/prod.toml", "staging": "/c/staging.toml"})


async def test_another_context_is_gone_to_as_the_console_is_left(idle: FakeEngine) -> None:
    session = SessionInfo(user="ops", host="web1", context="prod")
    async with console(idle, idle.clock, session=session, contexts=TWO_CONTEXTS) as screen:
        assert "prod" in screen.text()
        await screen.press("colon", *"ctx", "enter")
        assert await left(screen) is None, "the first one is its own"
        await screen.press("colon", *"ctx sta", "enter")
        assert await left(screen) == ExitReason.QUIT
        assert screen.app.return_value == ExitResult(reason=ExitReason.QUIT, context="staging")


async def test_another_context_is_gone_to_only_after_the_question_about_live_runs(busy: FakeEngine) -> None:
    async def leave() -> None:
        pass

    async with console(busy, busy.clock, leave=leave, contexts=TWO_CONTEXTS) as screen:
        await screen.press("colon", *"ctx sta", "enter")
        assert "live" in screen.text()
        await screen.press("escape")
        assert await left(screen) is None
        await screen.press("colon", *"ctx sta", "enter", "enter")
        assert await left(screen) == ExitReason.LEFT
        assert screen.app.return_value == ExitResult(reason=ExitReason.LEFT, context="staging")


async def test_a_context_whose_console_would_not_open_is_not_gone_to(idle: FakeEngine) -> None:
    def check(name: str) -> None:
        raise ValueError(f"the console of {name} would not open: not TOML")

    async with console(idle, idle.clock, contexts=replace(TWO_CONTEXTS, check=check)) as screen:
        await screen.press("colon", *"ctx sta", "enter")
        assert await left(screen) is None
        assert "the console of staging would not open: not TOML" in screen.text()


async def test_a_dropped_line_ends_the_screen_whatever_is_open(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("l")
        screen.app.line_dropped()
        assert await left(screen) == ExitReason.LINE_DROPPED


async def test_help_lists_every_key_that_works_here(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, size=(120, 90)) as screen:
        await screen.press("question_mark")
        text = screen.text()
        assert "ops@web1" in text
        for word in ("x ", "Cancel this run at once", "space", "ctrl+q, ctrl+c", "down, j", "unconfirmed", "not sent"):
            assert word in text
        await screen.press("escape")
        assert "recent" in screen.text()


async def test_the_palette_finds_commands_and_themes(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("colon")
        await screen.type("theme da")
        assert "1 of " in screen.text()
        await screen.press("enter")
        assert screen.app.theme == "day"
        await screen.press("colon")
        await screen.type("kill")
        await screen.press("enter")
        assert "Kill switch" in screen.text()
        assert busy.asked == []


async def test_the_palette_jumps_to_runs_tasks_screens_and_saved_filters_the_last_ones_first(busy: FakeEngine) -> None:
    kept = Preferences()
    kept.save_filter("history", "-outcome:ok")
    async with console(busy, busy.clock, preferences=kept) as screen:
        await screen.press("colon")
        await screen.type(f"run {busy.live[4].id}")
        await screen.press("enter")
        assert isinstance(screen.app.screen, DetailScreen)
        assert busy.live[4].id in screen.text()
        await screen.press("escape", "colon")
        await screen.type("task update-deps its history")
        await screen.press("enter")
        assert "task:update-deps" in screen.text()
        await screen.press("colon")
        await screen.type("saved filter of")
        await screen.press("enter")
        assert "-outcome:ok" in screen.lines()[2]
        await screen.press("colon")
        await screen.type("stages of tasks")
        await screen.press("enter")
        assert "evidence" in screen.text()
        assert kept.recent == ("screen.rollout", "filter -outcome:ok", "task update-deps", f"run {busy.live[4].id}")
        await screen.press("1", "colon")
        await screen.press("enter")
        assert "evidence" in screen.text(), "the last place comes first"
        for typed, shown in (
            ("keys, signs and words", "Promote by one stage"),
            ("leave the console", "If you quit now"),
        ):
            await screen.press("colon")
            await screen.type(typed)
            await screen.press("enter")
            assert shown in screen.text(), "keys of the app act too"
            await screen.press("escape")


async def test_a_command_is_never_the_first_entry_because_it_was_used(busy: FakeEngine) -> None:
    kept = Preferences()
    async with console(busy, busy.clock, preferences=kept) as screen:
        await screen.select(busy.live[4].id)
        await screen.press("colon")
        await screen.type("cancel this run at once")
        await screen.press("enter")
        assert busy.asked == [("stop", busy.live[4].id, "alice tty=yes")]
        assert kept.recent == ()


async def test_keys_can_be_remapped_by_the_id_of_their_binding(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        screen.app.set_keymap({"run.cancel": "c"})
        await screen.press("j", "j", "j")
        assert "c cancel" in screen.bottom()
        await screen.press("x")
        assert busy.asked == []
        assert "x does nothing here" in screen.bottom()
        await screen.press("c")
        assert busy.asked == [("stop", busy.live[3].id, "alice tty=yes")]


async def test_a_slow_store_delays_no_key(busy: FakeEngine) -> None:
    answers = asyncio.Event()

    async def wait_for_answers() -> None:
        await answers.wait()

    async with console(busy, busy.clock) as screen:
        busy.hooks["detail"] = wait_for_answers
        for _ in range(3):
            await screen.press_only("j")
        assert screen.cursor == busy.live[3].id
        await screen.press_only("x")
        await until(lambda: busy.asked)
        assert busy.asked == [("stop", busy.live[3].id, "alice tty=yes")]
        answers.set()
        await screen.settle()
        assert "list_files" in screen.text()


async def test_broken_themes_are_reported_together(idle: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("title")
    (tmp_path / "b.toml").write_text("bass = 1")
    context = Context(engine=idle, clock=idle.clock, glyphs=UNICODE, by="alice tty=yes")
    app = ConsoleApp(context, themes=load_themes(tmp_path), theme="night")
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        await app.background.wait()
        assert app.notice is not None
        assert "theme a.toml" in app.notice.text
        assert "theme b.toml" in app.notice.text


async def test_an_older_answer_never_overwrites_a_newer_one(busy: FakeEngine) -> None:
    held, waiting = asyncio.Event(), [True]

    async def hold_the_first() -> None:
        if waiting and waiting.pop():
            await held.wait()

    busy.hooks["snapshot"] = hold_the_first
    poller = StatePoller(Context(engine=busy, clock=busy.clock, glyphs=UNICODE, by="alice tty=yes"))
    older = asyncio.create_task(poller.read(None))
    await asyncio.sleep(0)
    busy.live = []
    newer = await poller.read(None)
    held.set()
    assert newer is not None
    assert newer.snapshot.live == ()
    assert await older is None


@pytest.mark.parametrize("size", [(60, 16), (80, 24)])
async def test_the_answers_of_a_question_are_there_on_a_small_terminal(busy: FakeEngine, size: tuple[int, int]) -> None:
    async def leave() -> None:
        pass

    async with console(busy, busy.clock, size=size, leave=leave) as screen:
        for keys, answers in (
            (("q",), ("Leave them in the background", "Stop all, wait for proof", "Stay")),
            (("l", "enter"), ("Launch", "Back")),
            (("X",), ("Back", "Pause launches", "Pause and cancel all 7")),
        ):
            await screen.press(*keys)
            text = screen.text()
            for answer in answers:
                assert answer in text, keys
            await screen.press("escape", "escape")


async def test_answers_below_each_other_are_moved_to_and_clicked(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, size=(60, 20)) as screen:
        await screen.press("q")
        row = next(y for y, text in enumerate(screen.lines()) if "Stop all, wait for proof" in text)
        await screen.click(screen.lines()[row].index("Stop all") + 1, row)
        assert "Waiting until every run has ended" in screen.text()


async def test_nothing_blinks(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        for keys in (("l",), ("escape", "colon"), ("escape", "d")):
            await screen.press(*keys)
            entries = screen.app.screen.query(Input)
            assert entries
            assert not any(entry.cursor_blink for entry in entries)
