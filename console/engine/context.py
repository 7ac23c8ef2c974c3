"""What the parts of one engine share: its ports, its settings and its identity, handed in at construction.

Kept apart because every part of the engine needs it while it needs none of them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from console.domain.formatting import zone_or_utc
from console.domain.run import Run, RunId
from console.domain.timestamps import Clock, Timestamp
from console.engine.concerns import BackgroundTasks
from console.engine.load import PollPace, streams_at_once
from console.engine.log_flush import LogFlusher
from console.engine.problems import Problems
from console.engine.reachability import Reachability
from console.engine.run.launch_queue import LaunchQueue
from console.engine.settings import EngineSettings, Timings
from console.journal.launch_journal import LaunchJournal
from console.provider.contract import Provider
from console.provider.traits import Traits
from console.store.store import Store


@dataclass(slots=True, kw_only=True)
class EngineContext:
    """The ports and settings of one engine. `Engine.reload` replaces `settings`."""

    store: Store
    log_flusher: LogFlusher
    launches: LaunchJournal
    providers: Mapping[str, Provider]
    """By their names in the config."""
    clock: Clock
    settings: EngineSettings
    owner: str
    """The id of this process among the owners of runs."""
    problems: Problems
    background: BackgroundTasks
    """Writes that nobody waits for."""
    journal_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One launch at a time writes into `launches`."""
    cancelled_at: dict[RunId, Timestamp] = field(default_factory=dict)
    """When this process last sent a cancel for a run."""
    stop_took_s: float = 0.0
    """How long the last stop of a run took to be stored."""
    holds_lock: Callable[[], bool] = field(default=lambda: True)
    """False once others may take over the runs of this process, so that it launches nothing: its lock file was removed
    or, in a fleet, its lease is not renewed."""
    in_fleet: bool = False
    """True where processes of other hosts own runs of the same store."""
    clock_behind_ms: Callable[[], int] = field(default=lambda: 0)
    """By how much the wall clock of this host is behind `clock`; negative where it is ahead."""
    key_trouble: Callable[[str], str | None] = field(default=lambda name: None)
    """Why this process has no usable API key for the provider of that name, in one line; None where it has one."""
    timings: Timings = field(default_factory=Timings)
    launch_queue: LaunchQueue = field(init=False)
    """The claimed runs of this process that wait to be sent."""
    poll_pace: PollPace = field(init=False)
    streams: asyncio.Semaphore = field(init=False)
    """A place for each event stream that may be open; runs without one are only polled."""
    _reachability: dict[str, Reachability] = field(init=False)
    """Whether the provider answers the polls."""
    jitter: Callable[[float], float] = field(default=lambda longest: random.uniform(0.0, longest))
    """A random wait between 0 and `longest` seconds."""

    def __post_init__(self) -> None:
        self.launch_queue = LaunchQueue(self.timings.launches_at_once)
        self.poll_pace = PollPace(self.timings.polls_at_once)
        self.streams = asyncio.Semaphore(streams_at_once())
        self._reachability = {
            name: Reachability(
                self.problems,
                provider=name,
                after_ms=self.timings.offline_after_ms,
                zone=lambda: zone_or_utc(self.settings.caps.time_zone),
            )
            for name in self.providers
        }

    def provider_of(self, run: Run) -> Provider:
        """The provider of the service at which `run` is launched."""
        return self.providers[self.settings.service_of(run).name]

    def reachability_of(self, run: Run) -> Reachability:
        """What is known of the connection to that provider."""
        return self._reachability[self.settings.service_of(run).name]

    def has_some_key(self) -> bool:
        """True where this process has a usable API key for one provider at least."""
        return any(self.key_trouble(one.name) is None for one in self.settings.services)

    def traits_of(self, run: Run) -> Traits:
        """What that provider is able to do."""
        return self.provider_of(run).traits

    def key_trouble_of(self, run: Run) -> str | None:
        """Why this process has no usable API key for `run`, in one line; None where it has one."""
        return self.key_trouble(self.settings.service_of(run).name)
