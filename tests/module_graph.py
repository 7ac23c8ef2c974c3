"""The import graph of the program, read from the syntax trees: who imports whom, where, and the cycles in it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.tree import ROOT, parsed, place


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import of a module of the program by another."""

    module: str
    """Which imports."""
    target: str
    """Which is imported."""
    in_function: bool
    for_types: bool
    """It stands under `if TYPE_CHECKING:`."""
    where: str
    """File and line, for messages."""


def module_name(path: Path) -> str:
    """`console.store.runs` of its path."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[Import]:
    """Every import of `console` modules in one module."""
    yield from _imports(path, parsed(path), in_function=False, for_types=False)


def _imports(path: Path, node: ast.AST, *, in_function: bool, for_types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for target in _targets(child):
                yield Import(
                    module=module_name(path),
                    target=target,
                    in_function=in_function,
                    for_types=for_types,
                    where=place(path, child.lineno),
                )
        inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typed = for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        yield from _imports(path, child, in_function=inside, for_types=typed)


def _targets(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules of the program that an import statement loads: `from package import module` loads the module."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        base = node.module or ""
        names = [f"{base}.{alias.name}" if _is_module(f"{base}.{alias.name}") else base for alias in node.names]
    yield from dict.fromkeys(name for name in names if name.split(".")[0] == "console")


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def cycles(paths: Iterable[Path]) -> list[list[str]]:
    """Each group of modules that import each other, directly or not, at run time; imports for types do not count."""
    graph: dict[str, set[str]] = {}
    for path in paths:
        targets = graph.setdefault(module_name(path), set())
        targets |= {each.target for each in imports(path) if not each.for_types}
    return [sorted(group) for group in _components(graph) if len(group) > 1]


def _components(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """The strongly connected components (Tarjan)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> Iterator[list[str]]:
        numbers[name] = lowest[name] = len(numbers)
        stack.append(name)
        for target in sorted(graph.get(name, ())):
            if target not in numbers:
                yield from visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in stack:
                lowest[name] = min(lowest[name], numbers[target])
        if lowest[name] == numbers[name]:
            at = stack.index(name)
            component = stack[at:]
            del stack[at:]
            yield component

    for name in sorted(graph):
        if name not in numbers:
            yield from visit(name)
