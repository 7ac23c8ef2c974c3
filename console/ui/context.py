"""What every screen is given: the engine, who is sitting there, the signs, and how to hand the runs over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from console.domain.moment import Clock
from console.engine.errors import ActRefused, LostRun, StaleRun, StoreError
from console.ui.glyphs import Glyphs
from console.ui.ports import EngineLike
from console.ui.spans import foreign

Leave = Callable[[], Awaitable[None]]
"""Hands the runs of this process to the background; raises with one clear line where it cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Handed to every screen at its construction."""

    engine: EngineLike
    clock: Clock
    glyphs: Glyphs
    by: str
    """`USER tty=yes`; recorded with every act."""
    read_only: bool = False
    """No key that writes is offered."""
    liftable: bool = False
    """The caller opens a console that writes where a read-only one ends with `End.WRITE`."""
    leave: Leave | None = None
    """None: this console cannot leave runs behind, as in the demo."""
    command: tuple[str, ...] = ("nightdesk",)
    """What a shell is to run to reach the same state folder."""


EXPECTED = (ActRefused, LostRun, StaleRun, StoreError)
"""Errors whose text is one clear line."""


def trouble_line(error: BaseException) -> str:
    """An expected error's own sentence; for others the kind too. One cleaned line."""
    text = foreign(str(error), limit=300).strip()
    if text and (isinstance(error, EXPECTED) or type(error) in (LookupError, ValueError)):
        return text
    name = type(error).__name__
    return f"{name}: {text}" if text else name
