"""The books of a run close once: with the provider's terminal answer, and with the usage it showed last."""

from __future__ import annotations

import asyncio

from console.domain.moment import Moment
from console.domain.run import Outcome, Run, State, settled_outcome
from console.domain.task import Stage
from console.domain.text import safe
from console.engine.figures import Figures
from console.engine.keeping import Keeper
from console.engine.parts import Parts
from console.provider.contract import ProviderError, RemoteRun, StatusClass
from console.store.rows import Ending

NOTE = 200
RESULT = 262_144
"""Characters of the agent's own text that are kept."""


async def close(parts: Parts, keeper: Keeper, figures: Figures, remote: RemoteRun) -> Run:
    """Settles the run of which the provider showed `remote`, an end.

    Usage that comes late is waited for a little; where none ever came, the hold is what the run is booked at.
    Goes on trying while the store does not work. Raises LostRun where another process settles it.
    """
    ended = parts.clock.now()
    remote = await _with_usage(parts, figures, remote)

    async def settle(run: Run) -> Run:
        return await parts.store.runs.settle(run, ending_of(parts, run, figures, remote, ended), ended)

    while keeper.run.state is not State.ENDED:
        if not await keeper.write(settle):
            await asyncio.sleep(parts.pacing.tick_s)
    await parts.scribe.flush()
    return keeper.run


async def _with_usage(parts: Parts, figures: Figures, remote: RemoteRun) -> RemoteRun:
    for wait in parts.pacing.usage_waits_s:
        if remote.usage is not None:
            break
        await asyncio.sleep(wait)
        try:
            again = await parts.provider.get(remote.remote_id)
        except ProviderError:
            continue
        if again.status_class is StatusClass.TERMINAL:
            remote = again
            figures.absorb_remote(again, parts.clock.now())
    return remote


def ending_of(parts: Parts, run: Run, figures: Figures, remote: RemoteRun, ended: Moment) -> Ending:
    """How `run` ended, by what the provider showed last."""
    reason = run.stop.reason if run.stop else None
    belt_hit = figures.usage.uncached >= run.limits.belt_tokens
    outcome = settled_outcome(remote.status, reason=reason, belt_hit=belt_hit)
    note = "; ".join(remote.errors)
    if remote.status_class is StatusClass.PARKED:
        note = f"needs input: the provider shows {remote.status}"
    if outcome is None:
        outcome = Outcome.FAILED
    if not figures.usage_known:
        note = f"{note + '; ' if note else ''}usage was never told: booked at the hold"
    price = parts.price(run)
    known = figures.usage_known
    return Ending(
        outcome=outcome,
        note=safe(note, limit=NOTE),
        result=remote.result[:RESULT],
        usage=figures.usage,
        used=figures.used if known else run.limits.budget,
        usage_known=known,
        cost_micro=price.cost(figures.usage) if price and known else None,
        currency=price.currency if price else None,
        elapsed_ms=ended.since(run.sent) if run.sent else 0,
        retry_at_ms=retry_at(parts, run, outcome, ended),
        remote_status=remote.status,
    )


def retry_at(parts: Parts, run: Run, outcome: Outcome, now: Moment) -> int | None:
    """When an unattended task tries its key again by itself; None where a person must."""
    task = parts.settings.task(run.task)
    if task is None or run.stage is not Stage.UNATTENDED or outcome is not Outcome.FAILED:
        return None
    guardrails = task.guardrails
    if outcome.value not in guardrails.retry_on or run.attempt >= guardrails.max_attempts:
        return None
    waits = parts.pacing.retry_waits_ms
    at = now.wall_ms + waits[min(run.attempt, len(waits)) - 1]
    return at if run.expires_ms is None or at < run.expires_ms else None
