"""The README's table of keys as the bindings have it. `python -m tests.key_table` writes it into the README."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from textual.binding import Binding

import console.ui
from console.ui.widgets.key_bar import key_name
from tests.tree import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- keys -->\n", "<!-- /keys -->"
HEAD = ("| keys | what they do | id |", "|---|---|---|")
MOVING = frozenset({"choices", "chooser", "detail", "dialog", "filter", "form", "help", "list", "table"})
"""First parts of ids that neither start, stop nor decide anything."""


def bindings() -> Iterator[tuple[type, Binding]]:
    """Every binding that a class of the screen declares, with that class."""
    for found in pkgutil.walk_packages(console.ui.__path__, "console.ui."):
        module = importlib.import_module(found.name)
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == module.__name__:
                for entry in vars(cls).get("BINDINGS", ()):
                    assert isinstance(entry, Binding), f"{cls.__name__}: write {entry!r} as a Binding"
                    yield cls, entry


def table() -> str:
    """Two tables, one row for each id: what acts on runs and tasks, then what only moves or answers."""
    rows: dict[str, tuple[list[str], str]] = {}
    for _, binding in bindings():
        keys, _ = rows.setdefault(binding.id or "", ([], binding.tooltip))
        keys += [name for key in binding.key.split(",") if (name := key_name(key.strip())) not in keys]
    ordered = sorted(rows, key=_group)
    acting = [_row(identity, *rows[identity]) for identity in ordered if _group(identity) not in MOVING]
    moving = [_row(identity, *rows[identity]) for identity in ordered if _group(identity) in MOVING]
    return "\n".join([*HEAD, *acting, "", "Moving and answering:", "", *HEAD, *moving, ""])


def _group(identity: str) -> str:
    return identity.partition(".")[0]


def _row(identity: str, keys: list[str], tooltip: str) -> str:
    shown = " ".join(f"`{key}`" for key in keys)
    return f"| {shown} | {tooltip} | `{identity}` |"


def told() -> str:
    """The table as the README has it."""
    return README.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]


def _write() -> None:
    text = README.read_text(encoding="utf-8")
    README.write_text(text.replace(BEGIN + told() + END, BEGIN + table() + END), encoding="utf-8")


if __name__ == "__main__":
    _write()
