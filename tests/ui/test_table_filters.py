"""`/`, `o`, `O` and `b` on the tables that are in memory: what they hide, how they sort, what is remembered."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from console.domain.rollout import Evidence
from console.domain.run import Outcome
from console.domain.task import Stage
from console.engine.models import TaskRollout
from console.ui.context import SessionInfo
from console.ui.filtering.rows import FieldNames, RowFields, RowGrammar
from console.ui.filtering.terms import FilterContext, FilterError
from console.ui.state.preferences import FILE_NAME, MAX_SAVED, Preferences, SavedOrder
from tests.driver import console
from tests.ui import samples
from tests.ui.fake_engine import FakeEngine
from tests.waiting import until

HERE = FilterContext(now_ms=samples.NOW.wall_ms, zone=ZoneInfo("Europe/Berlin"), tasks=("crawl", "triage"))
NAMES = FieldNames(texts=("task", "key"), figures=("cost",), dated=True, values={"state": ("a", "b")})
GRAMMAR = RowGrammar(NAMES, lambda: HERE, "…")
ROW = RowFields(
    named={"task": "crawl", "key": "9f2c51"},
    figures={"cost": Decimal("1.5")},
    text="crawl docs.example.org Broken Pipe",
    at_ms=samples.NOW.wall_ms - 3_600_000,
)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("task:crawl", True),
        ("task:craw", False),
        ("task:triage task:crawl", True),
        ("-task:triage,crawl", False),
        ("key:9F2", True),
        ("-key:9f2", False),
        ("broken example", True),
        ('"Broken Pipe"', True),
        ("broken nothing", False),
        ("-nothing", True),
        ("-broken", False),
        ("cost:>1", True),
        ("cost:>1,<1.5", False),
        ("-cost:>2", True),
        ("today", True),
        ("yesterday", False),
        ("since:30m", False),
    ],
)
def test_a_row_fits_where_it_meets_every_term(text: str, fits: bool) -> None:
    assert GRAMMAR.parse(text).fits(ROW) is fits


def test_what_is_not_known_meets_no_comparison_and_a_bad_filter_is_one_line() -> None:
    unknown = replace(ROW, figures={"cost": None}, at_ms=None)
    assert not GRAMMAR.parse("cost:>0").fits(unknown)
    assert not GRAMMAR.parse("today").fits(unknown)
    for text in ("cost:much", "tsk:x", "task:"):
        with pytest.raises(FilterError):
            GRAMMAR.parse(text)
    assert GRAMMAR.complete("-task:cr") == "-task:crawl "


async def test_runs_are_filtered_and_their_cursor_is_never_on_a_hidden_one(busy: FakeEngine) -> None:
    async with console(busy, busy.clock, size=(80, 24)) as screen:
        await screen.select(busy.live[3].id)
        await screen.press("space", "slash")
        await screen.type("task:crawl-docs")
        assert "3 of 12 runs" in screen.text()
        assert screen.table.order == (busy.live[0].id, busy.live[4].id, busy.recent[3].id)
        assert screen.cursor in screen.table.order
        assert screen.table.marks == frozenset(), "no key acts on a run that is not seen"
        await screen.press("enter", "x")
        assert [act for act in busy.asked if act[0] == "stop"] == []
        await screen.press("j", "x")
        assert ("stop", busy.live[4].id, "alice tty=yes") in busy.asked
        await screen.press("slash")
        await screen.type(" nothing")
        assert "No run matches this filter" in screen.text()
        await screen.press("enter", "escape")
        assert len(screen.table.order) == 12
        assert "of 12 runs" not in screen.text()


async def test_a_filter_stays_on_its_screen(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("slash", *"-outcome", "colon", *"ok", "enter", "3", "slash", *"docs", "enter")
        assert "1 of 5 tasks" in screen.text()
        await screen.press("1")
        assert "11 of 12 runs" in screen.text()


async def test_ends_first_is_the_earlier_of_the_clock_and_the_budget_at_its_rate(busy: FakeEngine) -> None:
    soon, late = busy.live[4], busy.live[6]
    hungry = replace(samples.run(50, of=samples.TASKS[3], sent_ago=100, used=199.0), deadline_ms=late.deadline_ms)
    busy.live.append(hungry)
    async with console(busy, busy.clock) as screen:
        await screen.press("o")
        assert "ends first" in screen.text()
        order = screen.table.order
        assert order.index(hungry.id) < order.index(soon.id) < order.index(late.id)
        assert "▣ 0:01" in screen.row(hungry.id), "its budget ends it"
        assert "▣" not in screen.row(soon.id)
        await screen.press("O")
        order = screen.table.order
        assert "ends last" in screen.text()
        assert order.index(hungry.id) > order.index(soon.id) > order.index(late.id)


@pytest.mark.parametrize(
    ("presses", "words", "first"), [(2, "fastest spending first", 4), (3, "most expensive first", 4), (4, "by task", 0)]
)
async def test_every_order_of_the_runs(busy: FakeEngine, presses: int, words: str, first: int) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press(*["o"] * presses)
        assert words in screen.text()
        if presses == 2:
            view = screen.app.view
            assert view is not None
            rates = {run.id: run.used / view.elapsed_ms(run) for run in busy.live if run.used}
            assert screen.table.order[0] == max(rates, key=rates.__getitem__)
        else:
            assert screen.table.order[0] == busy.live[first].id
        await screen.press(*["o"] * (6 - presses))
        assert screen.table.order[0] == busy.live[0].id
        assert "most urgent first" not in screen.lines()[2]


async def test_runs_of_a_fleet_are_filtered_and_sorted_by_host(busy: FakeEngine) -> None:
    for at, run in enumerate(busy.live):
        busy.live[at] = replace(run, host="web2" if at % 2 else "web1")
    busy.live[0] = replace(busy.live[0], host="")
    of_web2 = [run.id for run in busy.live if run.host == "web2"]
    async with console(busy, busy.clock, session=SessionInfo(host="web1", in_fleet=True)) as screen:
        await screen.press("slash", *"host", "colon", *"web2", "enter")
        assert set(screen.table.order) == set(of_web2)
        await screen.press("escape", *["o"] * 6)
        assert "by host" in screen.text()
        hosts = [next(run.host for run in busy.live if run.id == each) for each in screen.table.order[: len(busy.live)]]
        assert hosts == [*sorted(filter(None, hosts)), ""], "who has none is last"
        await screen.press("O")
        assert screen.table.order[0] in of_web2
    async with console(busy, busy.clock) as screen:
        await screen.press("slash", *"host", "colon", *"web2")
        assert "unknown filter host:" in screen.text(), "of one machine all runs are its own"


async def test_tasks_are_sorted_and_filtered(idle: FakeEngine) -> None:
    stages = (Stage.MANUAL, Stage.UNATTENDED, Stage.SEMI, Stage.MANUAL, Stage.SEMI)
    idle.rollouts = tuple(
        TaskRollout(task=task, stage=stage, effective=stage, evidence=Evidence(since_ms=None), unmet_criteria=("x",))
        for task, stage in zip(samples.TASKS, stages, strict=True)
    )
    async with console(idle, idle.clock, size=(80, 24)) as screen:
        await screen.press("3")
        await until(lambda: "crawl-docs" in screen.text())
        await screen.press("o")
        names = sorted(task.name for task in samples.TASKS)
        await until(lambda: [line[2:20].strip() for line in screen.lines()[4:9]] == names)
        await screen.press("O")
        assert [line[2:20].strip() for line in screen.lines()[4:9]] == names[::-1]
        await screen.press("O", "o")
        assert screen.lines()[4].startswith("▌ crawl-docs") or "crawl-docs" in screen.lines()[4]
        await screen.press("slash", *"stage", "colon", *"semi", "enter")
        assert "2 of 5 tasks" in screen.text()
        await screen.press("escape")
        assert "of 5 tasks" not in screen.text()


async def test_orders_and_saved_filters_outlive_the_console(busy: FakeEngine, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    async with console(busy, busy.clock, preferences=Preferences(path)) as screen:
        await screen.press("b")
        assert "no filter is saved" in screen.bottom()
        await screen.press("o", "O", "slash", *"docs", "enter", "b", "enter")
        assert "filter saved: docs" in screen.bottom()
    assert path.stat().st_mode & 0o777 == 0o600
    async with console(busy, busy.clock, preferences=Preferences(path)) as screen:
        assert "ends last" in screen.text()
        assert "of 12 runs" not in screen.text(), "a filter of yesterday hides nothing today"
        await screen.press("b", "enter")
        assert "3 of 12 runs" in screen.text()
        await screen.press("b", "enter")
        assert "filter forgotten: docs" in screen.bottom()
    assert json.loads(path.read_text(encoding="utf-8"))["filters"] == {"runs": []}


async def test_a_read_only_console_writes_no_file(busy: FakeEngine, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    async with console(busy, busy.clock, preferences=Preferences(path, writable=False)) as screen:
        await screen.press("o")
        assert "ends first" in screen.text()
    assert not path.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2}',
        '{"version": 1, "orders": {"runs": [1, 2, 3]}, "filters": [], "recent": {"a": 1}}',
    ],
)
def test_a_file_that_says_something_else_counts_as_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text, encoding="utf-8")
    kept = Preferences(path)
    assert (kept.order("runs"), kept.filters("runs"), kept.recent) == (None, (), ())


async def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    kept = Preferences(tmp_path / FILE_NAME)
    for number in range(MAX_SAVED + 5):
        kept.save_filter("runs", f"word{number}")
        kept.use(f"id{number % 3}")
    kept.save_filter("runs", "word20")
    kept.set_order("runs", SavedOrder("cost", True))
    await kept.write()
    again = Preferences(tmp_path / FILE_NAME)
    assert len(again.filters("runs")) == MAX_SAVED
    assert again.filters("runs")[:2] == ("word20", "word34")
    assert len(again.recent) == 3
    assert again.order("runs") == SavedOrder("cost", True)


async def test_the_history_is_sorted_by_the_engine(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        busy.end(busy.live[3].id, Outcome.OK)
        await screen.press("2", "o")
        assert "most expensive first" in screen.text()
        await screen.press("O")
        assert "cheapest first" in screen.text()
        await screen.press("slash", *"-task", "colon", *"crawl-docs", "enter")
        assert "crawl-docs" not in "\n".join(screen.lines()[4:14])


async def test_the_usage_table_is_sorted_and_filtered_and_its_total_says_of_what(busy: FakeEngine) -> None:
    async with console(busy, busy.clock) as screen:
        await screen.press("4")
        rows = [line for line in screen.lines()[3:] if " log-digest  " in line or " nightly-report  " in line]
        assert "log-digest" in rows[0]
        await screen.press("o")
        assert "by name" in screen.text()
        await screen.press("O")
        rows = [line for line in screen.lines()[3:] if " log-digest  " in line or " nightly-report  " in line]
        assert "nightly-report" in rows[0]
        await screen.press("slash", *"digest", "enter")
        assert "1 of 2 rows" in screen.text()
        assert "total of these" in screen.text()
        assert "nightly-report" not in "\n".join(screen.lines()[20:])
        await screen.press("escape", "slash", *"runs", "colon", ">", "9", "9", "enter")
        assert "0 of 2 rows" in screen.text()


async def test_cost_and_target_have_columns_in_the_history_where_there_is_room(busy: FakeEngine) -> None:
    for cells, cost, target in ((100, False, False), (120, True, False), (160, True, True)):
        async with console(busy, busy.clock, size=(cells, 36)) as screen:
            await screen.press("2")
            head = screen.lines()[3]
            assert (" cost " in f"{head} ") is cost
            assert (" target " in head) is target
            if cost:
                assert "0.8786 USD" in screen.text()
