"""Brings a database to the schema of this program: step by step, each whole or not at all, and never backwards."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.store.errors import StoreNewer

MIGRATIONS = Path(__file__).with_name("migrations")
_NAME = re.compile(r"(\d{3})_[a-z0-9_]+\.sql\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step: what makes version `number` out of the one before it."""

    number: int
    name: str
    script: str


def packaged_migrations() -> tuple[Migration, ...]:
    """The steps that come with the program, in order. Raises ValueError where a number is missing or doubled."""
    steps = []
    for entry in MIGRATIONS.iterdir():
        if match := _NAME.match(entry.name):
            steps.append(Migration(number=int(match[1]), name=entry.name, script=entry.read_text(encoding="utf-8")))
    steps.sort(key=lambda step: step.number)
    if [step.number for step in steps] != list(range(1, len(steps) + 1)):
        raise ValueError(f"migrations are not numbered 1 to {len(steps)}: {[step.name for step in steps]}")
    return tuple(steps)


def version_of(connection: sqlite3.Connection) -> int:
    """The `user_version` of the database; 0 where nothing was made yet."""
    (version,) = connection.execute("pragma user_version").fetchone()
    return int(version)


def check_version(version: int, latest: int) -> None:
    """Raises StoreNewer where a newer program has made the database."""
    if version > latest:
        raise StoreNewer(
            f"the state store is of version {version}, this program knows versions up to {latest}; use the newer one"
        )


def migrate(connection: sqlite3.Connection, steps: Sequence[Migration]) -> int:
    """Runs the steps that are missing; gives how many. One IMMEDIATE transaction per step.

    `connection` has `isolation_level=None`. Another process may migrate at the same time: each step looks again at
    the version inside its transaction. Raises StoreNewer, sqlite3.Error.
    """
    check_version(version_of(connection), len(steps))
    done = 0
    for step in steps:
        connection.execute("begin immediate")
        try:
            if version_of(connection) == step.number - 1:
                for statement in statements(step.script):
                    connection.execute(statement)
                connection.execute(f"pragma user_version = {step.number:d}")
                done += 1
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
    return done


def statements(script: str) -> Iterator[str]:
    """The statements of a script, triggers with their inner semicolons whole.

    Not `executescript`: that commits what is open before it starts, and half a step could stay.
    """
    buffer: list[str] = []
    for line in script.splitlines(keepends=True):
        buffer.append(line)
        text = "".join(buffer)
        if line.rstrip().endswith(";") and sqlite3.complete_statement(text):
            yield text
            buffer.clear()
    if any(line.strip() and not line.strip().startswith("--") for line in buffer):
        raise ValueError("the script ends within a statement")
