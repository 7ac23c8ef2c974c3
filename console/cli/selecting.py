"""Which runs somebody means: a run id, the beginning of one, or a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.cli.exits import Exit
from console.cli.failures import Failure
from console.domain.key import is_key
from console.domain.text import safe

if TYPE_CHECKING:
    from console.domain.run import Run
    from console.engine.view import View

LEAST_PREFIX = 4


async def runs_meant(view: View, text: str) -> tuple[Run, ...]:
    """All runs of a key, or the one run. Raises Failure where there is none, or more than one could be meant."""
    shown = safe(text, limit=60)
    cleaned = text.strip().lower()
    if len(cleaned) < LEAST_PREFIX:
        raise Failure(
            Exit.USAGE, f"{shown!r} is too short: give a run id, {LEAST_PREFIX} or more of its first letters, or a key"
        )
    found = await view.find(cleaned)
    if not found:
        raise Failure(Exit.USAGE, f"no run has the id or key {shown!r}; `nightdesk history` lists them")
    if len(found) > 1 and not is_key(cleaned):
        some = ", ".join(run.id for run in found[:5])
        raise Failure(Exit.USAGE, f"{shown!r} is the beginning of more than one run: {some}")
    return found


async def run_meant(view: View, text: str) -> Run:
    """The one run; of a key its latest attempt. Raises Failure."""
    return (await runs_meant(view, text))[-1]
