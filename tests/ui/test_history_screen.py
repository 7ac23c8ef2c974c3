"""The history screen over a fake engine: every filter, every key, and rows that stay in place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.domain.run import Outcome, Run, State
from console.domain.task import Origin, Stage
from console.ui.history.pages import PAGE
from console.ui.history.screen import HistoryScreen
from tests.driver import Console, console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine

DAY_S = 86_400


def past(number: int, outcome: Outcome = Outcome.OK, *, task: int = 0, days: float = 0, **changes: Any) -> Run:
    """A run that ended some days ago."""
    made = samples.run(number, State.ENDED, of=samples.TASKS[task], outcome=outcome, used=4)
    return replace(made, created_ms=samples.moment(-days * DAY_S - number).wall_ms, **changes)


@pytest.fixture
def engine() -> FakeEngine:
    """Two attempts of one key, a skip, a refusal by hand, and something old."""
    first = past(3, Outcome.FAILED, key="aaaaaaaaaaaaaaaa", note="the sandbox broke")
    second = past(2, Outcome.OK, key="aaaaaaaaaaaaaaaa", attempt=2, result="All is well.\nIndeed.")
    skipped = past(1, Outcome.SKIPPED, key="aaaaaaaaaaaaaaaa", attempt=0, sent=None, note="done as run 2")
    refused = past(4, Outcome.REFUSED, task=1, attempt=0, origin=Origin.MANUAL, stage=Stage.SEMI, sent=None)
    held = past(6, Outcome.TIMEOUT, task=1, key="bbbbbbbbbbbbbbbb")
    old = past(5, Outcome.BUDGET, task=2, days=40)
    return FakeEngine(recent=[skipped, second, first, refused, held, old])


async def typed(screen: Console, text: str) -> None:
    """Opens the filter line and types into it."""
    await screen.press("slash")
    await screen.type(text)


def entries(screen: Console) -> list[str]:
    """The words of the rows, from the outcome on."""
    table = screen.app.screen.query_one("#history")
    top = table.region.y + 1
    lines = screen.lines()[top : top + table.size.height - 1]
    return [" ".join(line[19:].split()) for line in lines if line.strip(" ▌▁▂▃▄▅▆▇█")]


async def test_everything_is_shown_newest_first_with_the_attempts_of_a_key_folded(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2")
        rows = entries(screen)
        assert [row.split()[1] for row in rows] == ["skipped", "ok", "refused", "timeout", "budget"]
        assert "✓ done 2/2" in rows[1]
        assert "━ held 1" in rows[3]
        assert "5 entries, retries collapsed" in screen.text()
        assert "2 history" in screen.lines()[1]


async def test_the_panel_shows_what_the_key_would_meet_and_its_attempts(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2", "j")
        await screen.tick()
        text = screen.text()
        assert "done by attempt 2" in text
        assert "All is well." in text
        await screen.press("j", "j")
        assert "held: attempt 1 was stopped by its time limit; press r to run it again, with a reason" in screen.text()
        await screen.press("k")
        assert "free: never launched" in screen.text()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("task:crawl-docs ", ["refused", "timeout"]),
        ("outcome:failed ", ["failed"]),
        ("outcome:failed,ok ", ["ok", "failed"]),
        ("stage:semi ", ["refused"]),
        ("origin:manual ", ["refused"]),
        ("since:2d ", ["skipped", "ok", "refused", "timeout"]),
        ("until:2d ", ["budget"]),
        ("sandbox broke", ["failed"]),
        ("task:crawl-docs outcome:timeout ", ["timeout"]),
        ("task:crawl-docs outcome:ok ", []),
    ],
)
async def test_every_filter_shows_what_fits(engine: FakeEngine, text: str, found: list[str]) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2")
        await typed(screen, text)
        assert [row.split()[1] for row in entries(screen) if "fits" not in row] == found
        await screen.press("enter")
        assert f"{len(found)} entr" in screen.text()
        assert text.strip() in screen.text()


async def test_a_bad_filter_is_one_line_and_leaves_what_was_shown(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2")
        await typed(screen, "outcome:ok ")
        await screen.type("stage:high")
        assert "unknown stage: high; accepted: manual, semi, unattended" in screen.text()
        assert [row.split()[1] for row in entries(screen)] == ["ok"]


async def test_help_is_offered_while_one_types_and_tab_completes(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2", "slash")
        assert "task: outcome: since: until: stage: origin: target: provider: key: cost: units:" in screen.text()
        await screen.type("outcome:ti")
        assert "outcome:timeout" in screen.text()
        await screen.press("tab")
        assert [row.split()[1] for row in entries(screen)] == ["timeout"]
        await screen.type("since:")
        assert "how long ago as 90m, 12h, 7d" in screen.text()


async def test_esc_clears_then_closes_and_outside_the_line_shows_everything(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2")
        await typed(screen, "outcome:ok ")
        await screen.press("escape")
        assert len(entries(screen)) == 5
        await screen.type("outcome:failed")
        await screen.press("enter")
        assert len(entries(screen)) == 1
        assert "run again" in screen.bottom()
        await screen.press("escape")
        assert len(entries(screen)) == 5
        await screen.press("slash", "escape")
        assert "run again" in screen.bottom()


async def test_enter_shows_the_run_in_full(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2", "j", "enter")
        for word in ("timeline", "attempts of this key", engine.recent[1].id):
            assert word in screen.text()
        await screen.press("end")
        assert "All is well." in screen.text()
        await screen.press("escape")
        assert isinstance(screen.app.screen, HistoryScreen)


async def test_r_runs_a_held_key_again_with_its_date_and_target_after_a_reason(engine: FakeEngine) -> None:
    held = engine.recent[4]
    engine.holder = held
    async with console(engine, engine.clock) as screen:
        await screen.press("2", "j", "j", "j", "r")
        assert screen.asks
        assert held.date in screen.dialog
        await screen.press("enter")
        assert engine.asked == [], "without a reason nothing goes out"
        await screen.type("the site was down")
        await screen.press("enter")
    assert engine.asked == [("launch", "crawl-docs", held.date, "the site was down")]


async def test_r_runs_a_free_key_again_after_a_preview(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2", "j", "j", "r", "enter")
    assert engine.asked == [("launch", "crawl-docs", engine.recent[3].date, "")]


async def test_s_settles_an_unconfirmed_run_from_the_history(busy: FakeEngine) -> None:
    lost = next(run for run in busy.live if run.state is State.UNCONFIRMED)
    async with console(busy, busy.clock) as screen:
        await screen.press("2")
        await select(screen, lost)
        await screen.press("s")
        assert "Resolve this run" in screen.text()


async def test_space_shows_the_other_attempts_of_a_key_and_folds_them_again(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2", "space")
        assert len(entries(screen)) == 5, "a skip has no attempts to show"
        assert "this key has a single attempt" in screen.bottom()
        await screen.press("j")
        await screen.press("space")
        rows = entries(screen)
        assert [row.split()[1] for row in rows] == ["skipped", "ok", "failed", "refused", "timeout", "budget"]
        assert "└ attempt 1" in rows[2]
        assert "the sandbox broke" in rows[2]
        await screen.press("j", "y", "y")
        assert screen.app.clipboard == engine.recent[2].id, "keys act on the attempt that is looked at"
        await screen.press("j")
        await screen.tick()
        assert len(entries(screen)) == 6, "it stays while others are looked at"
        await screen.press("k", "space")
        assert [row.split()[1] for row in entries(screen)] == ["skipped", "ok", "refused", "timeout", "budget"]
        await screen.press("y", "y")
        assert screen.app.clipboard == engine.recent[1].id, "folded, the key's newest attempt is looked at"


async def test_a_list_of_single_attempts_has_nothing_to_unfold(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2", "j", "space")
        assert len(entries(screen)) == 6
        await typed(screen, "outcome:ok,failed ")
        await screen.press("enter")
        assert [row.split()[1] for row in entries(screen)] == ["ok", "failed"]
        await screen.press("space")
        assert [row.split()[1] for row in entries(screen)] == ["ok", "failed"]


async def select(screen: Console, run: Run) -> None:
    """Moves the cursor there, with keys."""
    await screen.press("g")
    for _ in range(60):
        if run.id in screen.text():
            return
        await screen.press("j")
    raise AssertionError(f"{run.id} is not there")


@pytest.mark.parametrize(("key", "what"), [("y", "id"), ("e", "key"), ("r", "result")])
async def test_y_copies_id_key_or_result(engine: FakeEngine, key: str, what: str) -> None:
    run = engine.recent[1]
    texts = {"id": run.id, "key": run.key, "result": run.result}
    async with console(engine, engine.clock) as screen:
        await screen.press("2", "j", "y", key)
        assert screen.app.clipboard == texts[what]
        said = texts[what] if what != "result" else "the result of nightly-report"
        assert f"sent to the terminal's clipboard: {said}" in screen.bottom()


async def test_e_writes_what_the_filter_shows(engine: FakeEngine, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    async with console(engine, engine.clock) as screen:
        await screen.press("2")
        await typed(screen, "outcome:ok,failed ")
        await screen.press("enter", "e")
        await screen.type(str(path))
        await screen.press("enter")
        assert "wrote 2 entries" in screen.bottom()
        await screen.press("e")
        await screen.type(str(path))
        await screen.press("enter")
        assert "not written" in screen.bottom()
    assert [row["outcome"] for row in json.loads(path.read_text())] == ["ok", "failed"]


async def test_pages_come_as_one_scrolls_and_never_all_of_them() -> None:
    engine = FakeEngine(recent=[past(number) for number in range(5 * PAGE)])
    async with console(engine, engine.clock) as screen:
        await screen.press("2")
        assert screen.app.screen.query_one("#history").virtual_size.height <= 2 * PAGE + 1
        for _ in range(12):
            await screen.press("G")
        table = screen.app.screen.query_one("#history")
        assert table.virtual_size.height == 5 * PAGE + 1
        assert "01k9zq" in entries(screen)[-1] or engine.recent[-1].id in screen.text()
        await screen.press("g")
        assert engine.recent[0].id in screen.text()


async def test_new_entries_come_in_on_top_and_the_cursor_stays_on_its_run(engine: FakeEngine) -> None:
    async with console(engine, engine.clock) as screen:
        await screen.press("2", "j")
        engine.recent.insert(0, past(0, days=-0.01))
        engine.clock.advance(5)
        await screen.tick()
        await screen.settle()
        assert len(entries(screen)) == 6
        assert engine.recent[2].id in screen.text(), "the panel shows the run that was looked at"


async def test_a_read_only_console_offers_no_second_run(engine: FakeEngine) -> None:
    async with console(engine, engine.clock, read_only=True, liftable=True) as screen:
        await screen.press("2", "j")
        assert "run again" not in screen.bottom()
        assert "export" in screen.bottom()
        await screen.press("r")
        assert not screen.asks
        assert "this console is read-only: r is off" in screen.bottom()


async def test_a_locked_console_writes_no_file(engine: FakeEngine) -> None:
    async with console(engine, engine.clock, read_only=True) as screen:
        await screen.press("2", "j")
        assert "export" not in screen.bottom()
        await screen.press("e")
        assert not screen.asks


async def test_a_store_that_does_not_answer_is_reported_and_recovers(engine: FakeEngine) -> None:
    engine.broken = ValueError("the store is busy")
    async with console(engine, engine.clock) as screen:
        await screen.press("2")
        assert "the store is busy" in screen.text()
        engine.broken = None
        engine.clock.advance(5)
        await screen.tick()
        assert len(entries(screen)) == 5


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60), (40, 10)])
async def test_it_fits_every_terminal(engine: FakeEngine, size: tuple[int, int]) -> None:
    async with console(engine, engine.clock, size=size) as screen:
        await screen.press("2")
        assert "ok" in screen.text()
        assert len(screen.lines()) == size[1]


async def test_a_count_stops_where_counting_would_take_long() -> None:
    engine = FakeEngine(recent=[past(number, note="again") for number in range(1_200)])
    async with console(engine, engine.clock) as screen:
        await screen.press("2")
        assert "1 200 entries" in screen.text()
        await typed(screen, "again")
        assert "1 000+ entries" in screen.text()
