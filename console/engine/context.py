"""What a guard works with, and the scribe that carries events from the store into the log."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from console.domain.run import Run
from console.domain.timestamps import Clock
from console.domain.usage import Price
from console.engine.log_flush import LogFlusher
from console.engine.problems import Problems
from console.engine.settings import EngineSettings, Timings
from console.journal.launch_journal import LaunchJournal
from console.provider.contract import Provider
from console.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineContext:
    """Everything a guard needs, handed in."""

    store: Store
    log_flusher: LogFlusher
    launches: LaunchJournal
    provider: Provider
    clock: Clock
    settings: EngineSettings
    owner: str
    problems: Problems
    holds_lock: Callable[[], bool] = field(default=lambda: True)
    """False where others take this process for dead: then it launches nothing."""
    timings: Timings = field(default_factory=Timings)
    jitter: Callable[[float], float] = field(default=lambda longest: random.uniform(0.0, longest))
    """A random wait between 0 and `longest` seconds."""

    def price(self, run: Run) -> Price | None:
        """What the model of `run` costs, where the table knows it."""
        return self.settings.prices.get(run.fingerprint.model)
