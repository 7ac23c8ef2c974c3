"""The only constructor of things: store, log, journal, provider, clock and engine are put together here, once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from console.cli.diag import diagnosing
from console.cli.lazy_provider import LazyProvider
from console.config import ProviderSettings, Settings
from console.domain.moment import Clock
from console.engine.clock import SystemClock
from console.engine.engine import Engine
from console.engine.pacing import Pacing
from console.engine.settings import EngineSettings, Kind
from console.journal.launches import LaunchJournal
from console.journal.writer import LogWriter
from console.provider.contract import Provider
from console.store.store import Store

STARTED_S = 3.0
USUAL = (700, 10, 10)
"""When garbage is looked for, as Python has it by itself."""
MakeProvider = Callable[[], Provider]


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What was built, open: the engine and the parts that a command may need beside it."""

    engine: Engine
    store: Store
    log: LogWriter
    clock: Clock
    provider: LazyProvider


@asynccontextmanager
async def built(
    *, folder: Path, settings: EngineSettings, make_provider: MakeProvider, pacing: Pacing | None = None
) -> AsyncIterator[House]:
    """An engine on a state folder; on leaving, its runs are handed over and everything is closed.

    Raises StoreError.
    """
    async with AsyncExitStack() as stack:
        # At its start a process makes much and drops little; from then on it may run for months.
        asyncio.get_running_loop().call_later(STARTED_S, gc.set_threshold, *USUAL)
        clock = SystemClock()
        store = await Store.open(folder, now=clock.now(), read_only=settings.read_only)
        stack.push_async_callback(store.close)
        if settings.kind.guards and not settings.read_only:
            stack.enter_context(diagnosing(folder / "diag.log", clock))
        log = LogWriter(folder / "runs.log")
        stack.callback(log.close)
        launches = LaunchJournal(folder / "launch.journal")
        stack.callback(launches.close)
        provider = LazyProvider(make_provider)
        stack.push_async_callback(provider.aclose)
        engine = Engine(
            store=store,
            log=log,
            launches=launches,
            provider=provider,
            clock=clock,
            settings=settings,
            folder=folder,
            pacing=pacing,
        )
        await stack.enter_async_context(engine)
        yield House(engine=engine, store=store, log=log, clock=clock, provider=provider)


def engine_settings(settings: Settings, kind: Kind, *, read_only: bool = False) -> EngineSettings:
    """The config as an engine of that kind takes it."""
    schedules = kind is Kind.SERVE or (kind is Kind.CONSOLE and settings.console_schedules)
    return EngineSettings(
        tasks=settings.tasks,
        caps=settings.caps,
        units=settings.units,
        prices=dict(settings.prices),
        rollout=settings.rollout,
        poll_ms=settings.poll_ms,
        kind=kind,
        read_only=read_only,
        schedules=schedules and not read_only,
    )


def provider_of(settings: ProviderSettings, environment: Mapping[str, str]) -> MakeProvider:
    """Makes the provider that the config names. What it gives raises ValueError where there is no usable key."""

    def make() -> Provider:
        # Not before it is needed: the HTTP library takes longer to load than most commands take in all.
        from console.provider.interactions import InteractionsProvider
        from console.provider.secret import Secret

        key = settings.api_key
        secret = Secret.from_file(key.file) if key.file else Secret.from_env(key.env or "", environment)
        return InteractionsProvider(base_url=settings.base_url, api_version=settings.api_version, secret=secret)

    return make
