"""Checks that ask the services: what would make a run wait for a person, and sessions that were never used.

Only services that launch in sessions are asked: at the others a launch itself sends all that decides about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from console.app import ProviderFactory
from console.config import Settings
from console.doctor.runner import Area, Check, Level, Results, Subject
from console.domain.formatting import counted
from console.domain.task import Task
from console.engine.errors import StoreError
from console.provider.contract import RUN_LABEL, Denied, Invalid, LaunchOrder, NotFound, Provider, ProviderError
from console.provider.services import TRAITS
from console.provider.traits import Prepares
from console.store.diagnostics import inspect_database
from console.store.fleet_settings import FleetSettings

LONGEST_S = 20.0
"""Seconds for all questions of one check. What is not answered by then counts as out of reach."""
AT_ONCE = 8
"""Questions to one service at the same time."""

Line = tuple[Level, str]
Question = Callable[[Provider, str], Awaitable[list[Line]]]
"""Asks one service, by the provider's name."""


def review(subject: Subject) -> Results:
    """Ask each service what would hinder its tasks where nobody watches."""
    settings = subject.settings
    if settings is None:
        return

    async def ask(provider: Provider, name: str) -> list[Line]:
        tasks = [task for task in settings.tasks if task.provider == name]
        turns = asyncio.Semaphore(AT_ONCE)
        lines = await asyncio.gather(*(_reviewed(provider, task, turns) for task in tasks))
        found = [line for each in lines for line in each]
        return found or [(Level.OK, f"{name}: no tool of {counted(len(tasks), 'task')} asks a person")]

    yield from asyncio.run(_ask_all(settings, subject.environment, ask))


async def _reviewed(provider: Provider, task: Task, turns: asyncio.Semaphore) -> list[Line]:
    async with turns:
        try:
            hindrances = await provider.review(_order(task))
        except (NotFound, Denied, Invalid) as error:
            return [(Level.FAIL, f"task {task.name}: {error}")]
    return [(Level.WARN, f"task {task.name}: {hindrance}") for hindrance in hindrances]


def _order(task: Task) -> LaunchOrder:
    return LaunchOrder(
        agent=task.agent,
        model=task.model,
        prompt=task.prompt,
        environment=task.environment,
        prepared_id=None,
        server_limit=None,
        max_ms=task.guardrails.max_ms,
        labels={},
        tools=task.tools,
        network=task.network,
        system_instruction=task.system_instruction,
    )


def sessions(subject: Subject) -> Results:
    """Count the sessions that were prepared and never started; those of open runs may still be."""
    if subject.settings is None:
        return
    open_runs: set[str] = set()
    with suppress(StoreError):
        open_runs = _open_runs(subject.folder, subject.settings.store.fleet)

    async def ask(provider: Provider, name: str) -> list[Line]:
        left = [one for one in await provider.unstarted() if one.labels.get(RUN_LABEL) not in open_runs]
        if not left:
            return [(Level.OK, f"{name}: every session was used")]
        message = f"{name}: {counted(len(left), 'session')} prepared and never used"
        return [(Level.WARN, f"{message}; a running `nightdesk` deletes those of its own state folder every hour")]

    yield from asyncio.run(_ask_all(subject.settings, subject.environment, ask))


def _open_runs(folder: Path, fleet: FleetSettings | None) -> set[str]:
    if fleet is not None:
        from console.store.postgres.peek import open_runs_of_fleet

        return {run.id for run in open_runs_of_fleet(fleet).runs}
    with inspect_database(folder) as found:
        return {run.id for run in found.open_runs}


async def _ask_all(settings: Settings, environment: Mapping[str, str], question: Question) -> list[Line]:
    """Return the lines of all services that launch in sessions. One without a usable key is reported elsewhere."""
    factory = ProviderFactory(settings, environment)
    names = [name for name, each in settings.providers.items() if TRAITS[each.kind].prepares is Prepares.SESSION]
    lines: list[Line] = []
    for name in names:
        if factory.key_trouble(name) is not None:
            continue
        provider = factory(name)
        try:
            async with asyncio.timeout(LONGEST_S):
                lines += await question(provider, name)
        except ProviderError as error:
            lines.append((Level.WARN, f"{name}: the service cannot be asked: {error}"))
        except TimeoutError:
            lines.append((Level.WARN, f"{name}: the service did not answer within {LONGEST_S:.0f} s"))
        finally:
            await provider.aclose()
    return lines


SERVICE_CHECKS = (
    Check(name="agents", area=Area.CONFIG, run=review),
    Check(name="sessions", area=Area.AROUND, run=sessions),
)
