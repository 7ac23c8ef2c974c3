"""Short commands on a state folder: an engine that takes nothing over, opened and closed around one act."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.cli.build import House
    from console.cli.shell import Shell


@asynccontextmanager
async def opened(shell: Shell) -> AsyncIterator[House]:
    """The house for a command that guards nothing. Raises ConfigError, StoreError, Failure."""
    from console.cli.build import built, engine_settings, provider_of
    from console.engine.settings import Kind

    settings = shell.settings()
    async with built(
        folder=shell.folder,
        settings=engine_settings(settings, Kind.COMMAND),
        make_provider=provider_of(settings.provider, shell.environment),
    ) as house:
        yield house
