"""What a unit of work may ask of its database: statements with named parameters, and their rows.

Statements are written as the SQL standard has it, so that they do not depend on the database: names that it reserves
are quoted, subqueries have names, a parameter that may be null is cast, and integers are cast to `bigint`. Only index
hints, JSON and the full-text index (`full_text`) are those of SQLite.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")

Value = str | int | None
"""What a column holds."""
Columns = Mapping[str, Value]
"""Values by column name."""
Row = sqlite3.Row | Mapping[str, Any]
"""A row of a query, whose columns are read by name."""

NO_PARAMETERS: Columns = {}


class Statement(NamedTuple):
    """A statement with the values of its parameters."""

    sql: str
    """Names its parameters `:name`."""
    named: Columns = NO_PARAMETERS


class Transaction(Protocol):
    """The statements of one unit of work, which sees its own changes and is stored whole or not at all.

    A unit never begins, commits or rolls back. A method raises what the database raises for its statement; the caller
    of the unit gets that as StoreError.
    """

    async def rows(self, sql: str, named: Columns = NO_PARAMETERS, /) -> list[Row]:
        """Run a statement and return all its rows; for a write, those that it returns."""

    async def many(self, sql: str, named: Iterable[Columns], /) -> None:
        """Run a statement that returns no rows once for each of `named`."""

    async def batch(self, *statements: Statement) -> list[list[Row]]:
        """Run the statements in this order and return the rows of each; the first that fails raises.

        None of them needs the rows of another, so that a database behind a network can get all of them at once.
        """


Unit = Callable[[Transaction], Awaitable[T]]
"""A unit of work. It awaits the methods of its transaction and nothing else."""


class AllOf(Protocol):
    """Makes the query for runs in which each word of `text` begins a word; empty for a text without words.

    With `tasks` it may leave out runs of other tasks.
    """

    async def __call__(self, tx: Transaction, text: str, tasks: Sequence[str] = ()) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WordQueries:
    """How a database is asked for words. No method takes anything in a text for the query language."""

    all_of: AllOf
    any_of: Callable[[Transaction, str], Awaitable[str]]
    """Makes the query for runs in which some word of the text begins a word; empty for a text without words."""
    row_test: Callable[[str], tuple[str, Mapping[str, Value]]]
    """Makes a condition in SQL that a row of `runs` meets if `all_of` finds it, and its parameters beside `:words`."""
    are_sampled: bool
    """True where hits can be counted only by reading them, so that a sample of the rows says how many there are."""


class Database(Protocol):
    """Runs units of work, each as a whole, even if its caller is cancelled."""

    folder: Path
    """The state folder of this machine."""
    is_shared: bool
    """True where other machines use the database too, with folders of their own; False where it is a file of `folder`,
    and a copy of the folder a copy of the database."""
    words: WordQueries

    async def transaction(
        self, unit: Unit[T], *, gated: bool = True, busy_ms: int | None = None, urgent: bool = False
    ) -> T:
        """Run `unit` in a write transaction and return its result once its changes are safe.

        If `unit` raises, none of its changes are kept. If the caller is cancelled, a unit that has begun still runs
        to its end before CancelledError is raised; a later read shows whether it committed.

        A `gated` unit sees all that was committed before it, and no other gated unit runs meanwhile: it may number,
        sum up and decide. One that is not writes rows that it has locked or compared, and waits for no gated one
        where the database can do without.

        `busy_ms` is the longest time to wait for other units of this process and for locks of other processes; None
        waits for the other units without a limit, and for locks as long as the store was opened with. An `urgent`
        unit runs before all waiting units that are not. Raises StoreBusy when the time is over, other StoreErrors,
        and what `unit` raises.
        """

    async def read(self, unit: Unit[T], *, busy_ms: int | None = None) -> T:
        """Run `unit`, which only reads and returns, on one unchanging view of the database, and return its result.

        `busy_ms` is as in `transaction`. Raises StoreError, and what `unit` raises.
        """

    async def version(self, tx: Transaction) -> int | None:
        """Return a number that differs after each commit of any process, within a `read` of this process.

        None where that cannot be told.
        """

    @property
    def session(self) -> str:
        """Another text whenever a connection was made anew, behind which may be another server; empty for a file."""

    async def close(self) -> None:
        """Close the connections after the units that were asked for. Closing twice is harmless."""

    @property
    def in_transaction(self) -> bool:
        """True while a unit is running."""

    @property
    def unit_s(self) -> float:
        """For how many seconds the units that run now have been running, or waiting for a lock; the longest of them."""
