"""What tells whether the database of several hosts still holds all that it has acknowledged.

After the promotion of a standby that lagged, and after a backup was put back, launches are missing that were sent. The
server gets another timeline by a failover; what is lost then only the files of the hosts know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from console.domain.log_record import LogRecord
from console.domain.run import Run, RunId, State
from console.domain.task import canonical_json
from console.domain.timestamps import Timestamp
from console.store.controls import SELECT_META, UPSERT_META
from console.store.errors import StoreRefused
from console.store.events import LogRecords
from console.store.identity import CHUNK, AcceptedLoss, load_accepted_loss
from console.store.ledger import hold_statement
from console.store.postgres.leases import SELECT_NOW
from console.store.postgres.statements import SELECT_TIMELINE
from console.store.rows import (
    compare_and_set,
    fetch_all,
    fetch_batch,
    index_statement,
    insert_statement,
    int_of,
    load_run,
    new_run_columns,
    run_of,
    text_of,
    timestamp_columns,
)
from console.store.transaction import Columns, Database, Statement, Transaction
from console.store.transitions import INSERT_SEND, mark_unconfirmed

TIMELINE = "timeline"
"""Name in the table `meta` under which the timeline of the server stands as JSON, and since when."""
COUNT_SENDS = "select run_id, count(*) as sends from sends where run_id in ({ids}) group by run_id"
INSERT_NOT_SENT = """
    insert into sends (run_id, n, fence, verdict, at_ms, decided_ms, why)
    values (
        :id, (select coalesce(max(n), 0) + 1 from sends where run_id = :id), :fence, 'not_sent', :at_ms, :at_ms,
        'known from the journal'
    )
"""
WHY = "the database lost it after it was sent; it was put back from the journal"


class FleetHistory:
    """Compares the database with the files of a host, and puts back what it lost. Methods raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def session(self) -> str:
        """Another text after each new connection: behind it may be another server."""
        return self._database.session

    async def observe_failover(self) -> int:
        """Return when the server failed over last, UTC ms by its clock: when the first process met its timeline.

        0 for the timeline on which the store was made. The first process that meets another one stores it.
        """

        async def unit(tx: Transaction) -> int:
            (server,), stored, (clock,) = await fetch_batch(
                tx, Statement(SELECT_TIMELINE), Statement(SELECT_META, {"name": TIMELINE}), Statement(SELECT_NOW)
            )
            timeline, now_ms = text_of(server, "timeline"), int_of(clock, "now_ms")
            known = json.loads(text_of(stored[0], "value")) if stored else None
            if known is not None and known["timeline"] == timeline:
                return int(known["since_ms"])
            since_ms = 0 if known is None else now_ms
            value = canonical_json({"timeline": timeline, "since_ms": since_ms})
            await fetch_all(tx, UPSERT_META, {"name": TIMELINE, "value": value})
            return since_ms

        return await self._database.transaction(unit)

    async def accepted(self) -> AcceptedLoss:
        """Return the history that a person has given up."""
        return await self._database.read(load_accepted_loss)

    async def unknown_lines(self, lines: Sequence[LogRecord]) -> tuple[LogRecord, ...]:
        """Return those of `lines`, in order of their numbers, that are of no record of the store."""
        if not lines:
            return ()
        first, last = min(line.ev for line in lines), max(line.ev for line in lines)
        stored = await LogRecords(self._database).after(first - 1, last - first + 1)
        written = {_identity_of(record) for record in stored}
        return tuple(sorted((line for line in lines if _identity_of(line) not in written), key=lambda line: line.ev))

    async def unknown_sends(self, sends: Mapping[RunId, int]) -> tuple[RunId, ...]:
        """Return those runs of which the store knows fewer sends than `sends` tells, in order."""

        async def unit(tx: Transaction) -> tuple[RunId, ...]:
            wanted, known = sorted(sends), dict[str, int]()
            for first in range(0, len(wanted), CHUNK):
                names = {f"id_{number}": run_id for number, run_id in enumerate(wanted[first : first + CHUNK])}
                rows = await fetch_all(tx, COUNT_SENDS.format(ids=", ".join(f":{name}" for name in names)), names)
                known.update((text_of(row, "run_id"), int_of(row, "sends")) for row in rows)
            return tuple(run_id for run_id in wanted if known.get(run_id, 0) < sends[run_id])

        return await self._database.read(unit)

    async def reclaim(self, run_id: RunId, row: str, sends: int, now: Timestamp) -> Run:
        """Put a launch back as `unconfirmed`, with its key and its hold; `row` is that of `sent_row`.

        `sends` is how often it was about to be sent. Any process may supervise it. Raises KeyTaken where another run
        has the key now, StoreRefused where it cannot be put back for another reason.
        """

        async def unit(tx: Transaction) -> Run:
            columns: Columns = json.loads(row)
            run = await load_run(tx, run_id)
            if run is None:
                ((stored,),) = await fetch_batch(tx, insert_statement({**columns, "owner": None}))
                sending = run_of(stored)
                await fetch_batch(tx, index_statement(stored), hold_statement(sending, now.wall_ms))
            elif run.state is State.CLAIMED:
                sent: Columns = {name: columns[name] for name in columns if name.startswith("sent_")}
                again: Columns = {**sent, "deadline_ms": columns["deadline_ms"], "owner": None, "fence": run.fence + 1}
                sending = await compare_and_set(tx, run, again, to=State.SENDING)
            else:
                raise StoreRefused(f"run {run_id} is {run.state.value} in the database: look for it at the service")
            counted = await fetch_all(tx, COUNT_SENDS.format(ids=":id"), {"id": run_id})
            known = int_of(counted[0], "sends") if counted else 0
            columns_of_send: Columns = {"id": run_id, "fence": sending.fence, "at_ms": now.wall_ms}
            for _ in range(known, sends - 1):
                await fetch_all(tx, INSERT_NOT_SENT, columns_of_send)
            await fetch_all(tx, INSERT_SEND, columns_of_send)
            return await mark_unconfirmed(tx, sending, WHY, now)

        return await self._database.transaction(unit)


def sent_row(run: Run) -> str:
    """Return the row of a run in `sending` as JSON, for the journal."""
    return canonical_json({**new_run_columns(run), **timestamp_columns("sent", run.sent)})


def _identity_of(record: LogRecord) -> tuple[int, int, str, str, str | None]:
    return record.ev, record.at_ms, record.key, record.status, record.fields.get("run")
