"""The statements of the store as PostgreSQL and psycopg want them: placeholders, no index hints, words as vectors.

Kept apart because it needs no connection: a test reads all statements of the store through it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from console.store.claims import SCAN_KEY
from console.store.rows import INDEX_TEXT, UNINDEX_TEXT

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)", re.ASCII)
_INDEX_HINT = re.compile(r"\b(?:not indexed|indexed by \w+)\b")
_UNARY_PLUS = re.compile(r"(?<=[\s(])\+(?=[a-z_])")

REPLACED: Mapping[str, str] = {
    INDEX_TEXT: """
        insert into runs_words (seq, words)
        values (:seq, to_tsvector('simple', concat_ws(' ', cast(:task as text), cast(:target as text),
            cast(:key as text), cast(:note as text), cast(:result as text))))
        on conflict (seq) do update set words = excluded.words
    """,
    # The row is replaced when the run is indexed again.
    UNINDEX_TEXT: "select 1 where false",
    # PostgreSQL checks its pages and its index against each other by other means (`amcheck`).
    SCAN_KEY: "select seq from runs where key = :key and attempt > 0",
}
"""Statements that SQLite needs in another form."""


@lru_cache(maxsize=1024)
def translated(sql: str) -> str:
    """Return the statement for psycopg, whose parameters are `%(name)s`."""
    text = REPLACED.get(sql, sql).replace("%", "%%")
    text = _UNARY_PLUS.sub("", _INDEX_HINT.sub("", text))
    return _PARAMETER.sub(r"%(\1)s", text)
