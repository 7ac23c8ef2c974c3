"""What a unit of work may ask of its database: statements with named parameters, and their rows.

Statements are written as the SQL standard has it, so that they do not depend on the database: names that it reserves
are quoted, subqueries have names, a parameter that may be null is cast, and integers are cast to `bigint`. Only index
hints, JSON and the full-text index (`full_text`) are those of SQLite.

Kept apart because `rows` needs it without the threads of the database: a command that only lists runs starts quickly.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping
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
