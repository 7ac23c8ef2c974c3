"""What an engine does for the state folder beside its runs: heartbeat, dead owners, steps of the wall clock."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from console.domain.timestamps import Timestamp
from console.engine.context import EngineContext
from console.engine.ownership import if_dead, lock_path, problems_path
from console.os_files import LockedFile

BASELINE = "clock_baseline"
LEFTOVER_S = 3600.0
"""A lock file without a row in the store is removed at this age: a younger one may belong to a process that starts."""


class Heartbeat:
    """Writes that this owner is not stuck; for diagnosis only."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    async def beat(self) -> None:
        """One heartbeat. Raises StoreError."""
        await self._context.store.controls.beat(self._context.owner, self._context.clock.now())


class DeadOwners:
    """Removes what processes left that died: their row, their lock file, their published problems."""

    def __init__(self, context: EngineContext, owners: Path) -> None:
        self._context = context
        self._owners = owners

    async def remove(self) -> None:
        """Remove every dead owner that no open run names. Raises StoreError, OSError."""
        rows = await self._context.store.controls.owners()
        named = {run.owner for run in await self._context.store.runs.open_runs()}
        for row in rows:
            if row.id == self._context.owner or row.id in named:
                continue
            with if_dead(self._owners, row.id) as dead:
                # Under its lock: nobody else takes this owner for alive or dead meanwhile.
                if dead and await self._context.store.controls.remove_dead(row.id):
                    self._unlink(row.id)
        await asyncio.to_thread(self._remove_leftovers, {row.id for row in rows} | named | {self._context.owner})

    def _remove_leftovers(self, known: set[str | None]) -> None:
        """Lock files that no row names and that are old: of a process that died before it announced itself."""
        for path in self._owners.glob("*.lock"):
            if path.stem in known or len(path.stem) != 32:
                continue
            with suppress(OSError, ValueError):
                if self._context.clock.now().wall_ms / 1000 - path.stat().st_mtime < LEFTOVER_S:
                    continue
                lock = LockedFile.try_lock(path, create=False)
                if lock is not None:
                    self._unlink(path.stem)
                    lock.release()

    def _unlink(self, owner: str) -> None:
        for path in (problems_path(self._owners, owner), lock_path(self._owners, owner)):
            path.unlink(missing_ok=True)


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
        before = _baseline(await store.controls.meta_get(BASELINE), now)
        if before is None:
            await store.controls.meta_set(BASELINE, f"{now.boot_id} {offset}")
            return
        step = offset - before
        if abs(step) < timings.clock_note_ms:
            return
        await store.controls.meta_set(BASELINE, f"{now.boot_id} {offset}")
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
