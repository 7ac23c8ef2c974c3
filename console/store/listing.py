"""Runs a query for runs again and again at little cost: what did not change is neither fetched nor converted again.

A process lists the open runs every second, and each row has some seventy columns; with a thousand open runs, fetching
and converting all of them each time would take a tenth of the processor. SQLite compares them at a third of that: it
writes each row as one text, and only those whose text is another one are fetched.

A module of its own because both the runs and the history list rows this way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from console.domain.run import Run
from console.store.errors import StoreBusy, StoreDamaged, StoreError, translate_sqlite_errors
from console.store.rows import RunListing, UnreadableRun, fetch_all, list_runs, readable_runs
from console.store.transaction import Database, Transaction, Value

SELECT_COLUMNS = "select name from pragma_table_info('runs') order by cid"
SELECT_SOME = "select runs.* from runs where seq in (select value from json_each(:numbers))"


class RepeatedListing:
    """The result of one query that begins with `select runs.*`, as of its last call. Raises StoreError."""

    def __init__(self, database: Database, sql: str) -> None:
        self._database = database
        self._sql = sql
        self._text_sql: str | None = None
        """The query for `seq` and the text of each row."""
        self._last: tuple[int, Mapping[str, Value], RunListing] | None = None
        """The version of the database at the last call, the parameters of that call, and its result."""
        self._known: dict[int, tuple[str, Run | UnreadableRun]] = {}
        """By row number: the text of a row, and what was made of it."""

    async def read(self, parameters: Mapping[str, Value] | None = None) -> RunListing:
        """Run the query. Runs of rows that are unchanged since the last call are the same objects."""
        bound = parameters or {}

        async def unit(tx: Transaction) -> RunListing:
            version = await self._database.version(tx)
            if version is None:
                return await list_runs(tx, self._sql, bound)
            if self._last is not None and self._last[:2] == (version, bound):
                return self._last[2]
            try:
                with translate_sqlite_errors():
                    listing = await self._changed(tx, bound)
            except StoreBusy:
                raise
            except StoreError:
                # A row that cannot be written as a text: a part of it cannot be read, or it holds bytes.
                listing = await list_runs(tx, self._sql, bound)
            self._last = (version, bound, listing)
            return listing

        return await self._database.read(unit)

    async def _changed(self, tx: Transaction, bound: Mapping[str, Value]) -> RunListing:
        """Fetch what differs from the last call. Raises StoreError for a row that cannot be written as a text."""
        if self._text_sql is None:
            # As JSON, 1, 1.0 and '1' differ: a damaged row may hold one in the place of another.
            names = ", ".join(f"runs.{row['name']}" for row in await fetch_all(tx, SELECT_COLUMNS, {}))
            self._text_sql = self._sql.replace("runs.*", f"runs.seq, json_array({names}) as content", 1)
        texts = [(int(row["seq"]), str(row["content"])) for row in await fetch_all(tx, self._text_sql, bound)]
        known, missing = self._known, (0, None)
        changed = [seq for seq, text in texts if known.get(seq, missing)[0] != text]
        found = await self._fetched(tx, changed)
        self._known = {seq: (text, found[seq] if seq in found else known[seq][1]) for seq, text in texts}
        made = [self._known[seq][1] for seq, _ in texts]
        return RunListing(
            runs=tuple(each for each in made if isinstance(each, Run)),
            unreadable=tuple(each for each in made if isinstance(each, UnreadableRun)),
        )

    async def _fetched(self, tx: Transaction, numbers: list[int]) -> dict[int, Run | UnreadableRun]:
        if not numbers:
            return {}
        rows = await fetch_all(tx, SELECT_SOME, {"numbers": json.dumps(numbers)})
        if len(rows) != len(numbers):
            raise StoreDamaged("the index of the runs names rows that are not there")
        found: dict[int, Run | UnreadableRun] = {}
        for row in rows:
            one = await readable_runs(tx, [row])
            found[int(row["seq"])] = one.runs[0] if one.runs else one.unreadable[0]
        return found
