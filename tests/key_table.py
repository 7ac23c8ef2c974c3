"""The tables of keys in docs/keys.md (all keys) and README.md (the ones used most), made from the bindings.

`python -m tests.key_table` writes both, and the table of ids against which a config is checked.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Iterator
from pathlib import Path

from textual.binding import Binding

import console.ui
from console.ui.widgets.key_bar import key_name
from tests.tree import ROOT

README, KEYS_PAGE = ROOT / "README.md", ROOT / "docs" / "keys.md"
BEGIN, END = "<!-- keys -->\n", "<!-- /keys -->"
HEAD = ("| keys | what they do | id |", "|---|---|---|")
MOVING = frozenset({"choices", "chooser", "detail", "dialog", "filter", "form", "help", "list", "table"})
"""First parts of the ids of keys that only move or answer."""
MAIN = (
    *("screen.runs", "screen.history", "screen.rollout", "screen.usage", "screen.agenda", "screen.audit"),
    *("task.launch", "run.cancel", "all.kill_switch", "run.approve", "run.decline", "run.settle", "run.detail"),
    *("stage.promote", "stage.demote", "find.filter", "shell.words", "app.palette", "app.help", "app.quit"),
)
"""The ids in the README, in its order."""


def bindings() -> Iterator[tuple[type, Binding]]:
    """Every binding that a class of `console.ui` declares, with that class."""
    for found in pkgutil.walk_packages(console.ui.__path__, "console.ui."):
        module = importlib.import_module(found.name)
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == module.__name__:
                for entry in vars(cls).get("BINDINGS", ()):
                    assert isinstance(entry, Binding), f"{cls.__name__}: write {entry!r} as a Binding"
                    yield cls, entry


def all_keys() -> str:
    """Two tables, one row for each id: what acts on runs and tasks, then what only moves or answers."""
    rows = _rows()
    ordered = sorted(rows, key=_group)
    acting = _table([rows[identity] for identity in ordered if _group(identity) not in MOVING])
    moving = _table([rows[identity] for identity in ordered if _group(identity) in MOVING])
    return f"{acting}\nMoving and answering:\n\n{moving}"


def main_keys() -> str:
    """One table with the rows of `MAIN`. Raises KeyError if one of them is not an id."""
    rows = _rows()
    return _table([rows[identity] for identity in MAIN])


def written(page: Path) -> str:
    """The table between the marks of a page."""
    return page.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]


KEY_NAMES = ROOT / "console" / "config" / "key_bindings.py"
EVERYWHERE = ("ConsoleApp", "BaseScreen")
PLACES = {
    "runs": ("RunsScreen", "RunTable"),
    "history": ("HistoryScreen", "HistoryTable"),
    "rollout": ("RolloutScreen", "RowList"),
    "usage": ("UsageScreen",),
    "detail": ("DetailScreen",),
}
"""By full screen: the classes whose keys work on it, besides those of EVERYWHERE."""


def places_of(identity: str) -> str:
    """The full screens on which the keys of an id work; the first part of the id for those of dialogs and inputs."""
    classes = {cls.__name__ for cls, binding in bindings() if binding.id == identity}
    found = [place for place, own in PLACES.items() if classes & {*own, *EVERYWHERE}]
    return " ".join(found) or _group(identity)


def key_ids() -> str:
    """The lines of the table in `console/config/key_bindings.py`."""
    keys: dict[str, list[str]] = {}
    for _, binding in bindings():
        found = keys.setdefault(binding.id or "", [])
        found += [key.strip() for key in binding.key.split(",") if key.strip() not in found]
    lines = [f'    "{identity}": ("{",".join(keys[identity])}", "{places_of(identity)}"),' for identity in sorted(keys)]
    return "\n".join([*lines, ""])


def written_ids() -> str:
    """The lines that stand in the module now."""
    return KEY_NAMES.read_text(encoding="utf-8").split("= {\n", 1)[1].split("}\n", 1)[0]


def _rows() -> dict[str, str]:
    """The row of each id; keys of several bindings with the same id stand together."""
    found: dict[str, tuple[list[str], str]] = {}
    for _, binding in bindings():
        keys, _ = found.setdefault(binding.id or "", ([], binding.tooltip))
        keys += [name for key in binding.key.split(",") if (name := key_name(key.strip())) not in keys]
    return {identity: _row(identity, keys, tooltip) for identity, (keys, tooltip) in found.items()}


def _group(identity: str) -> str:
    return identity.partition(".")[0]


def _row(identity: str, keys: list[str], tooltip: str) -> str:
    shown = " ".join(f"`{key}`" for key in keys)
    return f"| {shown} | {tooltip} | `{identity}` |"


def _table(rows: Collection[str]) -> str:
    return "\n".join([*HEAD, *rows, ""])


def _write() -> None:
    for page, table in ((README, main_keys()), (KEYS_PAGE, all_keys())):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(BEGIN + written(page) + END, BEGIN + table + END), encoding="utf-8")
    module = KEY_NAMES.read_text(encoding="utf-8")
    before, _, rest = module.partition("= {\n")
    KEY_NAMES.write_text(before + "= {\n" + key_ids() + "}\n" + rest.partition("}\n")[2], encoding="utf-8")


if __name__ == "__main__":
    _write()
