"""Find the line of each key in a TOML file, so that messages can name it.

tomllib does not report positions. This scanner only has to be right for text that tomllib has accepted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

KeyPath = tuple[str | int, ...]
"""Such as `("tasks", 0, "name")`; indexes count from 0."""

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<string>\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')
    |(?P<newline>\n)
    |(?P<open>[\[{])
    |(?P<close>[\]}])
    |(?P<equals>=)
    |(?P<other>[^\s#"'\[\]{}=]+|[^\S\n]+)""",
    re.VERBOSE | re.DOTALL,
)
_PART = re.compile(r"""("(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)""")


def lines_of(text: str) -> dict[KeyPath, int]:
    """Return the line (counted from 1) of each table header and of each key outside inline tables."""
    found: dict[KeyPath, int] = {}
    arrays: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for line, head, is_header in _statements(text):
        if is_header:
            doubled = head.startswith("[[")
            table = _table_path(_parts(head.strip("[]")), arrays, doubled=doubled)
            found.setdefault(table, line)
        else:
            found.setdefault((*table, *_parts(head)), line)
    return found


def line_of(found: dict[KeyPath, int], path: KeyPath) -> int | None:
    """Return the line of `path`, or of the innermost enclosing table in the file; None if there is none."""
    for length in range(len(path), 0, -1):
        if path[:length] in found:
            return found[path[:length]]
    return None


def _statements(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield each header and each key as (line, text, is header); values are skipped."""
    line, depth = 1, 0
    head, head_line, in_value = "", 1, False
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match[0]
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        if kind == "newline" and depth == 0:
            if head.strip() and not in_value:
                yield head_line, head.strip(), True
            head, in_value = "", False
        elif kind == "equals" and depth == 0 and not in_value:
            yield head_line, head.strip(), False
            in_value = True
        elif not in_value and kind != "comment":
            head_line = line if not head.strip() else head_line
            head += token
        line += token.count("\n")
    if head.strip() and not in_value:
        yield head_line, head.strip(), True


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(tomllib.loads(f"k = {part}")["k"] if part[0] in "\"'" else part for part in _PART.findall(dotted))


def _table_path(parts: tuple[str, ...], arrays: dict[KeyPath, int], *, doubled: bool) -> KeyPath:
    """Return the path of a table header. Below an array of tables it refers to the last entry of the array."""
    path: KeyPath = ()
    for place, part in enumerate(parts):
        path = (*path, part)
        if doubled and place == len(parts) - 1:
            arrays[path] = arrays.get(path, -1) + 1
        if path in arrays:
            path = (*path, arrays[path])
    return path
