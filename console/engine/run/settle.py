"""The end of a run: its accounts close once, with the provider's terminal answer and the usage it showed last."""

from __future__ import annotations

import asyncio

from console.domain.run import Ending, Outcome, Run, State, settled_outcome
from console.domain.server_limit import TokenLimit
from console.domain.task import Stage
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.concerns import describe
from console.engine.context import EngineContext
from console.engine.errors import OwnershipLost
from console.engine.run.cancel import NOTE, discard_own
from console.engine.run.live_usage import LiveUsage
from console.engine.run.writer import RunWriter
from console.provider.contract import Provider, ProviderError, RemoteRun, StatusClass
from console.provider.traits import DiscardUse
from console.store.transitions import RunResult

RESULT = 262_144
"""Characters of the agent's own text that are kept."""


async def settle_run(
    context: EngineContext,
    writer: RunWriter,
    usage: LiveUsage,
    remote: RemoteRun,
    *,
    parked: str = "",
    sandbox_deleted: bool = False,
) -> None:
    """Settle the run of which the provider showed `remote`, a terminal answer.

    Usage that arrives late is waited for a little; where none ever came, or none after the last step, the run is booked
    at its hold or at what it is known to have used, whichever is more. `parked` is the status under which it waited for
    input before this program cancelled it; `sandbox_deleted` is true where its stop deleted its sandbox, also where
    that is not stored yet. Goes on trying while the store does not work, unless the row is gone. Raises OwnershipLost
    where another process settles it, and where the row is gone.
    """
    ended = context.clock.now()
    remote = await _with_usage(context, context.provider_of(writer.run), usage, remote)

    async def settle(run: Run) -> Run:
        deleted = sandbox_deleted or run.sandbox_deleted_ms is not None
        result = result_of(context, run, usage, remote, ended, parked=parked, sandbox_deleted=deleted)
        return await context.store.runs.settle(run, result, ended)

    while not await writer.write(settle):
        if writer.row.state is State.ENDED:
            break
        if writer.is_missing:
            run_id = writer.row.id
            end = f"the service shows {sanitize(remote.status, limit=40)}, and nothing of it is recorded"
            context.problems.report("lost run", f"run {run_id} was supervised to its end: {end}", lasting=True)
            raise OwnershipLost(run_id)
        await asyncio.sleep(context.timings.tick_s)
    await context.log_flusher.flush()
    if context.traits_of(writer.run).discard is DiscardUse.AFTER_STOP and _was_cut_off(writer.run, remote):
        # The session stays usable otherwise: a later message, or a raised limit, would resume it.
        await discard_own(context, writer)


def _was_cut_off(run: Run, remote: RemoteRun) -> bool:
    return run.stop is not None or remote.ending is Ending.SERVER_LIMIT


async def _with_usage(context: EngineContext, provider: Provider, usage: LiveUsage, remote: RemoteRun) -> RemoteRun:
    for wait in context.timings.usage_waits_s:
        if remote.usage is not None:
            break
        await asyncio.sleep(wait)
        try:
            again = await provider.get(remote.remote_id)
        except ProviderError:
            continue
        except Exception as error:
            text = f"the last usage could not be read: {describe(error)}"
            context.problems.report("usage", text, error, source=remote.remote_id)
            continue
        if again.status_class is StatusClass.TERMINAL:
            remote = again
            usage.absorb_remote(again, context.clock.now())
    context.problems.clear("usage", remote.remote_id)
    return remote


def result_of(
    context: EngineContext,
    run: Run,
    usage: LiveUsage,
    remote: RemoteRun,
    ended: Timestamp,
    *,
    parked: str = "",
    sandbox_deleted: bool = False,
) -> RunResult:
    """How `run` ended, by what the provider showed last.

    An agent that fails because its stop deleted its sandbox was stopped: it did not fail by itself, and is not retried.
    """
    ending, notes = _ending(run, usage, remote), list(remote.errors)
    if ending is Ending.FAILED and run.stop is not None and sandbox_deleted:
        ending = Ending.CANCELLED
        notes.insert(0, "the cancel had no effect; it ended when its sandbox was deleted")
    outcome = settled_outcome(ending, run.stop.reason if run.stop else None)
    if parked and run.stop is None and outcome is Outcome.CANCELLED:
        outcome, notes = Outcome.FAILED, [f"needs input: the provider showed {parked}", *notes]
    known = usage.usage_known and (remote.usage is not None or usage.is_complete)
    if not known:
        missing = "no usage for its last steps" if usage.usage_known else "no usage"
        notes.append(f"the provider reported {missing}: booked at the hold")
    price = context.settings.price_of(run)
    return RunResult(
        outcome=outcome,
        note=sanitize("; ".join(distinct(notes)), limit=NOTE),
        result=remote.result[:RESULT],
        usage=usage.usage,
        used=usage.used if known else max(usage.used, run.limits.budget),
        usage_known=known,
        cost_micro=price.cost(usage.usage) if price and known else None,
        currency=price.currency if price else None,
        elapsed_ms=ended.since(run.sent) if run.sent else 0,
        retry_at_ms=retry_at(context, run, outcome, ended),
        remote_status=remote.status,
        progress=usage.progress_of(run, price, ended),
        steps=usage.unsaved_steps(),
    )


def _ending(run: Run, usage: LiveUsage, remote: RemoteRun) -> Ending:
    """The ending that the provider showed. A run that is incomplete at its token limit was ended by that limit."""
    ending, limit = remote.ending or Ending.FAILED, run.limits.server_limit
    if ending is Ending.INCOMPLETE and isinstance(limit, TokenLimit) and limit.is_reached(usage.usage):
        return Ending.SERVER_LIMIT
    return ending


def distinct(notes: list[str]) -> list[str]:
    """The notes without those that repeat what another one says behind its code, `13: X` beside `tool_error: X`."""
    kept: dict[str, str] = {}
    for note in notes:
        kept.setdefault(note.partition(": ")[2] or note, note)
    return list(kept.values())


def retry_at(context: EngineContext, run: Run, outcome: Outcome, now: Timestamp) -> int | None:
    """When an unattended task tries its key again by itself (wall milliseconds); None where a person must."""
    task = context.settings.task(run.task)
    if task is None or run.stage is not Stage.UNATTENDED or outcome is not Outcome.FAILED:
        return None
    guardrails = task.guardrails
    if outcome.value not in guardrails.retry_on or run.attempt >= guardrails.max_attempts:
        return None
    waits = context.timings.retry_waits_ms
    at = now.wall_ms + waits[min(run.attempt, len(waits)) - 1]
    return at if run.expires_ms is None or at < run.expires_ms else None
