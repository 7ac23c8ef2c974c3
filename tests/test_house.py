"""The rules of the house that a reader would otherwise have to enforce: sizes, words, doors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tree import CONSOLE, ROOT, modules, parsed, place, tracked_files

WAIT_FOR_LOCKS = {"console/journal/runs_log.py", "console/store/files.py", "console/store/integrity_probe.py"}
"""Bounded waits for a lock, or without one, in functions that are not for an event loop."""


def test_every_module_starts_with_the_sentence_that_would_be_missed() -> None:
    assert not [place(path) for path in modules("console", "tests") if not ast.get_docstring(parsed(path))]


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in modules("console", "tests")}
    assert not [place(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()]


def test_the_program_has_no_loose_ends_and_sleeps_only_for_a_lock() -> None:
    loose = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert not list(_matches(loose, modules("console")))
    sleeping = {match.split(":")[0] for match in _matches(re.compile(r"\btime\.sleep\("), modules("console"))}
    assert sleeping <= WAIT_FOR_LOCKS


def test_only_a_module_that_passes_names_on_lists_them() -> None:
    """An `__all__` elsewhere is a second list of what the underscores say already."""
    idle = []
    for path in modules("console"):
        tree = parsed(path)
        imported = {
            name.asname or name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names
        }
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                idle += [] if imported & set(ast.literal_eval(node.value)) else [place(path, node.lineno)]
    assert not idle


def _matches(pattern: re.Pattern[str], paths: tuple[Path, ...]) -> Iterator[str]:
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for match in pattern.finditer(text):
            yield f"{place(path, text.count(chr(10), 0, match.start()) + 1)} {match[0]!r}"


def test_no_file_knows_the_machine_it_was_made_on() -> None:
    folders = "|".join(("work", "root", "tmp/plan"))
    hosts = "|".join(name.replace(" ", r"\.") for name in ("pypi org", "pythonhosted org", "npmjs org", "debian org"))
    tickets = r"(?i:see|fix(?:es|ed)?|closes?|for) issue #?\d"
    pattern = re.compile(rf"(?<![\w.~*/-])/(?:{folders})/|\b(?:{hosts}|{tickets})\b")
    found = list(_matches(pattern, tracked_files()))
    assert not found, "\n".join(found)


def test_no_check_is_switched_off_without_a_reason() -> None:
    """A reason stands behind the mark on its line, or in a comment on the line above."""
    marks = re.compile(r"#\s*(type:\s*ignore|noqa|pragma:\s*no cover)(\[[^\]]*\]|:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?")
    bare = []
    for path in modules("console", "tests", "benchmarks", "screenshots"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            mark = marks.search(line)
            if mark and not line[mark.end() :].strip(" #-:") and not lines[number - 1].strip().startswith("#"):
                bare.append(place(path, number + 1))
    assert not bare, "\n".join(bare)


SQL = re.compile(
    r"\s*(select\s.+\sfrom\s|insert\s+(or\s+\w+\s+)?into\s|update\s+\w+\s+set\s|delete\s+from\s|pragma\s+\w|"
    r"create\s+(table|index|unique|trigger|view|virtual)\s|alter\s+table\s|begin\s+(immediate|exclusive)|vacuum\s+into)",
    re.IGNORECASE | re.DOTALL,
)


def _texts(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Every text that is not a docstring; an f-string with a mark where a value goes in."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | parts:
            yield node, node.value
        if isinstance(node, ast.JoinedStr):
            yield node, "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values)


def test_sql_stands_only_in_the_store() -> None:
    outside = [path for path in modules("console") if not path.is_relative_to(CONSOLE / "store")]
    found = [(path, node) for path in outside for node, text in _texts(parsed(path)) if SQL.match(text)]
    assert not [place(path, node.lineno) for path, node in found]


def test_sql_is_put_together_in_one_place() -> None:
    """Values are parameters. Only a pragma takes none, and one module builds statements from names of columns."""
    built = CONSOLE / "store" / "statements.py"
    pasted = [
        place(path, node.lineno)
        for path in modules("console")
        for node, text in _texts(parsed(path))
        if isinstance(node, ast.JoinedStr) and SQL.match(text) and path != built and not text.startswith("pragma ")
    ]
    assert not pasted, "\n".join(pasted)


def test_only_sqlite_touches_the_database_file() -> None:
    """Opening and closing it in our own process drops SQLite's locks, and committed rows are lost with them."""
    opener = re.compile(r"(?:\bopen|\.(?:open|read_bytes|read_text|write_bytes|write_text|copy\w*|move))\(", re.ASCII)
    database = re.compile(r"nightdesk\.db|\bDATABASE_(?:NAME|FILE)\b|\b(?:db|database)_(?:path|file)\b")
    calls = [
        (path, node, ast.unparse(node))
        for path in modules("console")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and not any(isinstance(inner, ast.Call) for inner in ast.walk(node.func))
    ]
    assert not [
        f"{place(path, node.lineno)} {text}"
        for path, node, text in calls
        if opener.search(text) and database.search(text) and not re.match(r"[A-Z]\w+\.open", text)
    ]


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "CHANGELOG.md", "requirements.txt", "requirements-dev.txt"])
def test_a_stranger_finds_what_every_project_has(name: str) -> None:
    assert (ROOT / name).stat().st_size > 200
