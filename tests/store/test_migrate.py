"""A step is whole or it never was; the newest schema is reached from empty; nothing goes backwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from console.store.errors import StoreNewer
from console.store.migrate import Migration, check_version, migrate, packaged_migrations, statements, version_of

ONE = Migration(number=1, name="001_a.sql", script="-- why\ncreate table a (n integer);\ninsert into a values (1);\n")
TWO = Migration(number=2, name="002_b.sql", script="alter table a add column m integer;\n")
BROKEN = Migration(number=2, name="002_b.sql", script="create table b (n integer);\ninsert into a values ('x', 'y');\n")


@pytest.fixture
def empty() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("select name, sql from sqlite_schema order by name").fetchall()


def test_empty_becomes_the_newest(empty: sqlite3.Connection) -> None:
    steps = packaged_migrations()
    assert migrate(empty, steps) == len(steps)
    assert version_of(empty) == len(steps)
    assert {"runs", "sends", "holds", "events", "stage_changes"} <= {name for name, _ in _schema(empty)}
    assert empty.execute("pragma integrity_check").fetchone() == ("ok",)
    assert migrate(empty, steps) == 0


def test_step_by_step_ends_where_all_at_once_does(empty: sqlite3.Connection) -> None:
    steps = packaged_migrations()
    for reached in range(1, len(steps) + 1):
        assert migrate(empty, steps[:reached]) == 1
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh, steps)
        assert _schema(empty) == _schema(fresh)


def test_the_packaged_steps_are_numbered_and_say_why() -> None:
    for number, step in enumerate(packaged_migrations(), start=1):
        assert step.number == number
        assert step.script.startswith("-- ")


def test_a_step_that_fails_leaves_nothing_and_the_next_try_goes_on(empty: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError):
        migrate(empty, [ONE, BROKEN])
    assert version_of(empty) == 1
    assert not empty.in_transaction
    assert [name for name, _ in _schema(empty)] == ["a"]
    assert migrate(empty, [ONE, TWO]) == 1
    assert empty.execute("select n, m from a").fetchall() == [(1, None)]


def test_two_that_migrate_at_once_do_each_step_once(tmp_path: Path) -> None:
    """The second one has read version 0 before the first began."""
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as first:
        with closing(sqlite3.connect(path, isolation_level=None)) as second:
            assert version_of(second) == 0
            assert migrate(first, [ONE]) == 1
            assert migrate(second, [ONE, TWO]) == 1
        assert first.execute("select count(*) from a").fetchone() == (1,)


def test_a_newer_database_is_left_alone(empty: sqlite3.Connection) -> None:
    migrate(empty, [ONE, TWO])
    with pytest.raises(StoreNewer, match="version 2, this program knows versions up to 1"):
        migrate(empty, [ONE])
    check_version(2, 2)


def test_statements_are_cut_where_they_end() -> None:
    script = "-- a; b\ncreate table t (x text default ';');\n\ncreate trigger g after insert on t begin\n"
    script += "    select 1;\n    select ';';\nend;\n-- the end\n"
    first, second = statements(script)
    assert "default ';'" in first
    assert second.strip().endswith("end;")
    with pytest.raises(ValueError, match="within a statement"):
        list(statements("select 1;\nselect 2"))
