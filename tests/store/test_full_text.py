"""Property: however a search is said to the index, it finds what the plain prefix query finds."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from console.domain.run import Outcome
from console.domain.task import Origin, Stage
from console.store.database import Transaction
from console.store.full_text import match_text, match_words, row_test
from console.store.history import History, HistoryFilter, QueryPlan
from console.store.rows import to_sqlite_text
from console.store.statements import fetch_all
from tests.store.harness import StoreHarness, a_task

TARGETS = ("acme/site", "ACME tracker", "café-au-lait", "log-digest", "errors erroring error", 'say "hi"', "naïve 日本")


async def test_a_search_by_terms_finds_what_the_prefixes_find(harness: StoreHarness) -> None:
    for number, target in enumerate(TARGETS):
        await harness.ended(Outcome.OK, task=a_task(f"task-{number}", target=target))
    texts = [
        "",
        "a",
        "ac",
        "acme",
        "acme/s",
        "ACME",
        "cafe",
        "CAFÉ",
        "err",
        "errors",
        "errors site",
        "-",
        '"',
        "日",
        "日本",
    ]
    texts += ["log-dig", "task", "task-3 log", "nothing", "naive", "hi", "AND", "err*", "NEAR(a b)", "acme OR site"]
    for text in texts:
        assert await hits(harness, text, by_terms=True) == await hits(harness, text, by_terms=False), text


async def hits(harness: StoreHarness, text: str, *, by_terms: bool) -> list[int]:
    """Row ids, by the query that is made from the terms or by the prefixes."""

    async def unit(tx: Transaction) -> list[int]:
        words = await match_words(tx, text) if by_terms else match_text(text)
        if not words:
            return []
        sql = "select rowid from runs_text where runs_text match :words order by rowid"
        return [row["rowid"] for row in await fetch_all(tx, sql, {"words": words})]

    return await harness.store.database.read(unit)


async def test_words_and_other_filters_hold_together_page_by_page(harness: StoreHarness) -> None:
    for number in range(7):
        await harness.ended(Outcome.OK, task=a_task(f"task-{number}", target=f"acme/{number % 2}/{number}"))
        harness.clock.advance(60)
    wanted = HistoryFilter(text="acme/1")
    history, seen, after = harness.store.history, [], None
    while True:
        page = await history.page(wanted, limit=2, after=after)
        seen += [run.task for run in page.runs]
        after = page.after
        if after is None:
            break
    assert seen == ["task-5", "task-3", "task-1"]
    assert await history.count(wanted) == 3
    assert await history.count(wanted, at_most=2) == 2
    assert await history.count(replace(wanted, tasks=("task-3",))) == 1
    assert await history.count(replace(wanted, until_ms=0)) == 0


async def test_common_words_are_found_the_same_whatever_the_plan(harness: StoreHarness) -> None:
    for number, outcome in enumerate((Outcome.OK, Outcome.FAILED, Outcome.OK, Outcome.TIMEOUT, Outcome.OK)):
        await harness.ended(outcome, task=a_task(f"task-{number}", target=f"acme/{number}"))
        harness.clock.advance(60)
    by_words, *others = (History(harness.store.database, plan=plan) for plan in (*QueryPlan, None))
    middle = harness.now.wall_ms - 150_000
    for wanted in (
        HistoryFilter(text="acme", outcomes=(Outcome.OK,)),
        HistoryFilter(text="acme", outcomes=(Outcome.OK,), until_ms=middle),
        HistoryFilter(text="acme", since_ms=middle),
        HistoryFilter(text="acme task-3", outcomes=(Outcome.OK, Outcome.TIMEOUT)),
        HistoryFilter(text="nothing", stages=(Stage.MANUAL,)),
        HistoryFilter(text="acme", tasks=("task-2",), origins=(Origin.MANUAL,), folded=True),
    ):
        for history in others:
            assert await history.count(wanted) == await by_words.count(wanted)
            assert await all_of(history, wanted) == await all_of(by_words, wanted)


LETTERS = "aAbB1é\u0301ßÅI\u0131\u0130日_-/.:'\"*^() \t\n\0\x1c\x7f\u2028"
said = st.text(st.sampled_from(LETTERS), max_size=12) | st.text(max_size=8)


@given(notes=st.lists(said, min_size=1, max_size=6), text=st.lists(said, min_size=1, max_size=3).map(" ".join))
@example(notes=["error", "terror", "er ror", "e\u0301rror", "x/error", "\0error", "ERRORS"], text="error")
@example(notes=["acme/site", "acme site", "acme-sit", "xacme/si", "acme", "site acme"], text="acme/si")
@example(notes=["a b", "b a", "ab", "a"], text="a b")
def test_a_row_judged_by_its_text_is_a_hit_where_the_index_says_so(notes: list[str], text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("create table runs (seq integer primary key, task, target, key, note, result)")
        db.execute(
            "create virtual table runs_text using fts5"
            " (task, target, key, note, result, content = 'runs', content_rowid = 'seq')"
        )
        insert = "insert into runs (task, target, key, note, result) values ('t', 'a', '0f', ?, ?)"
        db.executemany(insert, [(to_sqlite_text(note), to_sqlite_text(note[::-1])) for note in notes])
        db.execute("insert into runs_text (runs_text) values ('rebuild')")
        query = to_sqlite_text(match_text(text))
        if not query:
            return
        test, needed = row_test(str(to_sqlite_text(text)))
        by_rows = db.execute(f"select seq from runs where {test} order by seq", {"words": query, **needed})
        by_words = db.execute("select rowid from runs_text where runs_text match ? order by rowid", [query])
        assert by_rows.fetchall() == by_words.fetchall()


async def all_of(history: History, wanted: HistoryFilter) -> list[str]:
    """The tasks, page by page."""
    seen: list[str] = []
    page = await history.page(wanted, limit=1)
    while True:
        seen += [run.task for run in page.runs]
        if page.after is None:
            return seen
        page = await history.page(wanted, limit=1, after=page.after)


@given(text=st.text(max_size=40))
@example(text='""')
@example(text='\0 "*')
def test_nothing_in_a_text_leaves_its_quotes(text: str) -> None:
    query = match_text(text)
    assert "\0" not in query
    assert re.fullmatch(r'("[^"]*"\*( |\Z))*', query)
