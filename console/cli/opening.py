"""Opens the app for a command: the engine on the state folder that the invocation names, with its config."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from console.app import App, engine_settings, open_app, provider_factory
from console.cli.invocation import Invocation
from console.cli.signals import not_stopped_by_terminal
from console.config import Settings
from console.engine.settings import ProcessKind


@asynccontextmanager
async def opened(
    invocation: Invocation,
    kind: ProcessKind = ProcessKind.COMMAND,
    *,
    settings: Settings | None = None,
    read_only: bool = False,
) -> AsyncIterator[App]:
    """Open the app of `invocation`; `settings` default to those of its config file.

    Raises ConfigError, CommandError, StoreError.
    """
    settings = settings or invocation.settings()
    # The console drives its terminal itself.
    job_control = nullcontext() if kind is ProcessKind.CONSOLE else not_stopped_by_terminal()
    with job_control:
        async with open_app(
            folder=invocation.folder,
            settings=engine_settings(settings, kind, read_only=read_only),
            make_provider=provider_factory(settings.provider, invocation.environment, settings.tasks),
        ) as app:
            yield app
