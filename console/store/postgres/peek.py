"""Reads the open runs of several hosts without an event loop: for `ps --json`, which scripts call every few seconds,
and for `doctor`.

Kept apart because only it needs neither units of work nor a schema of this version.
"""

from __future__ import annotations

from psycopg import sql
from psycopg.rows import dict_row

from console.store.errors import StoreDamaged
from console.store.fleet_settings import FleetSettings
from console.store.policy import SELECT_POLICY, StoredPolicy, policy_of_rows
from console.store.postgres.administration import connected
from console.store.rows import RunListing, UnreadableRun, run_of

SELECT_OPEN = "select * from {}.runs where state <> 'ended' order by seq"
SELECT_LAST_EV = "select coalesce(max(ev), 0) as ev from {}.events"


def open_runs_of_fleet(settings: FleetSettings) -> RunListing:
    """Return the runs of all hosts that have not ended, oldest first, and apart the rows that cannot be read.

    Raises StoreError.
    """
    runs, unreadable = [], []
    with connected(settings) as connection, connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(sql.SQL(SELECT_OPEN).format(sql.Identifier(settings.schema))):
            try:
                runs.append(run_of(row))
            except StoreDamaged as error:
                unreadable.append(UnreadableRun(seq=row["seq"], why=str(error)))
    return RunListing(runs=tuple(runs), unreadable=tuple(unreadable))


def policy_of_fleet(settings: FleetSettings) -> StoredPolicy | None:
    """Return by what the fleet judges launches; None before its first launch. Raises StoreError."""
    with connected(settings) as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(sql.SQL("set search_path = {}").format(sql.Identifier(settings.schema)))
        return policy_of_rows(cursor.execute(SELECT_POLICY.encode()).fetchall())


def last_ev_of_fleet(settings: FleetSettings) -> int:
    """Return the number of the newest line of the log; 0 if there is none. Raises StoreError."""
    with connected(settings) as connection:
        row = connection.execute(sql.SQL(SELECT_LAST_EV).format(sql.Identifier(settings.schema))).fetchone()
    return int(row[0]) if row else 0
