"""What a console remembers of how its tables are looked at: orders, saved filters, and what was jumped to last.

It is one small JSON file that only its owner can read. Nothing depends on it: a file that cannot be read counts as
empty.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE_NAME = "console.json"
VERSION = 1
MAX_SAVED = 30
"""Saved filters of one screen; of more, the oldest are forgotten."""
MAX_RECENT = 20
MAX_TEXT = 400
"""Characters of one stored text."""


@dataclass(frozen=True, slots=True)
class SavedOrder:
    """The order of a table."""

    name: str
    reverse: bool = False


@dataclass(slots=True)
class _Remembered:
    orders: dict[str, SavedOrder] = field(default_factory=dict)
    filters: dict[str, list[str]] = field(default_factory=dict)
    recent: list[str] = field(default_factory=list)


class Preferences:
    """Remembers in memory at once; `write` puts it into the file."""

    def __init__(self, path: Path | None = None, *, writable: bool = True) -> None:
        """Read the file. None for a console that keeps nothing; `writable` is false for one that writes no file."""
        self._path = path
        self._writable = writable and path is not None
        self._kept = _read(path) if path is not None else _Remembered()

    def order(self, screen: str) -> SavedOrder | None:
        """The order of the table of a screen; None where it was never changed."""
        return self._kept.orders.get(screen)

    def set_order(self, screen: str, order: SavedOrder) -> None:
        """Remember the order of a table."""
        self._kept.orders[screen] = order

    def filters(self, screen: str) -> tuple[str, ...]:
        """The saved filters of a screen as they were typed, the newest first."""
        return tuple(self._kept.filters.get(screen, ()))

    def save_filter(self, screen: str, text: str) -> None:
        """Save a filter."""
        others = [each for each in self.filters(screen) if each != text]
        self._kept.filters[screen] = [text, *others][:MAX_SAVED]

    def forget_filter(self, screen: str, text: str) -> None:
        """Remove a saved filter."""
        self._kept.filters[screen] = [each for each in self.filters(screen) if each != text]

    @property
    def recent(self) -> tuple[str, ...]:
        """The ids of what was chosen in the list of commands, the newest first."""
        return tuple(self._kept.recent)

    def use(self, chosen: str) -> None:
        """Remember that this was chosen."""
        self._kept.recent = [chosen, *(each for each in self._kept.recent if each != chosen)][:MAX_RECENT]

    async def write(self) -> None:
        """Write the file where this console may. Raises OSError."""
        if self._writable and self._path is not None:
            text = json.dumps(_as_json(self._kept), indent=1)
            await asyncio.to_thread(_replace, self._path, text)


def _as_json(kept: _Remembered) -> dict[str, Any]:
    return {
        "version": VERSION,
        "orders": {screen: [order.name, order.reverse] for screen, order in kept.orders.items()},
        "filters": kept.filters,
        "recent": kept.recent,
    }


def _replace(path: Path, text: str) -> None:
    """Write the file whole or not at all, readable by its owner only."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _read(path: Path) -> _Remembered:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return _Remembered()
    if not isinstance(found, dict) or found.get("version") != VERSION:
        return _Remembered()
    orders = {
        str(screen): SavedOrder(pair[0], bool(pair[1]))
        for screen, pair in _entries(found.get("orders"))
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)
    }
    filters = {str(screen): _texts(texts)[:MAX_SAVED] for screen, texts in _entries(found.get("filters"))}
    return _Remembered(orders=orders, filters=filters, recent=_texts(found.get("recent"))[:MAX_RECENT])


def _entries(value: object) -> list[tuple[object, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _texts(value: object) -> list[str]:
    return [each[:MAX_TEXT] for each in value if isinstance(each, str)] if isinstance(value, list) else []
