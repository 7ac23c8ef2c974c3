"""The statements of the store as PostgreSQL and psycopg want them: placeholders, no index hints, words as vectors.

Kept apart because it needs no connection: a test reads all statements of the store through it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from console.store.audit import SELECT_ACTS
from console.store.claims import SCAN_KEY
from console.store.events import SELECT_AFTER
from console.store.history import HOST
from console.store.postgres.words import vector_of
from console.store.rows import INDEX_TEXT, LOCK_RUN, UNINDEX_TEXT
from console.store.transaction import Columns

SELECT_TIMELINE = "select left(pg_walfile_name(pg_current_wal_lsn()), 8) as timeline"
"""The history of the server since its last failover, which only PostgreSQL has: eight digits."""

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)", re.ASCII)
_INDEX_HINT = re.compile(r"\b(?:not indexed|indexed by \w+)\b")
_MATCH = re.compile(r"\bruns_text match (:\w+)", re.ASCII)
_UNARY_PLUS = re.compile(r"(?<=[\s(])\+(?=[a-z_])")

REPLACED: Mapping[str, str] = {
    INDEX_TEXT: """
        insert into runs_words (seq, words) values (:seq, cast(:words as tsvector))
        on conflict (seq) do update set words = excluded.words
    """,
    # The log and the audit of a fleet name the host of each line.
    SELECT_AFTER: SELECT_AFTER.replace("ev, record", "ev, record, host"),
    # Only a fleet has a policy, and an index that lists its changes.
    SELECT_ACTS: SELECT_ACTS.replace("'sums_recounted'", "'sums_recounted', 'policy'").replace(
        "record, runs.task", "record, events.host, runs.task"
    ),
    LOCK_RUN: f"{LOCK_RUN} for no key update",
    # The row is replaced when the run is indexed again.
    UNINDEX_TEXT: "select 1 where false",
    # PostgreSQL checks its pages and its index against each other by other means (`amcheck`).
    SCAN_KEY: "select seq from runs where key = :key and attempt > 0",
}
"""Statements that SQLite needs in another form."""


def translated(sql: str, named: Columns) -> tuple[str, Columns | None]:
    """Return the statement for psycopg, whose parameters are `%(name)s`, and its parameters; None for none."""
    if sql == INDEX_TEXT:
        named = {"seq": named["seq"], "words": vector_of(named)}
    return _statement(sql), named or None


FROM_HITS = "runs_text cross join runs on runs.seq = runs_text.rowid"
HITS_FIRST = """(
    select seq from runs_words where words @@ cast(:words as tsquery) offset 0
) as runs_words join runs on runs.seq = runs_words.seq"""
"""The planner knows nothing of prefixes: it is kept from reading all rows in order instead of the hits."""


@lru_cache(maxsize=1024)
def _statement(sql: str) -> str:
    text = REPLACED.get(sql, sql).replace("%", "%%").replace(HOST, "runs.host")
    if FROM_HITS in text:
        text = text.replace(FROM_HITS, HITS_FIRST).replace("runs_text match :words", "true")
    text = _MATCH.sub(r"runs_words.words @@ cast(\1 as tsquery)", text)
    text = text.replace("runs_text.rowid", "runs_words.seq").replace("runs_text", "runs_words")
    text = _UNARY_PLUS.sub("", _INDEX_HINT.sub("", text))
    return _PARAMETER.sub(r"%(\1)s", text)
