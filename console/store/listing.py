"""Runs a query for runs again and again at little cost: what did not change is neither read nor converted again.

A process lists the open runs every second, and each row has some sixty columns; with a thousand open runs, converting
all of them each time would take a tenth of the processor.

A module of its own because both the runs and the history list rows this way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from console.domain.run import Run
from console.store.rows import RunListing, list_runs, run_of
from console.store.transaction import Database, Row, Transaction, Value


class RepeatedListing:
    """The result of one query that begins with `select runs.*`, as of its last call. Raises StoreError."""

    def __init__(self, database: Database, sql: str) -> None:
        self._database = database
        self._sql = sql
        self._last: tuple[int, Mapping[str, Value], RunListing] | None = None
        """The version of the database at the last call, the parameters of that call, and its result."""
        self._rows: dict[int, tuple[tuple[Value, ...], tuple[type, ...], Run]] = {}
        """By row number: the values of a row, their types, and the run made of them."""

    async def read(self, parameters: Mapping[str, Value] | None = None) -> RunListing:
        """Run the query. Runs of rows that are unchanged since the last call are the same objects."""
        bound = parameters or {}

        async def unit(tx: Transaction) -> RunListing:
            version = await self._database.version(tx)
            if self._last is not None and version is not None and self._last[:2] == (version, bound):
                return self._last[2]
            before, self._rows = self._rows, {}
            listing = await list_runs(tx, self._sql, bound, lambda row: self._run_of(row, before))
            self._last = None if version is None else (version, bound, listing)
            return listing

        return await self._database.read(unit)

    def _run_of(self, row: Row, before: Mapping[int, tuple[tuple[Value, ...], tuple[type, ...], Run]]) -> Run:
        if not isinstance(row, sqlite3.Row):
            return run_of(row)
        # The types belong to it: a damaged row may hold 1.0 in place of 1, which is equal.
        values = tuple(row)
        types = tuple(map(type, values))
        seq = row["seq"]
        known = before.get(seq)
        run = known[2] if known is not None and known[:2] == (values, types) else run_of(row)
        self._rows[seq] = (values, types, run)
        return run
