"""Opens the app for a command: the engine on the state folder that the invocation names, with its config."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress

from console.app import App, ProviderFactory, engine_settings, open_app
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.handover import hand_over
from console.cli.invocation import Invocation
from console.cli.known_folders import is_lost, other_folders, remember_folder
from console.cli.outgoing import LAST_OF_RUN_S, LAST_S, sending
from console.cli.signals import not_stopped_by_terminal
from console.cli.store_wait import told_of_opening, told_of_waits
from console.config import Settings
from console.domain.caps import Caps
from console.domain.text import sanitize
from console.domain.usage import Units
from console.engine.errors import StoreAbsent
from console.engine.settings import EngineSettings, ProcessKind
from console.provider.contract import Provider
from console.store.pragmas import BUSY_MS

LEAST = (
    (resource.RLIMIT_AS, 512 << 20, "MB", "memory", "ulimit -v"),
    (resource.RLIMIT_FSIZE, 256 << 20, "MB", "size of a file", "ulimit -f"),
    (resource.RLIMIT_NOFILE, 32, "", "number of open files", "ulimit -n"),
)
"""What a guard needs: of address space much is reserved for threads and never used; the store and its log grow; the
store, the logs, the locks and two connections are open at once.
"""
NO_CAPS = Caps(daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None, time_zone="UTC")
LAUNCHING = (ProcessKind.CONSOLE, ProcessKind.RUN, ProcessKind.SERVE)


@asynccontextmanager
async def opened(
    invocation: Invocation,
    kind: ProcessKind = ProcessKind.COMMAND,
    *,
    settings: Settings | None = None,
    read_only: bool = False,
    create: bool = True,
    busy_ms: int = BUSY_MS,
) -> AsyncIterator[App]:
    """Open the app of `invocation`; `settings` default to those of its config file.

    A folder that was used before and is gone is not begun anew: its keys and holds would be forgotten without a word.
    Raises ConfigError, CommandError, StoreError.
    """
    if kind.guards:
        require_limits()
    settings = settings or invocation.settings()
    if is_lost(invocation.config.path, invocation.folder):
        raise StoreAbsent(invocation.folder, was_used=True)
    read_only = read_only or invocation.is_locked
    invocation.provider_factory = ProviderFactory(settings, invocation.environment, invocation.handed_keys)
    # The console drives its terminal itself.
    job_control = nullcontext() if kind is ProcessKind.CONSOLE else not_stopped_by_terminal()
    with job_control:
        async with AsyncExitStack() as stack:
            app = await _entered(
                stack,
                invocation,
                busy_ms,
                open_app(
                    folder=invocation.folder,
                    settings=engine_settings(settings, kind, read_only=read_only),
                    make_provider=invocation.provider_factory,
                    key_trouble=invocation.provider_factory.key_trouble,
                    create=create,
                    busy_ms=busy_ms,
                    fleet=settings.store.fleet,
                ),
                has_screen=kind is ProcessKind.CONSOLE,
            )
            if kind in LAUNCHING:
                _tell_other_folders(invocation)
            last_s = LAST_OF_RUN_S if kind is ProcessKind.RUN else LAST_S
            sends = kind.guards and not read_only
            outgoing = sending(invocation, app, settings, last_s=last_s) if sends else nullcontext()
            try:
                async with outgoing:
                    yield app
            except Exception:
                if app.engine.guarded:
                    # An error of this program must not leave a run without a guard; it is reported either way.
                    with suppress(Exception):
                        await hand_over(invocation, app)
                raise


@asynccontextmanager
async def opened_for_emergency(
    invocation: Invocation, *, create: bool = True, busy_ms: int = BUSY_MS
) -> AsyncIterator[App]:
    """Open the app for `ps`, `cancel` and `pause`, which need the state folder only.

    `busy_ms` is how long to wait for a store that another process holds. If the config cannot be used, a stop is only
    stored, and the process that guards the run sends it. Raises ConfigError or CommandError if there is no state folder
    with runs either, StoreError.
    """
    settings = invocation.settings_if_usable()
    if settings is not None:
        async with opened(invocation, settings=settings, create=create, busy_ms=busy_ms) as app:
            yield app
        return

    def no_provider(name: str) -> Provider:
        raise ValueError("the config cannot be used, so the service is not known")

    with not_stopped_by_terminal():
        async with AsyncExitStack() as stack:
            yield await _entered(
                stack,
                invocation,
                busy_ms,
                open_app(
                    folder=invocation.folder,
                    settings=EngineSettings(tasks=(), caps=NO_CAPS, units=Units(), kind=ProcessKind.COMMAND),
                    make_provider=no_provider,
                    create=create,
                    busy_ms=busy_ms,
                ),
            )


async def _entered(
    stack: AsyncExitStack,
    invocation: Invocation,
    busy_ms: int,
    opening: AbstractAsyncContextManager[App],
    *,
    has_screen: bool = False,
) -> App:
    """Open the app, and say where that or what the command does with it waits for the store.

    With a screen nothing is said once it is open: the screen shows a store that does not answer.
    """
    with told_of_opening(invocation.say, busy_ms):
        app = await stack.enter_async_context(opening)
    if not has_screen:
        await stack.enter_async_context(told_of_waits(invocation.say, app.store.database, busy_ms))
    return app


def require_limits() -> None:
    """Raise CommandError where the system gives this process less than a guard needs.

    Below that, threads, files and sockets fail at any moment: a run could be launched and never be recorded, or the
    interpreter itself could hang before a cancel is sent. A soft limit is raised where the hard one allows it.
    """
    for which, least, unit, what, option in LEAST:
        soft, hard = resource.getrlimit(which)
        if soft == resource.RLIM_INFINITY or soft >= least:
            continue
        if hard == resource.RLIM_INFINITY or hard >= least:
            resource.setrlimit(which, (hard, hard))
            continue
        shown = [f"{value >> 20} MB" if unit else str(value) for value in (soft, least)]
        raise CommandError(
            ExitCode.REFUSED,
            f"the {what} of this process is limited to {shown[0]} ({option}); to guard a run it needs {shown[1]}: "
            "nothing was launched or taken over",
        )


def _tell_other_folders(invocation: Invocation) -> None:
    config, folder = invocation.config.path, invocation.folder
    for other in other_folders(config, folder):
        invocation.say(
            f"another state folder with runs of this config: {sanitize(str(other))}; this process uses "
            f"{sanitize(str(folder))}. Caps and keys count apart in each: set state_dir under [store] in the config"
        )
    remember_folder(config, folder)
