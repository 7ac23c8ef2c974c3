"""Ends everything that a live drill has started, whatever happened, and says of what no end could be shown.

The state store may be full or gone: then the cancels go out without it, and the service itself shows the ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from console.app import App
from console.domain.run import Run, RunId, State
from console.domain.text import sanitize
from console.drill.live.plan import LivePlan
from console.drill.live.report import Left
from console.engine.concerns import describe
from console.engine.errors import OperationRefused, StoreError
from console.provider.contract import Provider, ProviderError, shown_end
from console.provider.traits import DiscardUse

LOOK_S = 1.0
"""Seconds between two looks for the end of a run."""


async def stop_all(app: App, runs: Iterable[RunId], *, by: str, plan: LivePlan) -> tuple[Left, ...]:
    """Stop these runs and every open run of the state folder; return those of which no end was shown in time.

    Raises nothing but a cancellation.
    """
    ids = {*runs, *await _open_runs(app)}
    with suppress(StoreError, OperationRefused):
        await app.engine.operations.stop_all(by=by)
    left = await asyncio.gather(*(_end_one(app, run_id, by=by, plan=plan) for run_id in sorted(ids)))
    return tuple(each for each in left if each is not None)


async def discard_all(provider: Provider, prepared: Iterable[str]) -> None:
    """Discard what was prepared, once nothing works in it: sandboxes, sessions, triggers. A failure changes nothing."""
    for prepared_id in prepared:
        with suppress(ProviderError):
            await provider.discard(prepared_id)


async def _open_runs(app: App) -> tuple[RunId, ...]:
    try:
        return tuple(run.id for run in (await app.engine.queries.snapshot()).live)
    except StoreError:
        return tuple(app.engine.guarded)


async def _end_one(app: App, run_id: RunId, *, by: str, plan: LivePlan) -> Left | None:
    """Stop one run and wait for its end; None if it has ended, or nothing was ever sent."""
    try:
        async with asyncio.timeout(plan.stop_s):
            return await _until_ended(app, run_id, by=by, discard_s=plan.discard_s)
    except TimeoutError:
        why = f"its end was not shown within {plan.stop_s:g} s"
    except Exception as error:
        why = f"its end could not be shown: {describe(error)}"
    return Left(run_id=run_id, why=sanitize(why, limit=200))


async def _until_ended(app: App, run_id: RunId, *, by: str, discard_s: float) -> Left | None:
    loop = asyncio.get_running_loop()
    discard_at = loop.time() + discard_s
    while True:
        run = await _known(app, run_id)
        if run is not None:
            if run.state is State.ENDED:
                return None
            with suppress(StoreError, OperationRefused):
                if run.stop is None:
                    await app.engine.operations.stop(run.id, by=by)
            provider = app.providers[app.engine.settings.service_of(run).name]
            if run.remote_id is not None and await _ends_at_service(provider, run.remote_id):
                return None
            if loop.time() >= discard_at or run.state is State.UNCONFIRMED:
                discard_at = loop.time() + discard_s
                if await _discarded(provider, run) and run.state is State.UNCONFIRMED:
                    return await _written_off(app, run, by=by)
        await asyncio.sleep(LOOK_S)


async def _known(app: App, run_id: RunId) -> Run | None:
    """Return the run as this process or the store knows it; None while neither does."""
    try:
        return await app.engine.get_run(run_id)
    except (StoreError, LookupError):
        return None


async def _ends_at_service(provider: Provider, remote_id: str) -> bool:
    """Send a cancel past the store; True if the service shows an end already."""
    if await shown_end(provider, remote_id) is not None:
        return True
    with suppress(ProviderError):
        await provider.cancel(remote_id)
    return await shown_end(provider, remote_id) is not None


async def _discarded(provider: Provider, run: Run) -> bool:
    """Delete the sandbox of a run where that may stop it; True where it is gone."""
    if run.sandbox_id is None or not run.sandbox_own or provider.traits.discard is not DiscardUse.MAY_STOP:
        return run.state is State.UNCONFIRMED
    try:
        await provider.discard(run.sandbox_id)
        return not await provider.prepared_exists(run.sandbox_id)
    except ProviderError:
        return False


async def _written_off(app: App, run: Run, *, by: str) -> Left:
    """Close the books of a launch without an answer, so that it does not stay open in the folder of the drills."""
    with suppress(StoreError, OperationRefused):
        await app.engine.operations.settle_write_off(run.id, by=by, reason="the drill has ended")
    handle = "its sandbox was deleted" if run.sandbox_own else "nothing could be deleted"
    return Left(run_id=run.id, why=f"no answer came to its launch; {handle}, and it is written off")
