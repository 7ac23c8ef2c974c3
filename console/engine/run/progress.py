"""Stores the live figures of all runs of this process together, once a tick.

Between two ticks they are in memory only: a crash loses at most one tick, which the next poll brings back. So the
figures of many runs never stand before a stop in the queue of the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from console.domain.run import Run, RunId
from console.engine.context import EngineContext
from console.engine.errors import OwnershipLost, StaleRun, StoreError
from console.store.rows import Progress, StepRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressDraft:
    """The figures of one run that are not stored yet."""

    run: Run
    """As stored."""
    progress: Progress
    steps: tuple[StepRow, ...]


class ProgressSource(Protocol):
    """A run whose figures change."""

    def draft(self) -> ProgressDraft | None:
        """What has to be stored; None where nothing changed."""
        ...

    def stored(self, draft: ProgressDraft, row: Run | None) -> None:
        """The draft is in the store and `row` is the run there; None: the row had changed, read it again."""
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
        """Store what changed. One run that cannot be stored is reported and holds up no other. Raises StoreError."""
        now = self._context.clock.now()
        for run_id, source in list(self._sources.items()):
            draft = source.draft()
            if draft is None:
                continue
            try:
                row = await self._context.store.runs.record_progress(draft.run, draft.progress, now)
                await self._context.store.runs.save_steps(run_id, draft.steps, now)
            except (StaleRun, OwnershipLost):
                source.stored(draft, None)
            except StoreError:
                raise
            except Exception as error:
                self._context.problems.report(f"run {run_id}", f"run {run_id}: its figures are not stored", error)
            else:
                source.stored(draft, row)
