"""The composition root: the one place that builds the store, the logs, the provider, the clock and the engine."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from console import __version__
from console.config import ProviderSettings, Settings
from console.diag_log import diag_log
from console.domain.timestamps import Clock
from console.engine.clock import SystemClock
from console.engine.engine import Engine
from console.engine.errors import StoreError
from console.engine.kernel_locks import KernelLocks
from console.engine.ownership import Ownership
from console.engine.settings import EngineSettings, ProcessKind, ServiceSettings, Timings
from console.journal.launch_journal import LaunchJournal
from console.journal.runs_log import LogWriter
from console.provider.contract import (
    CancelAnswer,
    Denied,
    LaunchOrder,
    LostLaunch,
    NotSent,
    Provider,
    RemoteRun,
    Resolution,
    StreamEvent,
    Unstarted,
    Verdict,
)
from console.provider.http.observation import Observe
from console.provider.http.secret import Secret
from console.provider.services import TRAITS, make_provider, traits_of
from console.provider.traits import Traits
from console.start_up import begin_collection
from console.store.fleet_settings import FleetSettings
from console.store.pragmas import BUSY_MS
from console.store.store import Store

COLLECT_AFTER_S = 3.0
"""Seconds until garbage is collected, which it is not while modules load."""
PR_SET_DUMPABLE = 4
"""From <linux/prctl.h>."""
MakeProvider = Callable[[str], Provider]
"""Makes the provider of a name; raises ValueError, in one line, if there is no usable key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An engine that runs, and the parts of it that a command may use directly."""

    engine: Engine
    store: Store
    log: LogWriter
    clock: Clock
    providers: Mapping[str, LazyProvider]
    """By their names in the config."""


@asynccontextmanager
async def open_app(
    *,
    folder: Path,
    settings: EngineSettings,
    make_provider: MakeProvider,
    key_trouble: Callable[[str], str | None] = lambda name: None,
    timings: Timings | None = None,
    create: bool = True,
    busy_ms: int = BUSY_MS,
    fleet: FleetSettings | None = None,
) -> AsyncIterator[App]:
    """Run an engine on the state folder `folder`; when the block ends it hands over its runs and everything closes.

    With `create` the first use makes the state folder. `busy_ms` is how long the store waits for locks of other
    processes. With `fleet` the store is that of several hosts, and the folder is what this one keeps beside it. Raises
    StoreAbsent if there is none and none may be made, StoreError.
    """
    forbid_memory_dumps()
    async with AsyncExitStack() as stack:
        loop = asyncio.get_running_loop()
        loop.call_later(COLLECT_AFTER_S, begin_collection, loop)
        clock: Clock = SystemClock()
        store = await Store.open(
            folder, now=clock.now(), read_only=settings.read_only, create=create, busy_ms=busy_ms, fleet=fleet
        )
        stack.push_async_callback(store.close)
        if settings.supervises:
            stack.enter_context(diag_log(folder / "diag.log", clock))
        log = LogWriter(folder / "runs.log")
        stack.callback(log.close)
        launches = LaunchJournal(folder / "launch.journal")
        stack.callback(launches.close)
        providers = {
            one.name: LazyProvider(partial(make_provider, one.name), traits_of(one.kind, one.launch))
            for one in settings.services
        }
        for provider in providers.values():
            stack.push_async_callback(provider.aclose)
        try:
            ownership, clock = _ownership(stack, store, clock, fleet, settings)
            engine = Engine(
                store=store,
                log=log,
                launches=launches,
                providers=providers,
                clock=clock,
                settings=settings,
                folder=folder,
                ownership=ownership,
                key_trouble=key_trouble,
                timings=timings,
            )
        except OSError as error:
            # Its lock cannot be made, on a read-only file system for one.
            raise StoreError(f"the state folder {folder} cannot be used: {error.strerror}") from error
        await stack.enter_async_context(engine)
        yield App(engine=engine, store=store, log=log, clock=clock, providers=providers)


def _ownership(
    stack: AsyncExitStack, store: Store, clock: Clock, fleet: FleetSettings | None, settings: EngineSettings
) -> tuple[Ownership, Clock]:
    """Return how this process knows who owns what, and the clock that all owners share. Raises OSError."""
    locks = KernelLocks(store.database.folder, supervises=settings.supervises)
    stack.callback(locks.release)
    if fleet is None:
        return locks, clock
    from console.engine.fleet_clock import FleetClock
    from console.engine.leases import LeaseOwnership, lock_domain, this_process
    from console.store.postgres.database import PostgresDatabase
    from console.store.postgres.leases import Leases

    database = store.database
    if settings.supervises:
        # A connection of its own: a renewal waits for no other unit of this process.
        database = PostgresDatabase(store.database.folder, fleet)
        stack.push_async_callback(database.close)
    shared = FleetClock(clock)
    domain = lock_domain(store.database.folder, clock)
    process = this_process(locks, kind=settings.kind.value, host=fleet.host, domain=domain, version=__version__)
    return LeaseOwnership(locks, Leases(database, clock.now), shared, process), shared


def require_key(providers: Mapping[str, LazyProvider]) -> None:
    """Raises ValueError, in one line, if none of the providers has a usable key."""
    troubles = []
    for provider in providers.values():
        try:
            provider.ready()
        except ValueError as error:
            troubles.append(error)
    if len(troubles) == len(providers):
        raise troubles[0]


def forbid_memory_dumps() -> None:
    """Keep the API key and the prompts of this process out of core files and from other processes of the user."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def engine_settings(settings: Settings, kind: ProcessKind, *, read_only: bool = False) -> EngineSettings:
    """Return the part of the config that an engine in a process of that kind needs."""
    schedules = kind is ProcessKind.SERVE or (kind is ProcessKind.CONSOLE and settings.console_schedules)
    return EngineSettings(
        tasks=settings.tasks,
        caps=settings.caps,
        units=settings.units,
        prices=dict(settings.prices),
        rollout=settings.rollout,
        services=tuple(map(service_settings, settings.providers.values())),
        kind=kind,
        read_only=read_only,
        schedules=schedules and not read_only,
    )


