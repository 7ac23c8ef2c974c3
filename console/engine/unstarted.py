"""Discards what was prepared for a launch that never started: sessions whose reply was lost, or whose run ended first.

They cost little or nothing, but pile up at the service. Only what carries the label of a run of this state folder is
discarded, and never what a run may still start in: another folder may use the same key.
"""

from __future__ import annotations

import asyncio

from console.domain.run import Run, RunId, State
from console.engine.context import EngineContext
from console.engine.run.cancel import try_discard
from console.provider.contract import RUN_LABEL, Provider, ProviderError, Unstarted

LONGEST_S = 60.0
"""One round takes no longer; the next one goes on."""
EVERY_S = 3600.0
"""Between two rounds; the first one is at the start of the engine."""


class UnstartedSweep:
    """Discards, now and then, what this state folder has prepared and cannot start any more."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._next_at = 0.0
        """Loop time of the next round."""

    async def sweep_if_due(self) -> None:
        """Sweep at the first call and every EVERY_S seconds. Raises StoreError."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_at:
            self._next_at = now + EVERY_S
            await self.sweep()

    async def sweep(self) -> int:
        """Discard what nothing can start in any more; return how many. A service that does not answer ends the round.

        Raises StoreError.
        """
        discarded = 0
        try:
            async with asyncio.timeout(LONGEST_S):
                for provider in self._context.providers.values():
                    for left in await _left(provider):
                        run = await self._context.store.runs.get(RunId(left.labels.get(RUN_LABEL, "")))
                        if run is not None and is_useless(left, run):
                            _, gone = await try_discard(self._context, provider, left.prepared_id)
                            discarded += gone
        except TimeoutError:
            pass
        return discarded


async def _left(provider: Provider) -> tuple[Unstarted, ...]:
    try:
        return await provider.unstarted()
    except ProviderError:
        # Unsupported, or out of reach: nothing depends on it, and what needs the service reports it.
        return ()


def is_useless(left: Unstarted, run: Run) -> bool:
    """True where `run`, whose label `left` carries, can never start in it."""
    if run.state is State.ENDED:
        return True
    # A claimed run may be storing the id just now.
    return run.state is not State.CLAIMED and run.sandbox_id != left.prepared_id
