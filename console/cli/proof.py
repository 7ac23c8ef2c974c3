"""Waits for proof that runs have ended: as the store records it or, where it does not, as the service shows it.

The process that guards a run records its end. It may hang, or somebody may hold the store; the person who stopped the
run still learns from the service whether the agent goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from console.app import App
from console.domain.run import HOLDING, Run, RunId, State, StopReason
from console.engine.errors import OperationRefused, StaleRun, StoreError

READ_EVERY_S = 0.25
"""Between two reads of the store."""
ASK_EVERY_S = 2.0
"""Between two questions to the service, and between two tries to store a stop."""
RECORDED_WITHIN_S = 5.0
"""How long an end that the service shows may take to be recorded, before nobody waits for that any more."""
AT_ONCE = 8
"""Questions to the service at the same time."""
OVER = (State.ENDED, State.UNCONFIRMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What is known of a run that was asked to stop."""

    run: Run
    """As it was read last."""
    shown: str | None = None
    """The final status that the service shows, cleaned, where the store does not have the end."""


class ProofWaiter:
    """Waits for the ends of runs that were asked to stop."""

    def __init__(self, app: App, asked: Sequence[Run], *, by: str, reason: StopReason) -> None:
        """`asked` are the runs as the stop returned them; `by` and `reason` say who asked, and why."""
        self._app = app
        self._by = by
        self._reason = reason
        self._runs = {run.id: run for run in asked}
        self._shown: dict[RunId, str] = {}
        self._calls = asyncio.Semaphore(AT_ONCE)

    async def wait(self, seconds: float) -> tuple[End, ...]:
        """Return the ends in the order of the runs; one that is not proven within `seconds` is as it was read last."""
        loop = asyncio.get_running_loop()
        until, ask_at, shown_at = loop.time() + seconds, loop.time() + ASK_EVERY_S, 0.0
        while True:
            await self._read()
            if not (pending := self._pending()) or loop.time() >= until:
                break
            if loop.time() >= ask_at:
                await asyncio.gather(*(self._ask(run) for run in pending))
                ask_at = loop.time() + ASK_EVERY_S
            if all(run.id in self._shown for run in pending):
                shown_at = shown_at or loop.time()
                if loop.time() >= shown_at + RECORDED_WITHIN_S:
                    break
            await asyncio.sleep(min(READ_EVERY_S, max(0.0, until - loop.time())))
        ends = tuple(End(run=run, shown=self._shown.get(run.id)) for run in self._runs.values())
        for end in ends:
            if end.run.state in OVER:
                # Its line is in the log when the command returns, unless the log cannot be written.
                with suppress(StoreError, TimeoutError):
                    async with asyncio.timeout(READ_EVERY_S):
                        await self._app.engine.wait(end.run.id)
        return ends

    def _pending(self) -> list[Run]:
        return [run for run in self._runs.values() if run.state not in OVER]

    async def _read(self) -> None:
        for run in self._pending():
            with suppress(StoreError):
                self._runs[run.id] = await self._app.engine.get_run(run.id)
                if self._runs[run.id].state in OVER:
                    self._shown.pop(run.id, None)

    async def _ask(self, run: Run) -> None:
        """Store the stop where that did not work before, which cancels again, and ask the service for the end."""
        async with self._calls:
            shown = await self._app.engine.queries.end_at_service(run)
            if shown is not None:
                self._shown[run.id] = shown
            if run.stop is None and run.state in HOLDING:
                with suppress(StoreError, StaleRun, OperationRefused, LookupError):
                    self._runs[run.id] = await self._app.engine.operations.stop(
                        run.id, by=self._by, reason=self._reason
                    )
