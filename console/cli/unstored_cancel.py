"""Sends cancels while the state store cannot even be read, for the runs whose ids stand in launch.journal.

A process that holds the store must not keep a person from stopping agents. What is sent here is not recorded: the
process that guards a run sees its end at the service and records that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from console.app import LazyProvider, ProviderFactory
from console.cli.invocation import Invocation
from console.domain.run import RunId, new_run_id
from console.domain.text import sanitize
from console.engine.clock import SystemClock
from console.journal.launch_journal import LaunchJournal
from console.provider.contract import NotFound, ProviderError, StatusClass

AT_ONCE = 8
"""Calls to the service at the same time."""
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstoredCancel:
    """A cancel that was sent and is not recorded."""

    run_id: RunId
    remote_id: str
    answer: str
    """What the service replied, or why nothing was sent; one sanitized line."""


async def cancel_unstored(invocation: Invocation, texts: Sequence[str]) -> tuple[UnstoredCancel, ...]:
    """Cancel the runs in launch.journal that the service shows as live.

    `texts` are beginnings of run ids; without any, all runs are cancelled that are younger than the longest time limit
    and a day. Raises ConfigError, CommandError, ValueError without a usable key, JournalError.
    """
    settings = invocation.settings()
    factory = ProviderFactory(settings, invocation.environment)
    providers = [LazyProvider(partial(factory, name)) for name in settings.providers if not factory.key_trouble(name)]
    if not providers:
        raise ValueError(factory.key_trouble(next(iter(settings.providers))))
    longest_ms = max((task.guardrails.max_ms for task in settings.tasks), default=0) + DAY_MS
    oldest = new_run_id(max(0, SystemClock().now().wall_ms - longest_ms), bytes(10))
    journal = LaunchJournal(invocation.folder / "launch.journal")
    wanted = tuple(text.strip().lower() for text in texts)
    chosen = [
        (run_id, remote_id)
        for run_id, remote_id in journal.read().items()
        if (run_id.startswith(wanted) if wanted else run_id >= oldest)
    ]
    calls = asyncio.Semaphore(AT_ONCE)

    async def cancel(run_id: RunId, remote_id: str) -> UnstoredCancel | None:
        async with calls:
            answers = [await _cancel_at(provider, remote_id) for provider in providers]
        # The journal does not say at which service a run was launched: where it is not known, nothing is cancelled.
        answer = "; ".join(filter(None, answers))
        if not answer:
            return None
        return UnstoredCancel(run_id=run_id, remote_id=remote_id, answer=sanitize(answer, limit=200))

    try:
        sent = await asyncio.gather(*(cancel(run_id, remote_id) for run_id, remote_id in chosen))
    finally:
        for provider in providers:
            await provider.aclose()
    return tuple(each for each in sent if each is not None)


async def _cancel_at(provider: LazyProvider, remote_id: str) -> str:
    """Cancel a run at one service; return its answer, or an empty text if it shows no such run as live."""
    try:
        if (await provider.get(remote_id)).status_class is StatusClass.TERMINAL:
            return ""
        return (await provider.cancel(remote_id)).said
    except NotFound:
        return ""
    except ProviderError as error:
        return f"not cancelled: {error}"
