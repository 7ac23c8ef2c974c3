"""Reads a whole database and prints what is wrong with it, as a JSON list of lines. Run by path, in its own process.

Standard library only and no import of ours: it runs isolated, and must not be kept from its work by what it checks.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing

MOST = 20
"""Lines of trouble that are told."""


def problems_of(uri: str) -> list[str]:
    """What the two checks found. A flipped byte may also raise UnicodeDecodeError, which is no error of SQLite's."""
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30.0)) as connection:
            connection.execute("pragma query_only = on")
            connection.execute("pragma cell_size_check = on")
            found = [str(row[0]) for row in connection.execute(f"pragma integrity_check({MOST})") if row[0] != "ok"]
            found += [f"{row[0]} row {row[1]} refers to no row of {row[2]}" for row in _orphans(connection)]
            return found[:MOST]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return [f"{type(error).__name__}: {error}"]


def _orphans(connection: sqlite3.Connection) -> list[tuple[str, int, str]]:
    return [(row[0], row[1], row[2]) for row in connection.execute("pragma foreign_key_check")]


if __name__ == "__main__":
    json.dump(problems_of(sys.argv[1]), sys.stdout)
