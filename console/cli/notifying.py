"""Tells people what came up while a process guards runs, as the config's [notify] says.

The parts that send messages are loaded once somebody is to be told: most configs tell nobody.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from console.app import App
from console.cli.invocation import Invocation
from console.config import Settings
from console.engine.concerns import Concern

if TYPE_CHECKING:
    from console.notify.dispatcher import NoticeDispatcher
    from console.notify.message import NoticeSource

EVERY_S = 2.0
MAX_HOST = 40
"""Characters of the host's name that are shown."""


def host_name() -> str:
    """The name of this host, in letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9.-]", "", os.uname().nodename)[:MAX_HOST]


def source_of(settings: Settings) -> NoticeSource:
    """Who speaks in messages of this process."""
    from console.notify.message import NoticeSource

    return NoticeSource(host=host_name(), ledger=settings.store.name or "")


@asynccontextmanager
async def notifying(invocation: Invocation, app: App, settings: Settings) -> AsyncIterator[None]:
    """Tell people what comes up in the block, and at its end what came last; whatever fails, the block goes on.

    `settings` hold until the invocation has loaded others.
    """
    telling = _Telling(invocation, app, settings)
    app.engine.add_concern(Concern(name="notify", round=telling.round, every_s=EVERY_S))
    try:
        yield
    finally:
        await telling.finish()


class _Telling:
    """Makes the notifier in the first round in which somebody is to be told."""

    def __init__(self, invocation: Invocation, app: App, settings: Settings) -> None:
        self._invocation = invocation
        self._app = app
        self._settings = settings
        self._dispatcher: NoticeDispatcher | None = None

    async def round(self) -> None:
        """One round. Raises OSError where the state folder cannot be used."""
        if self._dispatcher is None:
            if not self._in_force().notify.is_on:
                return
            # In a thread: loading takes a moment, in which cancels must leave.
            self._dispatcher = await asyncio.to_thread(self._make)
        await self._dispatcher.round()

    async def finish(self) -> None:
        """The last round of a process that tells people anything."""
        with suppress(Exception):  # no message is worth an error at the end of a run
            if self._dispatcher is not None:
                await self._dispatcher.finish()

    def _in_force(self) -> Settings:
        return self._invocation.loaded_settings or self._settings

    def _make(self) -> NoticeDispatcher:
        from console.notify.channels import make_channels
        from console.notify.dispatcher import NoticeDispatcher

        return NoticeDispatcher(
            self._app.engine,
            self._app.clock,
            self._invocation.folder,
            source_of(self._settings),
            settings=lambda: self._in_force().notify,
            make_channels=lambda use: make_channels(use, self._invocation.environment),
        )
