"""What leaves the machine while a process guards runs: messages as the config's [notify] says, spans as [otel] says.

The parts that send are loaded once there is something to send to: most configs name nobody.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from console import __version__
from console.app import App
from console.cli.invocation import Invocation
from console.config import Settings
from console.engine.concerns import Concern

if TYPE_CHECKING:
    from console.notify.message import NoticeSource

EVERY_S = 2.0
LAST_S = 3.0
"""How long a process waits at its end for what it sends last."""
LAST_OF_RUN_S = 10.0
"""The same for `run`, which nobody waits for: behind it there may be no process until the next scheduled time."""
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
async def sending(
    invocation: Invocation, app: App, settings: Settings, *, last_s: float = LAST_S
) -> AsyncIterator[None]:
    """Send in the block what comes up, and at its end, for `last_s` seconds, what came last.

    Whatever fails, the block goes on. `settings` hold until the invocation has loaded others.
    """

    def in_force() -> Settings:
        return invocation.loaded_settings or settings

    parts = (
        LazyPart("notify", lambda: in_force().notify.is_on, lambda: _make_notifier(invocation, app, in_force)),
        LazyPart("otel", lambda: _sends_spans(app, in_force), lambda: _make_exporter(invocation, app, in_force)),
    )
    for part in parts:
        app.engine.add_concern(Concern(name=part.name, round=part.round, every_s=EVERY_S))
    try:
        yield
    finally:
        # Together: none waits for what another one waits for.
        await asyncio.gather(*(part.finish(last_s) for part in parts))


class OutgoingPart(Protocol):
    """A part that sends something, a little in each of its rounds."""

    async def round(self) -> None:
        """One round. Raises StoreError, and OSError where the state folder cannot be used."""
        ...

    async def finish(self, within_s: float) -> None:
        """The last round, for at most `within_s` seconds."""
        ...


class LazyPart:
    """Makes a part in the first round in which it has something to do, which may be the last one."""

    def __init__(self, name: str, is_on: Callable[[], bool], make: Callable[[], OutgoingPart]) -> None:
        """`is_on` is asked until it is true; `make` is called once, in a thread."""
        self.name = name
        self._is_on = is_on
        self._make = make
        self._part: OutgoingPart | None = None
        self._making = asyncio.Lock()

    async def round(self) -> None:
        """One round. Raises StoreError, and OSError where the state folder cannot be used."""
        part = await self._made()
        if part is not None:
            await part.round()

    async def finish(self, within_s: float) -> None:
        """The last round. A run may be over before its first one has loaded what it needs."""
        with suppress(Exception):  # neither a message nor a span is worth an error at the end of a run
            part = await self._made()
            if part is not None:
                await part.finish(within_s)

    async def _made(self) -> OutgoingPart | None:
        async with self._making:
            if self._part is None and self._is_on():
                # In a thread: loading takes a moment, in which cancels must leave.
                self._part = await asyncio.to_thread(self._make)
        return self._part


def _make_notifier(invocation: Invocation, app: App, in_force: Callable[[], Settings]) -> OutgoingPart:
    from console.notify.channels import make_channels
    from console.notify.dispatcher import NoticeDispatcher

    return NoticeDispatcher(
        app.engine,
        app.clock,
        invocation.folder,
        source_of(in_force()),
        settings=lambda: in_force().notify,
        make_channels=lambda use: make_channels(use, invocation.environment),
    )


def _sends_spans(app: App, in_force: Callable[[], Settings]) -> bool:
    """True where the config has a receiver of spans and OpenTelemetry is there; a problem says where it is not."""
    if in_force().otel.endpoint is None:
        app.engine.problems.clear("otel")
        return False
    from console.tracing.receiver import MISSING, is_installed

    if not is_installed():
        app.engine.problems.report("otel", f"otel: {MISSING}", source="extra", lasting=True)
        return False
    return True


def _make_exporter(invocation: Invocation, app: App, in_force: Callable[[], Settings]) -> OutgoingPart:
    from console.tracing.exporter import SpanExporter
    from console.tracing.receiver import OtlpReceiver

    about = {"service.version": __version__, "host.name": host_name()}
    ledger = in_force().store.name
    return SpanExporter(
        app.store,
        app.engine.problems,
        app.clock,
        invocation.folder,
        settings=lambda: in_force().otel,
        make_receiver=lambda use: OtlpReceiver(use, invocation.environment),
        about={**about, "nightdesk.ledger": ledger} if ledger else about,
    )
