"""Calls an operation of the engine and returns the notice about its result, which claims no more than was proven."""

from __future__ import annotations

import asyncio

from console.domain.run import RunId, State
from console.engine.errors import StoreError
from console.engine.models import LaunchKind, LaunchRequest, LaunchResult
from console.engine.prompts import PromptComparison
from console.ui.context import Context
from console.ui.spans import Span, Tone, sanitize_cell
from console.ui.words import run_count


async def stop(context: Context, ids: tuple[RunId, ...], why: str = "") -> Span:
    """Stop these runs; `why` may be empty."""
    # All at once: a store that does not answer delays each of them.
    runs = await asyncio.gather(*(context.engine.operations.stop(run_id, by=context.by, why=why) for run_id in ids))
    unstored = [run for run in runs if run.outcome is None and run.stop is None]
    if len(runs) > 1:
        told = f"; {len(unstored)} of these stops are not recorded yet" if unstored else ""
        text = f"stopping {len(runs)} runs; waiting for the provider to confirm{told}"
        return Span(text, Tone.WARN if unstored else Tone.PLAIN)
    task = sanitize_cell(runs[0].task)
    if runs[0].outcome is not None:
        return Span(f"{task} had already ended: {runs[0].outcome_words}", Tone.MUTED)
    if unstored:
        return Span(f"{task}: {sanitize_cell(runs[0].trouble, limit=200)}", Tone.WARN)
    return Span(f"stopping {task}; waiting for the provider to confirm")


async def stop_all(context: Context) -> Span:
    """Stop all live and unconfirmed runs."""
    runs = await context.engine.operations.stop_all(by=context.by)
    return Span(f"stopping {run_count(len(runs))}", Tone.WARN)


async def launch(context: Context, request: LaunchRequest) -> Span:
    """Launch what was previewed."""
    return launched(await context.engine.operations.launch(request))


async def approve(context: Context, run_id: RunId, why: str) -> Span:
    """Approve a proposal; it is launched if the caps still have room. `why` may be empty."""
    answer = await context.engine.operations.approve(run_id, by=context.by, why=why)
    if answer.refusal is not None:
        return Span(f"not launched: {sanitize_cell(answer.refusal.sentence)}", Tone.BAD)
    return Span(f"approved: {sanitize_cell(answer.run.task)}", Tone.OK)


async def decline(context: Context, run_id: RunId, reason: str) -> Span:
    """Decline a proposal."""
    run = await context.engine.operations.decline(run_id, by=context.by, reason=reason)
    return Span(f"declined: {sanitize_cell(run.task)}")


async def settle(context: Context, run_id: RunId, ruling: str, values: tuple[str, ...]) -> Span:
    """Settle a run: `adopt` with the values (id, reason), `not-launched` or `write-off` with (reason,)."""
    operations, by, reason = context.engine.operations, context.by, values[-1]
    if ruling == "adopt":
        run = await operations.settle_adopt(run_id, values[0], by=by, reason=reason)
    elif ruling == "not-launched":
        run = await operations.settle_not_launched(run_id, by=by, reason=reason)
    else:
        run = await operations.settle_write_off(run_id, by=by, reason=reason)
    became = run.outcome_words or run.state.value
    return Span(f"settled: {sanitize_cell(run.task)} is {became}", Tone.OK if run.state is State.ENDED else Tone.BUSY)


async def switch(context: Context, answer: str, why: str) -> Span:
    """Use the kill switch: `resume`, `pause`, or `cancel` to pause and stop all runs. `why` may be empty."""
    operations, by = context.engine.operations, context.by
    if answer == "resume":
        await operations.resume(by=by, why=why)
        return Span("launches resumed", Tone.OK)
    result = await operations.pause(by=by, cancel=answer == "cancel", why=why)
    asked = f"; stopping {run_count(len(result.stopped))}" if result.stopped else ""
    unstored = "; not recorded yet, the state store does not answer" if result.unstored else ""
    return Span(f"launches paused{asked}{unstored}", Tone.WARN)


def launched(answer: LaunchResult) -> Span:
    """The notice about the result of a launch."""
    task = sanitize_cell(answer.run.task)
    match answer.kind:
        case LaunchKind.LAUNCHED:
            return Span(f"launched {task}, key {answer.run.key}", Tone.OK)
        case LaunchKind.PROPOSED:
            return Span(f"proposed {task}; waiting for approval", Tone.WAIT)
        case LaunchKind.SKIPPED:
            holder = answer.holder
            state = (holder.outcome_words if holder else "") or "running"
            return Span(f"skipped: key {answer.run.key} is already {state}", Tone.WARN)
        case LaunchKind.REFUSED:
            why = sanitize_cell(answer.refusal.sentence if answer.refusal else answer.run.note)
            return Span(f"refused: {why}", Tone.BAD)


async def read_prompt(context: Context, task: str) -> PromptComparison | None:
    """The prompt for a question; None where it is not known, and where the store does not answer: that must keep nobody
    from answering the question.
    """
    try:
        return await context.engine.queries.prompt(task)
    except StoreError:
        return None
