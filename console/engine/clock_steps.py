"""A wall clock that steps must not open tomorrow's cap: a large step pauses all launches until a person looks."""

from __future__ import annotations

from console.domain.timestamps import Timestamp
from console.engine.context import EngineContext

BASELINE = "clock_baseline"


class ClockStepDetector:
    """Compares how far wall and boot clock have run; within one boot they run alike, through suspend too."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    async def tick(self, now: Timestamp) -> None:
        """Notes a step, pauses launches after a large one. The baseline stands in the store, for all processes."""
        store, timings = self._context.store, self._context.timings
        offset = now.wall_ms - now.boot_ms
        stored = await store.controls.meta_get(BASELINE)
        boot_id, _, text = (stored or "").partition(" ")
        if boot_id != now.boot_id:
            await store.controls.meta_set(BASELINE, f"{now.boot_id} {offset}")
            return
        step = offset - int(text)
        if abs(step) < timings.clock_note_ms:
            return
        await store.controls.meta_set(BASELINE, f"{now.boot_id} {offset}")
        seconds = f"{step / 1000:+.1f}"
        await store.runs.note(event="clock", fields={"step_s": seconds}, run=None, now=now)
        if abs(step) >= timings.clock_pause_ms:
            await store.controls.pause(by=f"nightdesk: the wall clock stepped by {seconds} s", now=now)
