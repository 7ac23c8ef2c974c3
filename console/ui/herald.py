"""Tells what is new: a line on the screen, one ring of the bell and the window's title. Each change once."""

from __future__ import annotations

from collections.abc import Callable

from console.engine.snapshot import Snapshot
from console.ui.look import Look
from console.ui.news import QUIET_TITLE, TITLES, Kind, News, news, toast
from console.ui.spans import Span

BELL = "\x07"


def title(words: str) -> str:
    """The sequence that names the window."""
    return f"\x1b]2;{words}\x07"


class Herald:
    """Keeps the last look that could be read, and what nobody has answered yet with a key."""

    def __init__(self, write: Callable[[str], None], *, bell: bool, titles: bool) -> None:
        """`write`: to the terminal. `titles`: the terminal knows window titles."""
        self._write = write
        self._bell = bell
        self._titles = titles
        self._before: Snapshot | None = None
        self._unseen: list[News] = []
        self._title: str | None = None

    def hear(self, look: Look) -> Span | None:
        """The line to show; None where nothing is new. The first look is where the telling starts from."""
        if look.trouble:
            return None
        before, self._before = self._before, look.snapshot
        fresh = news(before, look.snapshot) if before is not None else ()
        if not fresh:
            return None
        self._unseen += fresh
        if self._bell and any(each.kind is not Kind.FINISHED for each in fresh):
            self._write(BELL)
        self._entitle(TITLES.get(min(each.kind for each in self._unseen)))
        return toast(self._unseen)

    def seen(self) -> None:
        """Somebody is there."""
        self._unseen.clear()
        if self._title is not None:
            self._entitle(QUIET_TITLE)

    def _entitle(self, words: str | None) -> None:
        if self._titles and words is not None and words != self._title:
            self._title = words
            self._write(title(words))
