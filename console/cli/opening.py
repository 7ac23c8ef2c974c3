"""Short commands on a state folder: an engine that takes nothing over, opened and closed around one act."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.app import App
    from console.cli.invocation import Invocation


@asynccontextmanager
async def opened(shell: Invocation) -> AsyncIterator[App]:
    """The house for a command that guards nothing. Raises ConfigError, StoreError, Failure."""
    from console.app import engine_settings, open_app, provider_factory
    from console.engine.settings import ProcessKind

    settings = shell.settings()
    async with open_app(
        folder=shell.folder,
        settings=engine_settings(settings, ProcessKind.COMMAND),
        make_provider=provider_factory(settings.provider, shell.environment),
    ) as house:
        yield house
