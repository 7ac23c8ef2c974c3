"""What an engine does for the state folder beside its runs: heartbeat, dead owners, steps of the wall clock."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from console.domain.timestamps import Timestamp
from console.engine.context import EngineContext
from console.engine.ownership import Ownership
from console.engine.problems import problems_path

BASELINE = "clock_baseline"
LEFTOVER_MS = 3_600_000
"""What an owner without a row in the store left is removed at this age: a younger one may be a process that starts."""


class Heartbeat:
    """Writes that this owner is not stuck; for diagnosis only."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    async def beat(self) -> None:
        """One heartbeat. Raises StoreError."""
        await self._context.store.controls.beat(self._context.owner, self._context.clock.now())


class DeadOwners:
    """Removes what processes left that died: their row, their place among the owners, their published problems."""

    def __init__(self, context: EngineContext, ownership: Ownership, folder: Path) -> None:
        """`folder` is the state folder."""
        self._context = context
        self._ownership = ownership
        self._folder = folder

    async def remove(self) -> None:
        """Remove every dead owner that no open run names. Raises StoreError, OSError."""
        rows = await self._context.store.controls.owners()
        named = {run.owner for run in await self._context.store.runs.open_runs()}
        for row in rows:
            if row.id == self._context.owner or row.id in named:
                continue
            with self._ownership.if_dead(row.id) as dead:
                # Within the block nobody else takes this owner for alive or dead.
                if not dead:
                    continue
                elsewhere = self._ownership.is_elsewhere(row.id)
                if await self._context.store.controls.remove_dead(row.id, if_lease_is_over=elsewhere):
                    self._unpublish(row.id)
                    self._ownership.remove(row.id)
        await asyncio.to_thread(self._remove_leftovers, {row.id for row in rows} | named | {self._context.owner})

    def _remove_leftovers(self, known: set[str | None]) -> None:
        before_ms = self._context.clock.now().wall_ms - LEFTOVER_MS
        for owner in self._ownership.remove_leftovers(known, before_ms=before_ms):
            with suppress(OSError):
                self._unpublish(owner)

    def _unpublish(self, owner: str) -> None:
        with suppress(ValueError):
            problems_path(self._folder, owner).unlink(missing_ok=True)


class ClockStepDetector:
    """Compares how far wall and boot clock have advanced; within one boot they run alike, through suspend too.

    A wall clock that steps must not open the cap of another day: a large step pauses all launches until a person
    looks.
    """

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    async def check(self) -> None:
        """Note a step; pause launches after a large one. The baseline is in the store, for all processes.

        Raises StoreError.
        """
        now, store, timings = self._context.clock.now(), self._context.store, self._context.timings
        offset = now.wall_ms - now.boot_ms
        # Hosts of a fleet share the wall clock, but each has a boot clock of its own.
        name = f"{BASELINE}:{now.boot_id}" if self._context.in_fleet else BASELINE
        before = _baseline(await store.controls.meta_get(name), now)
        if before is None:
            await store.controls.meta_set(name, f"{now.boot_id} {offset}")
            return
        step = offset - before
        if abs(step) < timings.clock_note_ms:
            return
        await store.controls.meta_set(name, f"{now.boot_id} {offset}")
        seconds = f"{step / 1000:+.1f}"
        await store.runs.note(event="clock", fields={"step_s": seconds}, run=None, now=now)
        if abs(step) >= timings.clock_pause_ms:
            await store.controls.pause(by=f"nightdesk: the wall clock stepped by {seconds} s", now=now)


def _baseline(stored: str | None, now: Timestamp) -> int | None:
    """The offset of wall to boot clock in milliseconds that was stored in this boot; None for none or another boot."""
    boot_id, _, text = (stored or "").partition(" ")
    try:
        return int(text) if boot_id == now.boot_id else None
    except ValueError:
        return None
