"""Looking back: pages of everything that was, newest first, in an order that new rows cannot shift.

Pages go by key, never by offset: the millionth row costs what the first does.
"""

from __future__ import annotations

import math
import sqlite3
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from console.domain.key_decision import blocking_run
from console.domain.run import Outcome, Run
from console.domain.task import Origin, Stage
from console.store.database import Database, Transaction
from console.store.full_text import match_words, row_test
from console.store.rows import Value, run_of
from console.store.statements import fetch_all, fetch_one

TYPICAL_OF = 200
"""The newest runs that say what is typical."""

SELECT_RECENT = """
    select * from runs
    where state = 'ended' and attempt > 0
    order by ended_ms desc, seq desc
    limit :limit
"""
SELECT_BEFORE = """
    select * from runs where task = :task and attempt > 0 and day < :day order by created_ms desc, seq desc limit 1
"""
SELECT_FROM = """
    select * from runs where task = :task and attempt > 0 and day >= :day order by created_ms, seq limit 1
"""
SELECT_TYPICAL = """
    select used, elapsed_ms from runs
    where task = :task and outcome = 'ok'
    order by created_ms desc
    limit :limit
"""
SELECT_OF_KEYS = "select * from runs where key in ({keys}) and attempt > 0 order by seq"
SELECT_PAGE = "select * from runs where {where} order by created_ms desc, seq desc limit :limit"
# The index of words is read from its newest hit on, so a common word costs no more than a rare one.
SELECT_WORDS = """
    select runs.* from runs_text cross join runs on runs.seq = runs_text.rowid
    where runs_text match :words and {where}
    order by runs_text.rowid desc
    limit :limit
"""
COUNT_HITS = "select count(*) as n from (select 1 from runs_text where runs_text match :words limit :most)"
LAST_SEQ = "select coalesce(max(seq), 0) as n from runs"
# Rows that are few enough are put beside the hits, so that no row need be fetched to judge a hit.
AMONG = " and +runs_text.rowid in (select runs.seq from runs where {where})"
MOST_HITS, MOST_ROWS = 100_000, 100_000
"""Counting to find the better guide goes no further: it takes some milliseconds."""
ROW_PRICE, HIT_PRICE, PUT_PRICE = 10.0, 2.5, 0.25
"""Microseconds to judge a row by its text, to judge a hit by its row, and to put a row or a hit beside the others."""
COUNT = "select count(*) as n from (select 1 from runs where {where} limit :limit)"
COUNT_WORDS = """
    select count(*) as n from (
        select 1 from runs_text cross join runs on runs.seq = runs_text.rowid
        where runs_text match :words and {where} limit :limit
    )
"""
NEWEST_OF_KEY = """
    (runs.attempt = 0 or not exists (
        select 1 from runs newer where newer.key = runs.key and newer.attempt > runs.attempt and newer.attempt > 0
    ))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page ended."""

    created_ms: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """What to look back at; empty and None: everything."""

    tasks: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    stages: tuple[Stage, ...] = ()
    origins: tuple[Origin, ...] = ()
    since_ms: int | None = None
    """From this instant on."""
    until_ms: int | None = None
    """Before this instant."""
    text: str = ""
    """Words that must all begin a word of task, target, key, note or result."""
    open_too: bool = True
    """False: only what ended."""
    folded: bool = False
    """Of the attempts of a key only the newest; skips and refusals stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, newest first."""

    runs: tuple[Run, ...]
    after: Cursor | None
    """Where the next page begins; None: this was the last."""


class KeyState(StrEnum):
    """What a launch of the key would meet."""

    DONE = "done"
    HELD = "held"
    """A run is open, or ended so that only a person may run it again."""
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatus:
    """One key."""

    state: KeyState
    attempts: int
    holder: Run | None = None
    """The run that is in the way of a launch, or has done the work; None for a free key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalRow:
    """What a task's runs that ended ok used lately."""

    runs: int
    median_units: int
    p95_units: int
    p95_ms: int


class QueryPlan(Enum):
    """What is read to find what fits both words and other filters."""

    WORDS = "hits, each judged by its row"
    BOTH = "hits that are among the rows that fit otherwise"
    ROWS = "rows that fit otherwise, each judged by its text"


class _Shape(Enum):
    """What is asked, by rows and by words."""

    PAGE = (SELECT_PAGE, SELECT_WORDS)
    COUNT = (COUNT, COUNT_WORDS)


