"""Reads the history: pages of runs, newest first, and what has happened to keys and tasks.

A page begins after the last entry of the page before it, not at an offset, so new entries do not shift it and the
millionth entry costs as much as the first.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from console.domain.key import blocking_run
from console.domain.run import Outcome, Run
from console.domain.task import DEFAULT_PROVIDER, Origin, Stage
from console.store.errors import StoreDamaged, translate_sqlite_errors
from console.store.full_text import IN_INDEX
from console.store.listing import RepeatedListing
from console.store.rows import fetch_all, fetch_one, int_of, readable_runs, run_of
from console.store.transaction import Database, Row, Transaction, Value

TYPICAL_OF = 200
"""Typical usage is computed over at most this many of the newest runs that ended ok."""

SELECT_RECENT = """
    select runs.* from runs
    where state = 'ended' and attempt > 0
    order by ended_ms desc, seq desc
    limit :limit
"""
SELECT_BEFORE = """
    select runs.* from runs where task = :task and attempt > 0 and day < :day order by created_ms desc, seq desc limit 1
"""
SELECT_FROM = """
    select runs.* from runs where task = :task and attempt > 0 and day >= :day order by created_ms, seq limit 1
"""
SELECT_TYPICAL = """
    select used, elapsed_ms from runs
    where task = :task and outcome = 'ok'
    order by created_ms desc
    limit :limit
"""
SELECT_OF_KEYS = "select runs.* from runs where key in ({keys}) and attempt > 0 order by seq"
SELECT_PAGE = "select {columns} from runs where {where} order by {order} limit :limit"
# By time, the full-text index is read from its newest hit on, so a common word costs no more than a rare one.
SELECT_WORDS = """
    select {columns} from runs_text cross join runs on runs.seq = runs_text.rowid
    where runs_text match :words and {where}
    order by {order}
    limit :limit
"""
# Only the seq of each row is sorted; whole rows would be carried through the sort.
SELECT_SORTED = """
    select {columns} from (
        select seq, place from (
            select runs.seq as seq, {place} as place from {source} where {where} order by {newest} limit {most}
        ) as newest
        where {after} order by place {direction}, seq {direction} limit :limit
    ) as chosen join runs on runs.seq = chosen.seq
    order by chosen.place {direction}, chosen.seq {direction}
"""
BY_WORDS = "runs_text cross join runs on runs.seq = runs_text.rowid"
MOST_SORTED = 10_000
"""An order other than that of creation sorts the newest entries that match, up to this number: while a page is read no
other process can commit."""
PLACE_COLUMNS = "runs.seq, {place} as place"
"""What is read of each row if one of them cannot be read whole."""
WHOLE_COLUMNS = "runs.*, {place} as place"
COUNT_HITS = "select count(*) as n from (select 1 from runs_text where runs_text match :words limit :most) as hits"
SAMPLE = """
    select count(*) as n, coalesce(sum(case when is_hit then 1 else 0 end), 0) as hits from (
        select {test} as is_hit from runs where {where} order by runs.created_ms desc, runs.seq desc limit :sample
    ) as newest
"""
SAMPLED = 500
"""Rows that are looked at for words."""
RARE = 100
"""If fewer than one in so many rows is a hit, the hits are read."""
LAST_SEQ = "select coalesce(max(seq), 0) as n from runs"
# The other filters as a list of rows: if it is short, no row has to be fetched to check a hit.
AMONG = " and +runs_text.rowid in (select runs.seq from runs where {where})"
NO_LIMIT = 2**62
"""More than there are rows."""
MOST_HITS, MOST_ROWS = 100_000, 100_000
"""The query plan is chosen by counts up to these; counting further would take longer than it saves."""
ROW_COST, HIT_COST, LIST_COST = 10.0, 2.5, 0.25
"""Measured costs in microseconds: checking the text of a row, checking the row of a hit, listing a row or a hit."""
COUNT = "select count(*) as n from (select 1 from runs where {where} limit :limit) as found"
COUNT_WORDS = """
    select count(*) as n from (
        select 1 from runs_text cross join runs on runs.seq = runs_text.rowid
        where runs_text match :words and {where} limit :limit
    ) as found
"""
NEWEST_OF_KEY = """
    (runs.attempt = 0 or not exists (
        select 1 from runs newer where newer.key = runs.key and newer.attempt > runs.attempt and newer.attempt > 0
    ))
