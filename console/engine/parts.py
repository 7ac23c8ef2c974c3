"""What a guard works with, and the scribe that carries events from the store into the log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from console.domain.moment import Clock
from console.domain.run import Run
from console.domain.usage import Price
from console.engine.pacing import Pacing
from console.engine.settings import EngineSettings
from console.journal.errors import JournalError
from console.journal.launches import LaunchJournal
from console.journal.writer import LogWriter
from console.provider.contract import Provider
from console.store.errors import StoreError
from console.store.store import Store


class Problems:
    """What the operator must know now, by topic: one cleaned line each, gone when it is over."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}

    def set(self, topic: str, line: str) -> None:
        """Shows `line` until the topic is cleared."""
        self._lines[topic] = line

    def clear(self, topic: str) -> None:
        """The trouble is over."""
        self._lines.pop(topic, None)

    def lines(self) -> tuple[str, ...]:
        """All of them, oldest first."""
        return tuple(self._lines.values())


class Scribe:
    """Writes every log record of the store that is not in the file yet, in the order of `ev`."""

    def __init__(self, store: Store, log: LogWriter, problems: Problems) -> None:
        self._store = store
        self._log = log
        self._problems = problems
        self._mutex = asyncio.Lock()

    async def flush(self) -> None:
        """A line is in the file before the act that caused it returns.

        The file is derived from the store: where it cannot be written, the problem is shown and the lines
        follow later. Never raises for the log; never undoes what the store holds.
        """
        try:
            async with self._mutex, self._log.turn():
                while records := await self._store.outbox.unlogged():
                    self._log.append(records, sync=True)
                    await self._store.outbox.mark_logged([record.ev for record in records])
        except (JournalError, StoreError) as error:
            self._problems.set("log", f"the log is behind: {error}")
        else:
            self._problems.clear("log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything a guard needs, handed in."""

    store: Store
    scribe: Scribe
    launches: LaunchJournal
    provider: Provider
    clock: Clock
    settings: EngineSettings
    owner: str
    problems: Problems
    holds_lock: Callable[[], bool] = field(default=lambda: True)
    """False where others take this process for dead: then it launches nothing."""
    pacing: Pacing = field(default_factory=Pacing)
    jitter: Callable[[float], float] = field(default=lambda longest: random.uniform(0.0, longest))
    """A random wait between 0 and `longest` seconds."""

    def price(self, run: Run) -> Price | None:
        """What the model of `run` costs, where the table knows it."""
        return self.settings.prices.get(run.fingerprint.model)