class History:
    """Reads only."""

    def __init__(self, database: Database, *, guide: QueryPlan | None = None) -> None:
        """`guide`: the one way to take beside words and other filters; None: the cheapest."""
        self._database = database
        self._only_guide = guide

    async def page(self, wanted: HistoryFilter, *, limit: int = 50, after: Cursor | None = None) -> Page:
        """The newest `limit` entries that fit, or those after `after`; newest by the clock, with words by the claim."""
        where, parameters = _where(wanted)
        parameters["limit"] = limit + 1
        if after is not None:
            parameters |= {"after_ms": after.created_ms, "after_seq": after.seq}

        async def unit(tx: Transaction) -> Page:
            rows = await self._fitting(tx, wanted, _Shape.PAGE, where, parameters)
            more, rows = len(rows) > limit, rows[:limit]
            last = Cursor(created_ms=rows[-1]["created_ms"], seq=rows[-1]["seq"]) if more and rows else None
            return Page(runs=tuple(run_of(row) for row in rows), after=last)

        return await self._database.read(unit)

    async def count(self, wanted: HistoryFilter, *, at_most: int | None = None) -> int:
        """How many entries fit; counting ends at `at_most`, for counting a million takes a while."""
        where, parameters = _where(wanted)
        parameters["limit"] = -1 if at_most is None else at_most

        async def unit(tx: Transaction) -> int:
            rows = await self._fitting(tx, wanted, _Shape.COUNT, where, parameters)
            return int(rows[0]["n"]) if rows else 0

        return await self._database.read(unit)

    async def _fitting(
        self, tx: Transaction, wanted: HistoryFilter, shape: _Shape, where: str, parameters: dict[str, Value]
    ) -> list[sqlite3.Row]:
        """The rows of the question; none where no word can be meant."""
        by_rows, by_words = shape.value
        rows_after = " and (runs.created_ms, runs.seq) < (:after_ms, :after_seq)" if "after_ms" in parameters else ""
        if not wanted.text.strip():
            return await fetch_all(tx, by_rows.format(where=where + rows_after), parameters)
        words = await match_words(tx, wanted.text, wanted.tasks)
        if not words:
            return []
        parameters = {**parameters, "words": words}
        guide = self._only_guide or await self._guide(tx, wanted, parameters)
        if guide is QueryPlan.ROWS:
            test, needed = row_test(wanted.text)
            return await fetch_all(
                tx, by_rows.format(where=f"{where}{rows_after} and {test}"), {**parameters, **needed}
            )
        if guide is QueryPlan.BOTH:
            where += AMONG.format(where=_where(replace(wanted, folded=False))[0])
        words_after = " and runs_text.rowid < :after_seq" if rows_after else ""
        return await fetch_all(tx, by_words.format(where=where + words_after), parameters)

    async def _guide(self, tx: Transaction, wanted: HistoryFilter, parameters: dict[str, Value]) -> QueryPlan:
        """The cheapest way to what fits; a task is known to the index of words too.

        By words the hits are read from the newest on, by rows the rows that fit otherwise, until enough fit both.
        """
        dated = wanted.since_ms is not None or wanted.until_ms is not None
        if not (dated or wanted.outcomes or wanted.stages or wanted.origins):
            return QueryPlan.WORDS
        where, _ = _where(replace(wanted, folded=False))
        hits = await self._number(tx, COUNT_HITS, {"words": parameters["words"], "most": MOST_HITS})
        rows = await self._number(tx, COUNT.format(where=where), {**parameters, "limit": MOST_ROWS})
        whole = await self._number(tx, LAST_SEQ, {})
        if not hits or not rows:
            return QueryPlan.WORDS
        limit = int(str(parameters["limit"]))
        needed = whole if limit < 0 else limit
        all_hits = whole if hits >= MOST_HITS else hits
        judged_hits = all_hits if dated else min(all_hits, needed * whole / rows)
        prices = {
            QueryPlan.WORDS: HIT_PRICE * judged_hits,
            QueryPlan.ROWS: ROW_PRICE * min(rows, needed * whole / hits),
            QueryPlan.BOTH: PUT_PRICE * (rows + judged_hits) if rows < MOST_ROWS else math.inf,
        }
        return min(prices, key=prices.__getitem__)

    @staticmethod
    async def _number(tx: Transaction, sql: str, parameters: Mapping[str, Value]) -> int:
        row = await fetch_one(tx, sql, parameters)
        return int(row["n"]) if row else 0

    async def recent(self, limit: int = 50) -> tuple[Run, ...]:
        """The runs that ended last, newest first; skips and refusals left out."""

        async def unit(tx: Transaction) -> tuple[Run, ...]:
            return tuple(run_of(row) for row in await fetch_all(tx, SELECT_RECENT, {"limit": limit}))

        return await self._database.read(unit)

    async def keys(self, keys: Iterable[str]) -> Mapping[str, KeyStatus]:
        """What each key would meet, and how many attempts it had."""

        wanted = list(dict.fromkeys(keys))
        names = {f"key_{number}": key for number, key in enumerate(wanted)}
        sql = SELECT_OF_KEYS.format(keys=", ".join(f":{name}" for name in names))

        async def unit(tx: Transaction) -> Mapping[str, KeyStatus]:
            runs: dict[str, list[Run]] = {key: [] for key in wanted}
            for row in await fetch_all(tx, sql, names):
                runs[row["key"]].append(run_of(row))
            return {key: _key_status(each) for key, each in runs.items()}

        return await self._database.read(unit)

    async def around(self, task: str, day: str) -> tuple[Run | None, Run | None]:
        """The last run of the task before the caps day `day`, and its first one on it or after."""

        async def unit(tx: Transaction) -> tuple[Run | None, Run | None]:
            before = await fetch_one(tx, SELECT_BEFORE, {"task": task, "day": day})
            after = await fetch_one(tx, SELECT_FROM, {"task": task, "day": day})
            return (run_of(before) if before else None), (run_of(after) if after else None)

        return await self._database.read(unit)

    async def typical(self, task: str) -> TypicalRow | None:
        """Median and 95th percentile over the newest TYPICAL_OF runs that ended ok; None where there is none."""

        async def unit(tx: Transaction) -> TypicalRow | None:
            rows = await fetch_all(tx, SELECT_TYPICAL, {"task": task, "limit": TYPICAL_OF})
            units, times = [row["used"] for row in rows], [row["elapsed_ms"] for row in rows]
            if not rows:
                return None
            return TypicalRow(
                runs=len(rows),
                median_units=int(statistics.median(units)),
                p95_units=p95(units),
                p95_ms=p95(times),
            )

        return await self._database.read(unit)


