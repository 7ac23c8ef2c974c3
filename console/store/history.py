"""Looking back: pages of everything that was, newest first, in an order that new rows cannot shift.

Pages go by key, never by offset: the millionth row costs what the first does.
"""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from console.domain.admission import holder_of
from console.domain.run import Outcome, Run
from console.domain.task import Origin, Stage
from console.store.database import Database, Transaction
from console.store.rows import Value
from console.store.run_row import run_of
from console.store.statements import every, one
from console.store.words import match_words

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
# Each row is looked up in the index of words: for words that stand nearly everywhere, beside a filter that does not.
AMONG_ROWS = " and exists (select 1 from runs_text where runs_text.rowid = runs.seq and runs_text match :words)"
COUNT_HITS = "select count(*) as n from (select 1 from runs_text where runs_text match :words limit :few)"
FEW_HITS = 2_000
"""So many hits are judged one by one in less time than a frame takes."""
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
class Place:
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
    after: Place | None
    """Where the next page begins; None: this was the last."""


class KeyState(StrEnum):
    """What a launch of the key would meet."""

    DONE = "done"
    HELD = "held"
    """A run is open, or ended so that only a person may run it again."""
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStanding:
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


class _Shape(Enum):
    """What is asked, by rows and by words."""

    PAGE = (SELECT_PAGE, SELECT_WORDS)
    COUNT = (COUNT, COUNT_WORDS)


class History:
    """Reads only."""

    def __init__(self, database: Database, *, few_hits: int = FEW_HITS) -> None:
        self._database = database
        self._few_hits = few_hits

    async def page(self, wanted: HistoryFilter, *, limit: int = 50, after: Place | None = None) -> Page:
        """The newest `limit` entries that fit, or those after `after`; newest by the clock, with words by the claim."""
        where, parameters = _where(wanted)
        parameters["limit"] = limit + 1
        if after is not None:
            parameters |= {"after_ms": after.created_ms, "after_seq": after.seq}

        async def unit(tx: Transaction) -> Page:
            rows = await self._fitting(tx, wanted, _Shape.PAGE, where, parameters)
            more, rows = len(rows) > limit, rows[:limit]
            last = Place(created_ms=rows[-1]["created_ms"], seq=rows[-1]["seq"]) if more and rows else None
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
            return await every(tx, by_rows.format(where=where + rows_after), parameters)
        words = await match_words(tx, wanted.text, wanted.tasks)
        if not words:
            return []
        parameters = {**parameters, "words": words}
        if await self._words_are_common(tx, wanted, words):
            return await every(tx, by_rows.format(where=where + rows_after + AMONG_ROWS), parameters)
        words_after = " and runs_text.rowid < :after_seq" if rows_after else ""
        return await every(tx, by_words.format(where=where + words_after), parameters)

    async def _words_are_common(self, tx: Transaction, wanted: HistoryFilter, words: str) -> bool:
        """True where the other filters are the better guide; a task is known to the index of words too."""
        others = (wanted.outcomes, wanted.stages, wanted.origins, wanted.since_ms, wanted.until_ms)
        if not any(each or each == 0 for each in others):
            return False
        row = await one(tx, COUNT_HITS, {"words": words, "few": self._few_hits})
        return row is not None and int(row["n"]) >= self._few_hits

    async def recent(self, limit: int = 50) -> tuple[Run, ...]:
        """The runs that ended last, newest first; skips and refusals left out."""

        async def unit(tx: Transaction) -> tuple[Run, ...]:
            return tuple(run_of(row) for row in await every(tx, SELECT_RECENT, {"limit": limit}))

        return await self._database.read(unit)

    async def keys(self, keys: Iterable[str]) -> Mapping[str, KeyStanding]:
        """What each key would meet, and how many attempts it had."""

        wanted = list(dict.fromkeys(keys))
        names = {f"key_{number}": key for number, key in enumerate(wanted)}
        sql = SELECT_OF_KEYS.format(keys=", ".join(f":{name}" for name in names))

        async def unit(tx: Transaction) -> Mapping[str, KeyStanding]:
            runs: dict[str, list[Run]] = {key: [] for key in wanted}
            for row in await every(tx, sql, names):
                runs[row["key"]].append(run_of(row))
            return {key: _key_standing(each) for key, each in runs.items()}

        return await self._database.read(unit)

    async def around(self, task: str, day: str) -> tuple[Run | None, Run | None]:
        """The last run of the task before the caps day `day`, and its first one on it or after."""

        async def unit(tx: Transaction) -> tuple[Run | None, Run | None]:
            before = await one(tx, SELECT_BEFORE, {"task": task, "day": day})
            after = await one(tx, SELECT_FROM, {"task": task, "day": day})
            return (run_of(before) if before else None), (run_of(after) if after else None)

        return await self._database.read(unit)

    async def typical(self, task: str) -> TypicalRow | None:
        """Median and 95th percentile over the newest TYPICAL_OF runs that ended ok; None where there is none."""

        async def unit(tx: Transaction) -> TypicalRow | None:
            rows = await every(tx, SELECT_TYPICAL, {"task": task, "limit": TYPICAL_OF})
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


def _key_standing(runs: list[Run]) -> KeyStanding:
    holder = holder_of(runs)
    state = KeyState.HELD
    if holder is None or holder.outcome is Outcome.OK:
        state = KeyState.DONE if holder else KeyState.FREE
    return KeyStanding(state=state, attempts=max((run.attempt for run in runs), default=0), holder=holder)


def _where(wanted: HistoryFilter) -> tuple[str, dict[str, Value]]:
    """The condition and its parameters. Only names of ours stand in the text."""
    clauses = ["true"] if wanted.open_too else ["runs.state = 'ended'"]
    parameters: dict[str, Value] = {}
    lists: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("task", wanted.tasks),
        ("outcome", tuple(outcome.value for outcome in wanted.outcomes)),
        ("origin", tuple(origin.value for origin in wanted.origins)),
        ("stage", tuple(stage.word for stage in wanted.stages)),
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