"""


class HistoryOrder(StrEnum):
    """What the entries are ordered by: all of them by creation, the newest MOST_SORTED by anything else."""

    CREATED = "created"
    COST = "cost"
    UNITS = "units"
    ELAPSED = "elapsed"
    TASK = "task"


PLACES = {
    HistoryOrder.CREATED: "runs.created_ms",
    HistoryOrder.COST: "coalesce(runs.cost_micro, -1)",
    HistoryOrder.UNITS: "runs.used",
    HistoryOrder.ELAPSED: "runs.elapsed_ms",
    HistoryOrder.TASK: "runs.task",
}
"""By order: the expression whose value places an entry; a cost that is not known is below every known one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last entry of a page; the next page begins after it."""

    place: int | str
    """Its value of the expression in PLACES."""
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A limit for a figure."""

    least: bool
    """True for a lower bound, False for an upper one."""
    value: int
    inclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which entries of the history are wanted, and in which order. Empty and None do not restrict."""

    tasks: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    stages: tuple[Stage, ...] = ()
    origins: tuple[Origin, ...] = ()
    targets: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    """Names of providers in the config, as runs record them."""
    hosts: tuple[str, ...] = ()
    """Only a store of several hosts has entries of a host."""
    keys: tuple[str, ...] = ()
    """Beginnings of keys."""
    costs: tuple[Bound, ...] = ()
    """In micro-money; an entry whose cost is not known meets no bound."""
    used: tuple[Bound, ...] = ()
    """In milli-units."""
    since_ms: int | None = None
    """Created at this time or later, UTC ms."""
    until_ms: int | None = None
    """Created before this time, UTC ms."""
    text: str = ""
    """Each of its words must be the beginning of a word of task, target, key, note or result."""
    open_too: bool = True
    """False: ended runs only."""
    without: tuple[HistoryFilter, ...] = ()
    """An entry that matches one of these is left out; their words and orders do not count."""
    without_text: str = ""
    """No word of these may be the beginning of a word of the entry's text."""
    folded: bool = False
    """Of the attempts of a key only the newest; skips and refusals are all kept."""
    order: HistoryOrder = HistoryOrder.CREATED
    reverse: bool = False
    """By task from A to Z, by everything else the largest first, unless this is true."""

    @property
    def ascends(self) -> bool:
        """True where the smallest value comes first."""
        return (self.order is HistoryOrder.TASK) != self.reverse

    @property
    def restricts_rows(self) -> bool:
        """True where more than words and tasks decide which entries match."""
        dated = self.since_ms is not None or self.until_ms is not None
        chosen = self.outcomes or self.stages or self.origins or self.targets or self.providers or self.hosts
        return bool(dated or chosen or self.keys or self.costs or self.used or self.without or self.without_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, newest first; rows that cannot be read are left out."""

    runs: tuple[Run, ...]
    after: Cursor | None
    """The last entry of this page; None if there are no more pages."""


class KeyState(StrEnum):
    """Whether the key can be launched."""

    DONE = "done"
    HELD = "held"
    """A run is open, or has ended in a way that only a person may run again."""
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatus:
    """The state of one key and the run that decides it."""

    state: KeyState
    attempts: int
    holder: Run | None = None
    """The run that blocks a launch or has done the work; None for a free key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalUsage:
    """Usage of a task's newest runs that ended ok."""

    runs: int
    median_units: int
    p95_units: int
    p95_ms: int


class QueryPlan(Enum):
    """How entries are found that match both words and other filters."""

    WORDS = "read the hits, check the row of each"
    BOTH = "list the rows that match the filters, read the hits among them"
    ROWS = "read the rows that match the filters, check the text of each"


class _Shape(Enum):
    """The two statements of a query: by rows, and by the full-text index."""

    PAGE = (SELECT_PAGE, SELECT_WORDS)
    COUNT = (COUNT, COUNT_WORDS)


class History:
    """Reads the history. Every method raises StoreError."""

    def __init__(self, database: Database, *, plan: QueryPlan | None = None) -> None:
        """`plan` is used for every search that has other filters too; None chooses the cheapest each time."""
        self._database = database
        self._fixed_plan = plan
        self._recent = RepeatedListing(database, SELECT_RECENT)

    async def page(self, wanted: HistoryFilter, *, limit: int = 50, after: Cursor | None = None) -> Page:
        """Return the first `limit` entries that match, or those after `after`.

        The order by time is that of creation, with words that of the claims.
        """
        where, parameters = _where(wanted)
        parameters["limit"] = limit + 1
        if after is not None:
            parameters |= {"after_place": after.place, "after_seq": after.seq}

        async def unit(tx: Transaction) -> Page:
            try:
                with translate_sqlite_errors():
                    rows = await self._select(tx, wanted, _Shape.PAGE, where, parameters)
            except StoreDamaged:
                rows = await self._select(tx, wanted, _Shape.PAGE, where, parameters, columns=PLACE_COLUMNS)
            has_more, rows = len(rows) > limit, rows[:limit]
            last = Cursor(place=rows[-1]["place"], seq=rows[-1]["seq"]) if has_more and rows else None
            return Page(runs=(await readable_runs(tx, rows)).runs, after=last)

        return await self._database.read(unit)

    async def count(self, wanted: HistoryFilter, *, at_most: int | None = None) -> int:
        """Return how many entries match; counting stops at `at_most`, because counting a million takes a while."""
        where, parameters = _where(wanted)
        parameters["limit"] = NO_LIMIT if at_most is None else at_most

        async def unit(tx: Transaction) -> int:
            rows = await self._select(tx, wanted, _Shape.COUNT, where, parameters)
            return int(rows[0]["n"]) if rows else 0

        return await self._database.read(unit)

    async def _select(
        self,
        tx: Transaction,
        wanted: HistoryFilter,
        shape: _Shape,
        where: str,
        parameters: dict[str, Value],
        *,
        columns: str = WHOLE_COLUMNS,
    ) -> list[Row]:
        """Return the rows of a query; none if the text holds something but no word."""
        queries = self._database.words
        by_rows, by_words = shape.value
        if shape is _Shape.PAGE and wanted.order is not HistoryOrder.CREATED:
            by_rows, by_words = SELECT_SORTED, SELECT_SORTED
        if excluded := await queries.any_of(tx, wanted.without_text):
            where += f" and not {IN_INDEX.format(words=':excluded')}"
            parameters = {**parameters, "excluded": excluded}
        if not wanted.text.strip():
            return await fetch_all(tx, _page_sql(by_rows, wanted, columns, where, parameters), parameters)
        words = await queries.all_of(tx, wanted.text, wanted.tasks)
        if not words:
            return []
        parameters = {**parameters, "words": words}
        plan = self._fixed_plan or await self._cheapest_plan(tx, wanted, parameters)
        if plan is QueryPlan.ROWS:
            test, needed = queries.row_test(wanted.text)
            parameters = {**parameters, **needed}
            return await fetch_all(
                tx, _page_sql(by_rows, wanted, columns, f"{where} and {test}", parameters), parameters
            )
        if plan is QueryPlan.BOTH:
            where += AMONG.format(where=_where(replace(wanted, folded=False))[0])
        sql = _page_sql(by_words, wanted, columns, where, parameters, by_words=True)
        return await fetch_all(tx, sql, parameters)

    async def _cheapest_plan(self, tx: Transaction, wanted: HistoryFilter, parameters: dict[str, Value]) -> QueryPlan:
        """Return the plan with the lowest estimated cost.

        A plan reads its hits or rows from the newest on until enough of them match both. A filter by tasks alone is
        part of the full-text query already.
        """
        if self._database.words.are_sampled:
            return await self._sampled_plan(tx, wanted, parameters)
        if not wanted.restricts_rows:
            return QueryPlan.WORDS
        dated = wanted.since_ms is not None or wanted.until_ms is not None
        where, _ = _where(replace(wanted, folded=False))
        hits = await self._number(tx, COUNT_HITS, {"words": parameters["words"], "most": MOST_HITS})
        rows = await self._number(tx, COUNT.format(where=where), {**parameters, "limit": MOST_ROWS})
        whole = await self._number(tx, LAST_SEQ, {})
        if not hits or not rows:
            return QueryPlan.WORDS
        needed = min(whole, int(str(parameters["limit"])))
        all_hits = whole if hits >= MOST_HITS else hits
        checked_hits = all_hits if dated else min(all_hits, needed * whole / rows)
        costs = {
            QueryPlan.WORDS: HIT_COST * checked_hits,
            QueryPlan.ROWS: ROW_COST * min(rows, needed * whole / hits),
            QueryPlan.BOTH: LIST_COST * (rows + checked_hits) if rows < MOST_ROWS else math.inf,
        }
        return min(costs, key=costs.__getitem__)

    async def _sampled_plan(self, tx: Transaction, wanted: HistoryFilter, parameters: dict[str, Value]) -> QueryPlan:
        """Read rows if a look at the newest of them finds enough hits, or if there are no more of them."""
        where, _ = _where(replace(wanted, folded=False))
        test, _ = self._database.words.row_test(wanted.text)
        row = await fetch_one(tx, SAMPLE.format(where=where, test=test), {**parameters, "sample": SAMPLED})
        rows, hits = (int_of(row, "n"), int_of(row, "hits")) if row else (0, 0)
        return QueryPlan.ROWS if rows < SAMPLED or hits * RARE >= rows else QueryPlan.WORDS

    @staticmethod
    async def _number(tx: Transaction, sql: str, parameters: Mapping[str, Value]) -> int:
        row = await fetch_one(tx, sql, parameters)
        return int(row["n"]) if row else 0

    async def recent(self, limit: int = 50) -> tuple[Run, ...]:
        """Return the runs that ended last, newest first, without skips and refusals."""
        return (await self._recent.read({"limit": limit})).runs

    async def keys(self, keys: Iterable[str]) -> Mapping[str, KeyStatus]:
        """Return the state of each key and how many attempts it had."""
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return {}
        names = {f"key_{number}": key for number, key in enumerate(wanted)}
        sql = SELECT_OF_KEYS.format(keys=", ".join(f":{name}" for name in names))

        async def unit(tx: Transaction) -> Mapping[str, KeyStatus]:
            runs: dict[str, list[Run]] = {key: [] for key in wanted}
            for row in await fetch_all(tx, sql, names):
                runs[row["key"]].append(run_of(row))
            return {key: _key_status(each) for key, each in runs.items()}

        return await self._database.read(unit)

    async def around(self, task: str, day: str) -> tuple[Run | None, Run | None]:
        """Return the task's last run before the caps day `day`, and its first one on that day or after it."""

        async def unit(tx: Transaction) -> tuple[Run | None, Run | None]:
            before = await fetch_one(tx, SELECT_BEFORE, {"task": task, "day": day})
            after = await fetch_one(tx, SELECT_FROM, {"task": task, "day": day})
            return (run_of(before) if before else None), (run_of(after) if after else None)

        return await self._database.read(unit)

    async def typical(self, task: str) -> TypicalUsage | None:
        """Return median and 95th percentile over the newest TYPICAL_OF runs that ended ok; None if there are none."""

        async def unit(tx: Transaction) -> TypicalUsage | None:
            rows = await fetch_all(tx, SELECT_TYPICAL, {"task": task, "limit": TYPICAL_OF})
            units, times = [int_of(row, "used") for row in rows], [int_of(row, "elapsed_ms") for row in rows]
            if not rows:
                return None
            return TypicalUsage(
                runs=len(rows),
                median_units=int(statistics.median(units)),
                p95_units=p95(units),
                p95_ms=p95(times),
            )

        return await self._database.read(unit)


def p95(values: list[int]) -> int:
    """Return the 95th percentile: the smallest of `values` that at least 95 % of them do not exceed."""
    return sorted(values)[-(-len(values) * 95 // 100) - 1]


def _key_status(runs: list[Run]) -> KeyStatus:
    holder = blocking_run(runs)
    state = KeyState.HELD
    if holder is None or holder.outcome is Outcome.OK:
        state = KeyState.DONE if holder else KeyState.FREE
    return KeyStatus(state=state, attempts=max((run.attempt for run in runs), default=0), holder=holder)


def _page_sql(
    form: str,
    wanted: HistoryFilter,
    columns: str,
    where: str,
    parameters: Mapping[str, Value],
    *,
    by_words: bool = False,
) -> str:
    """Return the statement of the form, in the order that is wanted and after the cursor of the parameters.

    By words entries are in the order of their claims, which is that of the index.
    """
    after, direction = (">", "asc") if wanted.ascends else ("<", "desc")
    is_sorted = form is SELECT_SORTED
    place = PLACES[wanted.order]
    newest = "runs_text.rowid" if by_words else f"{PLACES[HistoryOrder.CREATED]} desc, runs.seq"
    beyond = f"(place, seq) {after} (:after_place, :after_seq)" if is_sorted else ""
    if not is_sorted:
        beyond = f"({place}, runs.seq) {after} (:after_place, :after_seq)"
        if by_words:
            beyond = f"runs_text.rowid {after} :after_seq"
        where += f" and {beyond}" if "after_place" in parameters else ""
    elif by_words:
        where = f"runs_text match :words and {where}"
    return form.format(
        columns=columns.format(place="chosen.place" if is_sorted else place),
        place=place,
        source=BY_WORDS if by_words else "runs",
        where=where,
        newest=f"{newest} desc",
        most=MOST_SORTED,
        after=beyond if "after_place" in parameters else "true",
        order=f"runs_text.rowid {direction}" if by_words else f"{place} {direction}, runs.seq {direction}",
        direction=direction,
    )


PROVIDER = f"""(case when json_valid(runs.fingerprint)
    then coalesce(json_extract(runs.fingerprint, '$.provider'), '{DEFAULT_PROVIDER}') end)"""
"""The provider of a row, which its fingerprint names unless it is the default; null where the text is damaged."""

HOST = "'' /* the host of the run */"
"""The host of a row. A database of several hosts has a column for it."""


def _where(wanted: HistoryFilter, prefix: str = "") -> tuple[str, dict[str, Value]]:
    """Return the condition as SQL and its parameters, whose names begin with `prefix`.

    The SQL holds names from this program only.
    """
    clauses = ["true"] if wanted.open_too else ["runs.state = 'ended'"]
    parameters: dict[str, Value] = {}
    lists: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("task", wanted.tasks),
        ("outcome", tuple(outcome.value for outcome in wanted.outcomes)),
        ("origin", tuple(origin.value for origin in wanted.origins)),
        ("stage", tuple(stage.label for stage in wanted.stages)),
        ("target", wanted.targets),
    )
    narrowest = next((column for column, values in lists if values), "")
    for column, values in lists:
        if values:
            names = [f"{prefix}{column}_{number}" for number in range(len(values))]
            # The planner has no statistics and guesses; the plus keeps it on the index of the narrowest column.
            kept = "" if column == narrowest or (narrowest, column) == ("task", "outcome") else "+"
            clauses.append(f"{kept}runs.{column} in ({', '.join(f':{name}' for name in names)})")
            parameters |= dict(zip(names, values, strict=True))
    for expression, word, values in ((PROVIDER, "provider", wanted.providers), (HOST, "host", wanted.hosts)):
        among = {f"{prefix}{word}_{number}": value for number, value in enumerate(values)}
        if among:
            clauses.append(f"{expression} in ({', '.join(f':{name}' for name in among)})")
            parameters |= among
    begun = {f"{prefix}key_{number}": key for number, key in enumerate(wanted.keys)}
    if begun:
        clauses.append(
            "(" + " or ".join(f"substr(runs.key, 1, length(cast(:{name} as text))) = :{name}" for name in begun) + ")"
        )
        parameters |= begun
    for column, bounds in (("cost_micro", wanted.costs), ("used", wanted.used)):
        for number, bound in enumerate(bounds):
            sign = (">" if bound.least else "<") + ("=" if bound.inclusive else "")
            clauses.append(f"runs.{column} {sign} :{prefix}{column}_{number}")
            parameters[f"{prefix}{column}_{number}"] = bound.value
    for name, sign, instant in (("since_ms", ">=", wanted.since_ms), ("until_ms", "<", wanted.until_ms)):
        if instant is not None:
            clauses.append(f"runs.created_ms {sign} :{prefix}{name}")
            parameters[f"{prefix}{name}"] = instant
    for number, excluded in enumerate(wanted.without):
        condition, more = _where(excluded, f"{prefix}without_{number}_")
        # A column without a value makes a condition neither true nor false.
        clauses.append(f"not coalesce({condition}, false)")
        parameters |= more
    if wanted.folded:
        clauses.append(NEWEST_OF_KEY)
    return " and ".join(clauses), parameters
