"""The books of a run close once: with the provider's terminal answer, and with the usage it showed last."""

from __future__ import annotations

import asyncio

from console.domain.run import Outcome, Run, State, settled_outcome
from console.domain.task import Stage
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.context import EngineContext
from console.engine.run.live_usage import LiveUsage
from console.engine.run.writer import RunWriter
from console.provider.contract import ProviderError, RemoteRun, StatusClass
from console.store.rows import RunResult

NOTE = 200
RESULT = 262_144
"""Characters of the agent's own text that are kept."""


async def settle_run(context: EngineContext, keeper: RunWriter, figures: LiveUsage, remote: RemoteRun) -> Run:
    """Settles the run of which the provider showed `remote`, an end.

    Usage that comes late is waited for a little; where none ever came, the hold is what the run is booked at.
    Goes on trying while the store does not work. Raises LostRun where another process settles it.
    """
    ended = context.clock.now()
    remote = await _with_usage(context, figures, remote)

    async def settle(run: Run) -> Run:
        return await context.store.runs.settle(run, ending_of(context, run, figures, remote, ended), ended)

    while keeper.run.state is not State.ENDED:
        if not await keeper.write(settle):
            await asyncio.sleep(context.timings.tick_s)
    await context.log_flusher.flush()
    return keeper.run


async def _with_usage(context: EngineContext, figures: LiveUsage, remote: RemoteRun) -> RemoteRun:
    for wait in context.timings.usage_waits_s:
        if remote.usage is not None:
            break
        await asyncio.sleep(wait)
        try:
            again = await context.provider.get(remote.remote_id)
        except ProviderError:
            continue
        if again.status_class is StatusClass.TERMINAL:
            remote = again
            figures.absorb_remote(again, context.clock.now())
    return remote


def ending_of(context: EngineContext, run: Run, figures: LiveUsage, remote: RemoteRun, ended: Timestamp) -> RunResult:
    """How `run` ended, by what the provider showed last."""
    reason = run.stop.reason if run.stop else None
    server_limit_hit = figures.usage.uncached >= run.limits.server_limit
    outcome = settled_outcome(remote.status, reason=reason, server_limit_hit=server_limit_hit)
    note = "; ".join(remote.errors)
    if remote.status_class is StatusClass.PARKED:
        note = f"needs input: the provider shows {remote.status}"
    if outcome is None:
        outcome = Outcome.FAILED
    if not figures.usage_known:
        note = f"{note + '; ' if note else ''}usage was never told: booked at the hold"
    price = context.price(run)
    known = figures.usage_known
    return RunResult(
        outcome=outcome,
        note=sanitize(note, limit=NOTE),
        result=remote.result[:RESULT],
        usage=figures.usage,
        used=figures.used if known else run.limits.budget,
        usage_known=known,
        cost_micro=price.cost(figures.usage) if price and known else None,
        currency=price.currency if price else None,
        elapsed_ms=ended.since(run.sent) if run.sent else 0,
        retry_at_ms=retry_at(context, run, outcome, ended),
        remote_status=remote.status,
    )


def retry_at(context: EngineContext, run: Run, outcome: Outcome, now: Timestamp) -> int | None:
    """When an unattended task tries its key again by itself; None where a person must."""
    task = context.settings.task(run.task)
    if task is None or run.stage is not Stage.UNATTENDED or outcome is not Outcome.FAILED:
        return None
    guardrails = task.guardrails
    if outcome.value not in guardrails.retry_on or run.attempt >= guardrails.max_attempts:
        return None
    waits = context.timings.retry_waits_ms
    at = now.wall_ms + waits[min(run.attempt, len(waits)) - 1]
    return at if run.expires_ms is None or at < run.expires_ms else None