def service_settings(provider: ProviderSettings) -> ServiceSettings:
    """Return what the engine needs of one service."""
    return ServiceSettings(
        name=provider.name,
        kind=provider.kind,
        service=provider.service,
        server_limit=TRAITS[provider.kind].server_limit,
        launch=provider.launch,
        poll_ms=provider.poll_ms,
    )


class ProviderFactory:
    """Makes the providers that the config names."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        keys: Mapping[str, str] | None = None,
        *,
        observe: Observe | None = None,
    ) -> None:
        """`keys` are API keys, by name of the provider, that another process handed over.

        Other keys are read where the config says. `observe` is called with every exchange with a service.
        """
        self._observe = observe
        self._settings = settings
        self._environment = environment
        self.keys_from_files = dict(keys or {})
        """The API keys once they were read from files, for a process that takes over after the files are gone."""

    def __call__(self, name: str) -> Provider:
        """Make the provider of that name. Raises ValueError, in one line, if there is no usable key."""
        service = self._settings.providers[name]
        return make_provider(
            kind=service.kind,
            base_url=service.base_url,
            api_version=service.api_version,
            secret=self._secret(name),
            proxy=service.proxy,
            ca_file=service.ca_file,
            hidden=[text for task in self._settings.tasks for text in (task.prompt, task.system_instruction) if text],
            observe=self._observe,
            launch=service.launch,
        )

    def key_trouble(self, name: str) -> str | None:
        """Why that provider has no usable API key, in one line; None where it has one.

        The HTTP library is not loaded.
        """
        try:
            self._secret(name)
        except ValueError as error:
            return str(error)
        return None

    def _secret(self, name: str) -> Secret:
        source = self._settings.providers[name].api_key
        if name in self.keys_from_files:
            return Secret(self.keys_from_files[name])
        if source.file is None:
            return Secret.from_env(source.env or "", self._environment)
        secret = Secret.from_file(source.file)
        self.keys_from_files[name] = secret.reveal()
        return secret


class LazyProvider:
    """A provider that is made at the first call. Most commands make none and read no API key.

    A key that cannot be read is reported as the port reports a refusal: nothing was sent.
    """

    def __init__(self, make: Callable[[], Provider], traits: Traits = TRAITS["gemini"]) -> None:
        """`make` raises ValueError, in one line, if there is no usable key; `traits` are those of what it makes."""
        self.traits = traits
        self._make = make
        self._made: Provider | None = None

    def ready(self) -> Provider:
        """Return the provider. Raises ValueError; for commands that need one before they do anything."""
        if self._made is None:
            self._made = self._make()
        return self._made

    async def create(self, order: LaunchOrder) -> Verdict:
        try:
            provider = self._provider()
        except Denied as error:
            return NotSent(why=str(error))
        return await provider.create(order)

    async def resolve(self, lost: LostLaunch) -> Resolution:
        return await self._provider().resolve(lost)

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        return await self._provider().review(order)

    async def prepare(self, order: LaunchOrder) -> str:
        return await self._provider().prepare(order)

    async def prepared_exists(self, prepared_id: str) -> bool:
        return await self._provider().prepared_exists(prepared_id)

    async def discard(self, prepared_id: str) -> None:
        await self._provider().discard(prepared_id)

    async def unstarted(self) -> tuple[Unstarted, ...]:
        return await self._provider().unstarted()

    async def get(self, remote_id: str) -> RemoteRun:
        return await self._provider().get(remote_id)

    def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        return self._provider().follow(remote_id)

    async def cancel(self, remote_id: str) -> CancelAnswer:
        return await self._provider().cancel(remote_id)

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made.aclose()

    def _provider(self) -> Provider:
        try:
            return self.ready()
        except ValueError as error:
            raise Denied(str(error)) from None
