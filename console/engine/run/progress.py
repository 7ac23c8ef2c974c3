"""Stores the live figures of the runs of this process together, once a tick.

Between two ticks they are in memory only: a crash loses at most one tick, which the next poll brings back. So the
figures of many runs never stand before a stop in the queue of the store. With very many runs only some of those whose
figures changed are stored in one tick, and the others in the next ones.
"""

from __future__ import annotations

from typing import Protocol

from console.domain.run import Run, RunId
from console.engine.context import EngineContext
from console.store.progress import ProgressUpdate

MOST_AT_ONCE = 200
"""Runs whose figures are stored in one tick. Storing and reading 200 rows takes some 50 ms of CPU."""
BUSY_MS = 1_000
"""How long the figures wait for the store."""


class ProgressSource(Protocol):
    """A run whose figures change."""

    def draft(self) -> ProgressUpdate | None:
        """What has to be stored; None where nothing changed since the last draft was made and stored."""
        ...

    def stored(self, draft: ProgressUpdate, row: Run | None) -> None:
        """The draft is in the store and `row` is the run there. None: it is not stored, and is to be drafted again."""
        ...


class ProgressRecorder:
    """The runs of this process whose figures are stored."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._sources: dict[RunId, ProgressSource] = {}

    def add(self, run_id: RunId, source: ProgressSource) -> None:
        """Store the figures of this run from now on."""
        self._sources[run_id] = source

    def remove(self, run_id: RunId) -> None:
        """Its figures are stored no longer."""
        self._sources.pop(run_id, None)

    async def record(self) -> None:
        """Store what changed, of at most MOST_AT_ONCE runs. The others come first the next time.

        One run that cannot be stored is reported and holds up no other. Raises StoreError.
        """
        drafts: list[tuple[ProgressSource, ProgressUpdate]] = []
        for run_id, source in list(self._sources.items()):
            try:
                draft = source.draft()
            except Exception as error:
                topic = f"run {run_id}"
                self._context.problems.report(topic, f"{topic}: its figures are not stored", error, source="figures")
            else:
                self._context.problems.clear(f"run {run_id}", "figures")
                if draft is not None:
                    drafts.append((source, draft))
                    self._sources[run_id] = self._sources.pop(run_id)
                    if len(drafts) == MOST_AT_ONCE:
                        break
        if not drafts:
            return
        # A short wait: what is not stored now is stored with the next tick, and newer.
        try:
            outcomes = await self._context.store.runs.record_progress_of_many(
                [draft for _, draft in drafts], self._context.clock.now(), busy_ms=BUSY_MS
            )
        except BaseException:
            for source, draft in drafts:
                source.stored(draft, None)
            raise
        for (source, draft), outcome in zip(drafts, outcomes, strict=True):
            source.stored(draft, outcome if isinstance(outcome, Run) else None)
