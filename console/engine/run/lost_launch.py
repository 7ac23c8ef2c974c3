"""A launch without an answer: the start is repeated, or the service is asked, where the provider is able to do so.

Only two answers change something. A run that was found is taken up; a launch that is proven to have started nothing,
and to be unable to start anything later, gives its key and its hold back. Everything else leaves the run as it is.
"""

from __future__ import annotations

import asyncio

from console.domain.run import Run
from console.domain.text import sanitize
from console.engine.concerns import describe, wait_event
from console.engine.context import EngineContext
from console.engine.errors import OperationRefused
from console.engine.run.cancel import NOTE
from console.provider.contract import (
    Absent,
    Fenced,
    Found,
    Launched,
    LaunchOrder,
    LostLaunch,
    ProviderError,
    Resolution,
    Unknown,
    Unsupported,
    labels_of,
)


def lost_launch(run: Run) -> LostLaunch:
    """Return what is known of the launch of `run`, of which no answer came."""
    return LostLaunch(
        prepared_id=run.sandbox_id if run.sandbox_own else None,
        labels=labels_of(run),
        sent_ms=run.sent.wall_ms if run.sent else run.created_ms,
    )


def can_resolve(context: EngineContext, run: Run) -> bool:
    """True where the service can be asked what became of the launch of `run`."""
    return context.traits_of(run).can_find_launch and run.sandbox_id is not None and run.sandbox_own


async def resolve(context: EngineContext, run: Run) -> tuple[Resolution, str]:
    """Ask the service once; the second value is what went wrong, cleaned. Never raises: an error proves nothing."""
    resolution: Resolution = Absent()
    trouble = ""
    try:
        resolution = await context.provider_of(run).resolve(lost_launch(run))
    except Unsupported:
        pass
    except ProviderError as error:
        trouble = str(error)
    except Exception as error:
        text = f"run {run.id}: resolve raised {describe(error)}"
        context.problems.report(f"run {run.id}", text, error, source="resolve")
        return Absent(), sanitize(describe(error), limit=NOTE)
    context.problems.clear(f"run {run.id}", "resolve")
    return resolution, sanitize(trouble, limit=NOTE)


async def require_not_found(context: EngineContext, run: Run) -> None:
    """Raises OperationRefused where the service shows that `run` was launched after all, or does not answer."""
    if not can_resolve(context, run):
        return
    resolution, trouble = await resolve(context, run)
    if isinstance(resolution, Found):
        raise OperationRefused(f"the service shows that it was launched, as {resolution.remote_id}: adopt it")
    if trouble:
        raise OperationRefused(f"the service cannot be asked whether it was launched: {trouble}")


async def clear_up(
    context: EngineContext, run: Run, order: LaunchOrder | None, unknown: Unknown, stopped: asyncio.Event
) -> Launched | Fenced | Unknown:
    """Repeat the start or ask the service, a few times, before the run becomes unconfirmed.

    `order` is what was sent; None where another process sent it. A repetition that is refused proves nothing about
    the first request, so only a launch counts. Ends early where a stop was requested.
    """
    verdict: Launched | Fenced | Unknown = unknown
    for wait in context.timings.resolve_first_waits_s:
        if order is not None and context.traits_of(run).start_repeats and not stopped.is_set():
            repeated = await _repeat(context, run, order)
            if isinstance(repeated, Launched):
                return repeated
        if can_resolve(context, run):
            verdict = _verdict(run, unknown, (await resolve(context, run))[0])
        if not isinstance(verdict, Unknown) or not can_resolve(context, run):
            break
        await wait_event(stopped, wait)
    return verdict


def _verdict(run: Run, unknown: Unknown, resolution: Resolution) -> Launched | Fenced | Unknown:
    match resolution:
        case Found(remote_id=remote_id):
            return Launched(remote_id=remote_id, status="", prepared_id=run.sandbox_id)
        case Fenced():
            return resolution
        case Absent():
            return unknown


async def _repeat(context: EngineContext, run: Run, order: LaunchOrder) -> object:
    """Send the start again; the service recognises it. An error of any kind proves nothing."""
    try:
        return await context.provider_of(run).create(order)
    except Exception as error:
        context.problems.report_once(f"run {run.id}", f"run {run.id}: the launch raised {describe(error)}", error)
        return Unknown(why=f"the launch raised {describe(error)}")
