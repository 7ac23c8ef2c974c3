"""Sends cancels while the state store cannot be read, for the runs whose ids stand in the files of the state folder.

A process that holds the store must not keep a person from stopping agents. What is sent here is not recorded: the
process that guards a run sees its end at the service and records that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from console.app import LazyProvider, ProviderFactory
from console.cli.invocation import Invocation
from console.domain.launch import oldest_live_id
from console.domain.run import Outcome, RunId
from console.domain.text import sanitize
from console.engine.clock import SystemClock
from console.journal.launch_journal import LaunchJournal
from console.journal.log_reader import LogReader
from console.provider.contract import NotFound, ProviderError, StatusClass, shown_end

ENDED = frozenset(outcome.value for outcome in Outcome)
"""The statuses of a log line after which a run is over."""
AT_ONCE = 8
"""Calls to the service at the same time."""
AGAIN_S = 2.0
"""Between two cancels of a run that the service does not show as ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstoredCancel:
    """A cancel that was sent and is not recorded."""

    run_id: RunId
    remote_id: str
    answer: str
    """What the service replied, or why nothing was sent; one sanitized line."""
    shown: str | None = None
    """The final status that the service shows; None while it shows none."""


Report = Callable[[UnstoredCancel], None]


async def cancel_unstored(
    invocation: Invocation, texts: Sequence[str], seconds: float, report: Report
) -> tuple[UnstoredCancel, ...]:
    """Cancel the runs in launch.journal that the service shows as live, and wait for their ends for `seconds`.

    In a fleet also those in runs.log, where the launches of all hosts stand. `texts` are beginnings of run ids, and
    for runs in that log keys and names of tasks; without any, all runs are cancelled that may still be live. `report`
    gets each cancel once it is sent, and again once the service shows the end. Raises ConfigError, CommandError,
    ValueError without a usable key, JournalError.
    """
    settings = invocation.settings()
    factory = ProviderFactory(settings, invocation.environment)
    providers = [LazyProvider(partial(factory, name)) for name in settings.providers if not factory.key_trouble(name)]
    if not providers:
        raise ValueError(factory.key_trouble(next(iter(settings.providers))))
    oldest = oldest_live_id(settings.tasks, SystemClock().now().wall_ms)
    wanted = tuple(text.strip().lower() for text in texts)
    known = {
        run_id: remote_id
        for run_id, remote_id in LaunchJournal(invocation.folder / "launch.journal").read().items()
        if (run_id.startswith(wanted) if wanted else run_id >= oldest)
    }
    if settings.store.fleet is not None:
        known |= launched_in_log(invocation.folder / "runs.log", wanted, oldest)
    chosen = list(known.items())
    calls = asyncio.Semaphore(AT_ONCE)
    until = asyncio.get_running_loop().time() + seconds

    async def cancel(run_id: RunId, remote_id: str) -> UnstoredCancel | None:
        async with calls:
            found = await _where_live(providers, remote_id)
            if not found:
                return None
            sent = await _cancel_once(found, run_id, remote_id)
        report(sent)
        return await _wait_for_end(found, sent, calls, until, report)

    try:
        results = await asyncio.gather(*(cancel(run_id, remote_id) for run_id, remote_id in chosen))
    finally:
        for provider in providers:
            await provider.aclose()
    return tuple(each for each in results if each is not None)


def launched_in_log(path: Path, wanted: tuple[str, ...], oldest: RunId) -> dict[RunId, str]:
    """The remote ids of the runs that a log shows as launched and not as ended. Raises JournalError.

    Its last lines may be missing where the database went away before they were copied.
    """
    found: dict[RunId, str] = {}
    with LogReader(path) as reader:
        for line in reader.read():
            record, fields = line.record, line.record.fields
            run_id = RunId(fields.get("run", ""))
            is_wanted = run_id.startswith(wanted) or record.key in wanted or fields.get("task", "").lower() in wanted
            if record.status == "launched" and (is_wanted if wanted else run_id >= oldest):
                found[run_id] = fields.get("remote", "-")
            elif record.status in ENDED:
                found.pop(run_id, None)
    return {run_id: remote_id for run_id, remote_id in found.items() if remote_id != "-"}


async def _where_live(providers: Sequence[LazyProvider], remote_id: str) -> list[LazyProvider]:
    """Return the services that may have the run as live: the one that shows it, else those that do not answer.

    The journal does not say at which service a run was launched.
    """
    silent = []
    for provider in providers:
        try:
            remote = await provider.get(remote_id)
        except NotFound:
            continue
        except ProviderError:
            silent.append(provider)
        else:
            return [] if remote.status_class is StatusClass.TERMINAL else [provider]
    return silent


async def _wait_for_end(
    providers: Sequence[LazyProvider], sent: UnstoredCancel, calls: asyncio.Semaphore, until: float, report: Report
) -> UnstoredCancel:
    """Repeat the cancel until the service shows the end, or until `until` (the loop's clock)."""
    loop = asyncio.get_running_loop()
    while True:
        async with calls:
            for provider in providers:
                shown = await shown_end(provider, sent.remote_id)
                if shown is not None:
                    sent = replace(sent, shown=shown)
                    report(sent)
                    return sent
            if loop.time() >= until:
                return sent
        await asyncio.sleep(min(AGAIN_S, max(0.0, until - loop.time())))
        async with calls:
            sent = await _cancel_once(providers, sent.run_id, sent.remote_id)


async def _cancel_once(providers: Sequence[LazyProvider], run_id: RunId, remote_id: str) -> UnstoredCancel:
    answers = []
    for provider in providers:
        try:
            answers.append((await provider.cancel(remote_id)).said)
        except ProviderError as error:
            answers.append(f"not cancelled: {error}")
    return UnstoredCancel(run_id=run_id, remote_id=remote_id, answer=sanitize("; ".join(answers), limit=200))