def p95(values: list[int]) -> int:
    """The smallest value that at least 95 % do not pass."""
    return sorted(values)[-(-len(values) * 95 // 100) - 1]


def _key_status(runs: list[Run]) -> KeyStatus:
    holder = blocking_run(runs)
    state = KeyState.HELD
    if holder is None or holder.outcome is Outcome.OK:
        state = KeyState.DONE if holder else KeyState.FREE
    return KeyStatus(state=state, attempts=max((run.attempt for run in runs), default=0), holder=holder)


def _where(wanted: HistoryFilter) -> tuple[str, dict[str, Value]]:
    """The condition and its parameters. Only names of ours stand in the text."""
    clauses = ["true"] if wanted.open_too else ["runs.state = 'ended'"]
    parameters: dict[str, Value] = {}
    lists: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("task", wanted.tasks),
        ("outcome", tuple(outcome.value for outcome in wanted.outcomes)),
        ("origin", tuple(origin.value for origin in wanted.origins)),
        ("stage", tuple(stage.label for stage in wanted.stages)),
    )
    narrowest = next((column for column, values in lists if values), "")
    for column, values in lists:
        if values:
            names = [f"{column}_{number}" for number in range(len(values))]
            # Without figures of the tables the planner guesses; the plus keeps it on the index of the narrowest one.
            kept = "" if column == narrowest or (narrowest, column) == ("task", "outcome") else "+"
            clauses.append(f"{kept}runs.{column} in ({', '.join(f':{name}' for name in names)})")
            parameters |= dict(zip(names, values, strict=True))
    if wanted.since_ms is not None:
        clauses.append("runs.created_ms >= :since_ms")
        parameters["since_ms"] = wanted.since_ms
    if wanted.until_ms is not None:
        clauses.append("runs.created_ms < :until_ms")
        parameters["until_ms"] = wanted.until_ms
    if wanted.folded:
        clauses.append(NEWEST_OF_KEY)
    return " and ".join(clauses), parameters
