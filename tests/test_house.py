"""The rules of this code base that a reader would otherwise have to enforce: layout, imports, names, SQL, marks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.module_graph import Import, cycles, imports, module_name
from tests.old_words import OLD_NAMES, OLD_VERBS
from tests.tree import CONSOLE, ROOT, modules, parsed, place, tracked_files

COMMANDS = CONSOLE / "cli" / "commands"
"""Holds one module for each command, however small."""
SMALL_MODULE = 60
LONG_CLASS = 300
LONG_FUNCTION = 60
REASON = re.compile(r"\b(Kept apart|A module of its own|In one piece),? because\b")
"""How a docstring gives the reason for a small module, or for a long class or function."""

DOORS = {
    "console.cli": "a command imports its module when it is called: `--help` and cron pay only for what they use",
    "console.__main__": "the version is printed without loading the command line",
    "console.doctor": "the driver of PostgreSQL is loaded where a config names a fleet only",
    "console.engine.live_runs": "the driver of PostgreSQL is loaded where a config names a fleet only",
    "console.engine.engine": "the usage report is loaded at its first request",
    "console.engine.queries": "the usage report is loaded at its first request",
    "console.provider": "httpx is loaded at the first request",
    "console.store.store": "the driver of PostgreSQL is loaded where a config names a fleet only",
    "console.ui": "screens behind the first one, the chart and the palette are loaded when they are opened",
    "console.program": "the provider is loaded when a process launches or guards",
    "console.app": "the provider is loaded when a process launches or guards",
    "console.simulated": "the provider is loaded when the simulator has started",
}
"""Packages and modules that may import inside functions, each with its reason; tests/test_floors.py measures them."""

SLEEPING_TESTS = {"tests/waiting.py", "tests/kills/trial.py", "tests/ssh/test_processes.py"}
"""The wait for a condition, the delay of a planted fault, and a process that must not end."""
WAIT_FOR_LOCKS = {"console/journal/runs_log.py", "console/store/files.py", "console/store/integrity_probe.py"}
"""Bounded waits for a kernel lock, in functions that no event loop calls."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _has_reason(node: ast.Module | ast.ClassDef | Function) -> bool:
    # A docstring is wrapped anywhere.
    return bool(REASON.search(" ".join((ast.get_docstring(node) or "").split())))


def _sizes(path: Path) -> Iterator[str]:
    tree = parsed(path)
    lines = len(path.read_text(encoding="utf-8").splitlines())
    stands_alone = path.name in ("__init__.py", "__main__.py") or path.parent == COMMANDS
    if lines < SMALL_MODULE and not stands_alone and not _has_reason(tree):
        yield f"{place(path)}: {lines} lines and no reason to be kept apart"
    for node in ast.walk(tree):
        if isinstance(node, Function) and _length(node) > LONG_FUNCTION and not _has_reason(node):
            yield f"{place(path, node.lineno)} {node.name}: {_length(node)} lines and no reason to be in one piece"
        if isinstance(node, ast.ClassDef) and _length(node) > LONG_CLASS and not _has_reason(node):
            yield f"{place(path, node.lineno)} {node.name}: {_length(node)} lines and no reason to be in one piece"


def test_a_module_holds_one_concept() -> None:
    """No module under 60 lines, no class over 300 and no function over 60 without a reason in its docstring."""
    found = [line for path in modules("console") for line in _sizes(path)]
    assert not found, "\n".join(found)


def test_no_function_of_the_tests_is_too_long_to_read() -> None:
    found = [line for path in modules("tests") for line in _sizes(path) if "kept apart" not in line]
    assert not found, "\n".join(found)


def test_no_modules_import_each_other() -> None:
    found = cycles(modules("console"))
    assert not found, "\n".join(" -> ".join(cycle) for cycle in found)


def test_imports_stand_at_the_top_but_at_a_few_doors() -> None:
    found = [each for path in modules("console") for each in imports(path) if each.in_function and not _is_door(each)]
    assert not found, "\n".join(f"{each.where} imports {each.target} inside a function" for each in found)


def _is_door(each: Import) -> bool:
    return any(each.module == door or each.module.startswith(f"{door}.") for door in DOORS)


