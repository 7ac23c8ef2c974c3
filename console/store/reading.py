"""Looking runs up: one, the open ones, those of a key, and what happened to each."""

from __future__ import annotations

import json
import re

from console.domain.key import is_key
from console.domain.run import Run, RunId
from console.store.database import Database, Transaction
from console.store.peek import SELECT_OPEN
from console.store.rows import EventRow, StepRow, Value
from console.store.run_row import run_of
from console.store.statements import current, every

MOST_FOUND = 20
"""A prefix that fits more runs than this is of no use to anybody."""

SELECT_BY_KEY = "select * from runs where key = :key and attempt > 0 order by seq"
SELECT_BY_PREFIX = "select * from runs where id >= :prefix and id < :prefix || '~' order by id limit :limit"
SELECT_EVENTS = "select id, at_ms, kind, detail from events where run_id = :id order by id"
SELECT_STEPS = "select n, kind, text, at_ms, units, done from steps where run_id = :id order by n"

_PREFIX = re.compile(r"[0-9a-hjkmnp-tv-z]{4,26}\Z", re.ASCII)


class Reading:
    """The part of `Runs` that changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, run_id: RunId) -> Run | None:
        """The run of that id; None where there is none."""
        return await self._database.read(lambda tx: current(tx, run_id))

    async def open_runs(self) -> tuple[Run, ...]:
        """All that are not ended, oldest first."""
        return await self._runs(SELECT_OPEN, {})

    async def by_key(self, key: str) -> tuple[Run, ...]:
        """The runs of a key, oldest first; its skips and refusals left out."""
        return await self._runs(SELECT_BY_KEY, {"key": key})

    async def find(self, text: str) -> tuple[Run, ...]:
        """The run of an id, those of a prefix of one (4 characters or more, at most MOST_FOUND), or those of a key."""
        wanted = text.strip().lower()
        if is_key(wanted) and (found := await self.by_key(wanted)):
            return found
        if not _PREFIX.match(wanted):
            return ()
        return await self._runs(SELECT_BY_PREFIX, {"prefix": wanted, "limit": MOST_FOUND})

    async def timeline(self, run_id: RunId) -> tuple[EventRow, ...]:
        """What happened to the run, oldest first."""

        async def unit(tx: Transaction) -> tuple[EventRow, ...]:
            rows = await every(tx, SELECT_EVENTS, {"id": run_id})
            return tuple(
                EventRow(id=row["id"], at_ms=row["at_ms"], kind=row["kind"], detail=json.loads(row["detail"]))
                for row in rows
            )

        return await self._database.read(unit)

    async def steps(self, run_id: RunId) -> tuple[StepRow, ...]:
        """The steps that were seen, in their order."""

        async def unit(tx: Transaction) -> tuple[StepRow, ...]:
            rows = await every(tx, SELECT_STEPS, {"id": run_id})
            return tuple(
                StepRow(
                    index=row["n"],
                    kind=row["kind"],
                    text=row["text"],
                    at_ms=row["at_ms"],
                    units=row["units"],
                    done=bool(row["done"]),
                )
                for row in rows
            )

        return await self._database.read(unit)

    async def _runs(self, sql: str, parameters: dict[str, Value]) -> tuple[Run, ...]:
        async def unit(tx: Transaction) -> tuple[Run, ...]:
            return tuple(run_of(row) for row in await every(tx, sql, parameters))

        return await self._database.read(unit)
