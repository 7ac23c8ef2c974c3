"""A search finds what the plain prefix query finds, whatever query is made of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from console.domain.run import Outcome, StopReason
from console.domain.task import Origin, Stage
from console.domain.text import to_index_text
from console.store.database import run_sync
from console.store.full_text import match_words, pieces_of, row_test
from console.store.history import History, HistoryFilter, QueryPlan
from console.store.postgres.words import VECTORS, vector_of
from console.store.rows import fetch_all, to_storable
from console.store.transaction import Transaction
from console.store.transitions import RunResult
from tests.store.harness import BY, StoreHarness, a_task
from tests.sync_database import SyncDatabase, memory_connection


def match_text(text: str) -> str:
    """The plain FTS5 query that a search must agree with: every word of `text` as a prefix, quoted."""
    pieces = text.replace('"', " ").replace("\0", " ").split()
    return " ".join(f'"{to_index_text(piece)}"*' for piece in pieces)


TARGETS = ("acme/site", "ACME tracker", "café-au-lait", "log-digest", "errors erroring error", 'say "hi"', "naïve 日本")


@pytest.mark.sqlite
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
    """Return the row numbers found by the query made of whole words, or by the plain prefix query."""

    async def unit(tx: Transaction) -> list[int]:
        words = await match_words(tx, text) if by_terms else match_text(text)
        if not words:
            return []
        sql = "select rowid from runs_text where runs_text match :words order by rowid"
        return [row["rowid"] for row in await fetch_all(tx, sql, {"words": words})]

    return await harness.store.database.read(unit)


JAPANESE = {
    "report": "東京の日報を作成しました。エラーはありません。",
    "digest": "ログの要約",
    "notes": "大阪の天気、曇り、気温は１２度",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("日報", {"report"}),
        ("東京", {"report"}),
        ("エラー", {"report"}),
        ("要約", {"digest"}),
        ("の", {"report", "digest", "notes"}),
        ("天気", {"notes"}),
        ("報日", set()),
        ("大阪 気温", {"notes"}),
        ("大阪 日報", set()),
        ("ク", set()),
    ],
)
async def test_words_inside_text_without_blanks_are_found(harness: StoreHarness, text: str, found: set[str]) -> None:
    for name, result in JAPANESE.items():
        await harness.settle(await harness.running(a_task(name)), result=result)
    for plan in (*QueryPlan, None):
        history = History(harness.store.database, plan=plan)
        for wanted in (HistoryFilter(text=text), HistoryFilter(text=text, outcomes=(Outcome.OK,))):
            assert {run.task for run in (await history.page(wanted)).runs} == found


UNSPACED = {
    "thai": "รายงานการประชุมประจำไตรมาสเสร็จแล้ว",
    "lao": "ບົດລາຍງານການປະຊຸມ",
    "khmer": "របាយការណ៍ប្រជុំប្រចាំត្រីមាស",
    "burmese": "အစည်းအဝေးမှတ်တမ်း",
    "korean": "분기예산회의록을 완성했습니다",
    "halfwidth": "ﾃｽﾄ完了ﾚﾎﾟｰﾄ",
    "emoji": "Deploy finished 🚀 all green ✅ \U0001f1e9\U0001f1ea",
    "plain": "u1f5 is a word",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ประชุม", "thai"),
        ("ปะซุม", ""),
        ("ປະຊຸມ", "lao"),
        ("ប្រជុំ", "khmer"),
        ("ဝေး", "burmese"),
        ("회의", "korean"),
        ("완성", "korean"),
        ("의회", ""),
        ("ﾚﾎﾟｰﾄ", "halfwidth"),
        ("🚀", "emoji"),
        ("green ✅", "emoji"),
        ("🛑", ""),
        ("u1f5", "plain"),
    ],
)
async def test_words_of_other_scripts_and_emoji_are_found(harness: StoreHarness, text: str, found: str) -> None:
    for name, result in UNSPACED.items():
        await harness.settle(await harness.running(a_task(name)), result=result)
    for plan in (*QueryPlan, None):
        history = History(harness.store.database, plan=plan)
        for wanted in (HistoryFilter(text=text), HistoryFilter(text=text, outcomes=(Outcome.OK,))):
            assert {run.task for run in (await history.page(wanted)).runs} == set(found.split())


async def test_a_changed_text_is_found_by_its_new_words_only(harness: StoreHarness) -> None:
    run = await harness.running()
    run = await harness.store.runs.request_stop(run.id, reason=StopReason.OPERATOR, by=BY, now=harness.now)
    await harness.settle(run, Outcome.CANCELLED, note="中国語の注記", result="")
    history = harness.store.history
    assert await history.count(HistoryFilter(text="注記")) == 1
    assert await history.count(HistoryFilter(text="中国")) == 1
    superseded = await harness.claimed(rerun=True, reason="もう一度")
    assert await history.count(HistoryFilter(text="一度")) == 1
    await harness.store.runs.settle(superseded, RunResult.of_nothing_sent(Outcome.CANCELLED, "取消"), harness.now)
    assert await history.count(HistoryFilter(text="一度")) == 0
    assert await history.count(HistoryFilter(text="取消")) == 1


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
letters = st.text(st.sampled_from(LETTERS), max_size=12)
said = st.text(st.sampled_from(LETTERS), max_size=12) | st.text(max_size=8)


@given(notes=st.lists(said, min_size=1, max_size=6), text=st.lists(said, min_size=1, max_size=3).map(" ".join))
@example(notes=["error", "terror", "er ror", "e\u0301rror", "x/error", "\0error", "ERRORS"], text="error")
@example(notes=["acme/site", "acme site", "acme-sit", "xacme/si", "acme", "site acme"], text="acme/si")
@example(notes=["a b", "b a", "ab", "a"], text="a b")
def test_the_condition_on_a_row_agrees_with_the_index(notes: list[str], text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("create table runs (seq integer primary key, task, target, key, note, result)")
        db.execute(
            "create virtual table runs_text using fts5"
            " (task, target, key, note, result, content = 'runs', content_rowid = 'seq')"
        )
        insert = "insert into runs (task, target, key, note, result) values ('t', 'a', '0f', ?, ?)"
        db.executemany(insert, [(to_storable(note), to_storable(note[::-1])) for note in notes])
        columns = "task, target, key, note, result"
        for row in db.execute(f"select seq, {columns} from runs").fetchall():
            texts = [to_index_text(text) for text in row[1:]]
            db.execute(f"insert into runs_text (rowid, {columns}) values (?, ?, ?, ?, ?, ?)", [row[0], *texts])
        query = to_storable(match_text(text))
        if not query:
            return
        test, needed = row_test(str(to_storable(text)))
        by_rows = db.execute(f"select seq from runs where {test} order by seq", {"words": query, **needed})
        by_words = db.execute("select rowid from runs_text where runs_text match ? order by rowid", [query])
        assert by_rows.fetchall() == by_words.fetchall()


@pytest.mark.proofs
def test_both_databases_find_the_same(postgres: str) -> None:
    """The vectors of PostgreSQL, cut by the program, against the index of SQLite, which cuts for itself."""
    with psycopg.connect(postgres, autocommit=True) as server:

        @settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
        @given(notes=st.lists(letters, min_size=1, max_size=6), text=st.lists(letters, min_size=1, max_size=3))
        @example(notes=["error", "terror", "er ror", "e\u0301rror", "x/error", "\0error", "ERRORS"], text=["error"])
        @example(notes=["acme/site", "acme site", "acme-sit", "xacme/si", "site acme"], text=["acme/si", "-"])
        @example(notes=["東京の日報", "日報", "報日", "日 報", "🚀 ok"], text=["日報"])
        @example(notes=["a" * 100, "a" * 64, "a" * 63 + "b"], text=["a" * 50])
        @example(notes=["o'neil", "back\\slash", "colon:1", "a&b | c <-> d !e"], text=["b"])
        def agree(notes: list[str], text: list[str]) -> None:
            typed = str(to_storable(" ".join(text)))
            query = run_sync(VECTORS.all_of(cast(Transaction, None), typed))
            found = []
            for number, note in enumerate(notes):
                row = {"task": "t", "target": "a", "key": "0f", "note": note, "result": note[::-1]}
                words = vector_of({name: to_index_text(str(to_storable(each))) for name, each in row.items()})
                ask = "select %s::tsvector @@ %s::tsquery"
                if query and (server.execute(ask, (words, query)).fetchone() or (False,))[0]:
                    found.append(number)
            assert found == fts5_hits(notes, typed)

        agree()


def fts5_hits(notes: list[str], text: str) -> list[int]:
    """The places of the notes that the index of SQLite finds."""
    query = " AND ".join(f'"{to_index_text(piece)}"*' for piece in pieces_of(text))
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("create virtual table runs_text using fts5 (task, target, key, note, result)")
        for number, note in enumerate(notes):
            texts = [to_index_text(str(to_storable(each))) for each in ("t", "a", "0f", note, note[::-1])]
            db.execute(
                "insert into runs_text (rowid, task, target, key, note, result) values (?,?,?,?,?,?)", [number, *texts]
            )
        if not query:
            return []
        rows = db.execute("select rowid from runs_text where runs_text match ? order by rowid", [query])
        return [row[0] for row in rows]


async def test_a_text_of_many_words_is_stored_and_found_by_its_first(harness: StoreHarness) -> None:
    """A vector holds a megabyte at most, and a result is what an agent says."""
    for number, result in enumerate(
        ("first " + "word " * 400_000, "".join(f"w{n:07} " for n in range(200_000)), "é" * 2**20)
    ):
        await harness.settle(await harness.running(a_task(f"t{number}")), result=result)
    assert await harness.store.history.count(HistoryFilter(text="first word")) == 1
    assert await harness.store.history.count(HistoryFilter(text="w0000009")) == 1
    assert await harness.store.history.count(HistoryFilter(text="éé")) == 1


async def all_of(history: History, wanted: HistoryFilter) -> list[str]:
    """Return the tasks of all pages."""
    seen: list[str] = []
    page = await history.page(wanted, limit=1)
    while True:
        seen += [run.task for run in page.runs]
        if page.after is None:
            return seen
        page = await history.page(wanted, limit=1, after=page.after)


@given(text=st.text(max_size=40) | said)
@example(text='""')
@example(text='\0 "*')
@example(text="日本 NEAR(")
def test_no_text_is_taken_for_the_query_language(text: str) -> None:
    """FTS5 raises an error for a query that is not well-formed."""
    with closing(memory_connection()) as connection:
        database = SyncDatabase(Path(), connection)
        run_sync(database.read(lambda tx: _count_hits(tx, str(to_storable(text)))))


async def _count_hits(tx: Transaction, text: str) -> int:
    words = await match_words(tx, text)
    return len(
        await fetch_all(tx, "select 1 from runs_text where runs_text match :words", {"words": words}) if words else []
    )