def test_no_class_inherits_an_implementation_but_those_of_textual() -> None:
    """Classes are composed. A base may be an exception, a protocol, an enum, a plain record, or a widget."""
    classes: dict[str, ast.ClassDef] = {}
    for path in modules("console"):
        classes |= {node.name: node for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)}
    found = []
    for path in modules("console"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                found += [
                    f"{place(path, node.lineno)} {node.name} inherits {base}"
                    for base in _bases(node)
                    if base in classes and not _may_be_inherited(classes[base], classes)
                ]
    assert not found, "\n".join(found)


def _bases(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases]


def _may_be_inherited(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> bool:
    """True for exceptions, protocols, records without methods, and whatever has a base that is not ours."""
    bases = _bases(node)
    foreign = [base for base in bases if base not in classes and base not in ("Generic", "object")]
    has_methods = any(isinstance(child, Function) for child in node.body)
    inherited = all(_may_be_inherited(classes[base], classes) for base in bases if base in classes)
    return inherited and (bool(foreign) or bool(bases) or not has_methods)


def test_no_old_word_comes_back() -> None:
    """The private vocabulary of version 0.1.0 has been replaced; docs/architecture.md uses the words of now."""
    found = [
        f"{place(path, node.lineno)} {name}"
        for path in modules("console", "tests", "benchmarks", "screenshots")
        for node, name in _definitions(parsed(path))
        if name in OLD_NAMES or (name in OLD_VERBS and isinstance(node, Function))
    ]
    assert not found, "\n".join(found)


def _definitions(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef):
            yield node, node.name


def test_modules_are_not_named_with_old_words() -> None:
    found = [place(path) for path in modules("console") if module_name(path).rpartition(".")[2] in OLD_NAMES]
    assert not found, "\n".join(found)


def test_every_module_has_a_docstring() -> None:
    assert not [place(path) for path in modules("console", "tests") if not ast.get_docstring(parsed(path))]


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in modules("console", "tests")}
    assert not [place(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()]


def test_the_program_has_no_open_marks_and_sleeps_only_for_a_lock() -> None:
    loose = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert not list(_matches(loose, modules("console")))
    sleeping = {match.split(":")[0] for match in _matches(re.compile(r"\btime\.sleep\("), modules("console"))}
    assert sleeping <= WAIT_FOR_LOCKS


def test_a_test_waits_for_a_condition_and_never_for_a_time() -> None:
    sleeping = re.compile(r"\btime\.sleep\(|\bwait_for_timeout\(")
    found = [match for match in _matches(sleeping, modules("tests")) if match.split(":")[0] not in SLEEPING_TESTS]
    assert not [match for match in found if "test_house" not in match], found


def test_only_a_module_that_re_exports_has_an_all_list() -> None:
    """Elsewhere `__all__` repeats what the underscores say already."""
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


def test_no_file_names_the_machine_it_was_made_on() -> None:
    folders = "|".join(("work", "root", "tmp/plan"))
    hosts = "|".join(name.replace(" ", r"\.") for name in ("pypi org", "pythonhosted org", "npmjs org", "debian org"))
    tickets = r"(?i:see|fix(?:es|ed)?|closes?|for) issue #?\d"
    pattern = re.compile(rf"(?<![\w.~*/-])/(?:{folders})/|\b(?:{hosts}|{tickets})\b")
    found = list(_matches(pattern, tracked_files()))
    assert not found, "\n".join(found)


def test_no_check_is_switched_off_without_a_reason() -> None:
    """The reason stands behind the mark on its line, or in a comment on the line above."""
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
    """Every string that is not a docstring; in an f-string, `?` stands for each value."""
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
    """Values are parameters. Only a pragma takes none, and one module builds statements from column names."""
    built = CONSOLE / "store" / "rows.py"
    pasted = [
        place(path, node.lineno)
        for path in modules("console")
        for node, text in _texts(parsed(path))
        if isinstance(node, ast.JoinedStr) and SQL.match(text) and path != built and not text.startswith("pragma ")
    ]
    assert not pasted, "\n".join(pasted)


def test_only_sqlite_touches_the_database_file() -> None:
    """Opening and closing it in the same process would drop SQLite's locks, and committed rows with them."""
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
def test_the_project_has_what_every_project_has(name: str) -> None:
    assert (ROOT / name).stat().st_size > 200
