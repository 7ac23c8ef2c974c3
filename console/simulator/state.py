"""The simulated service: what was asked, what really started and what still runs, whatever the client was told.

Safe to use from any thread. Times come from an injectable monotonic clock; nothing moves by itself.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable

from console.simulator.faults import CallKind, Fault, FaultRegistry, FaultSet, FaultSpec, Switch
from console.simulator.gemini.validation import RunRequest
from console.simulator.resources import Environments, SavedAgents
from console.simulator.run import RunStore, RunView, SimulatedRun
from console.simulator.scenario import Scenario
from console.simulator.timeline import SimulatorClock


class SimulatorState:
    """Interactions, sandboxes, saved agents, faults and counters of one simulated service."""

    def __init__(
        self,
        *,
        seed: int = 0,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        default: Scenario | None = None,
        api_key: str | None = None,
    ) -> None:
        """`now`: seconds of any monotonic clock. `api_key`: the only one accepted; None accepts any but none."""
        self.seed = seed
        self.api_key = api_key
        self.default = default if default is not None else Scenario()
        """The scenario of a prompt that brings none."""
        self.lock = threading.RLock()
        self.bell = ChangeSignal()
        self.clock = SimulatorClock(now, wall)
        self.switches = FaultRegistry(seed)
        self.environments = Environments(seed=seed)
        self.agents = SavedAgents()
        self.interactions = RunStore(
            seed=seed,
            clock=self.clock,
            switches=self.switches,
            environments=self.environments,
            agents=self.agents,
        )
        self._calls: Counter[str] = Counter()
        self._posts: Counter[str] = Counter()
        self._most_live: Counter[str] = Counter()

    def reset(self) -> None:
        """Forgets runs, sandboxes, agents, faults and counts; clock and default scenario stay."""
        with self.lock:
            for part in (self.switches, self.environments, self.agents, self.interactions):
                part.reset()
            for counter in (self._calls, self._posts, self._most_live):
                counter.clear()
        self.bell.ring()

    def advance(self, seconds: float) -> None:
        """Puts the world's clocks forward. Raises ValueError for a step back."""
        with self.lock:
            self.clock.advance(seconds)
        self.bell.ring()

    def set_faults(self, spec: FaultSpec) -> None:
        """Switches faults on for everybody. Raises ValueError for an unknown one."""
        with self.lock:
            self.switches.put(spec)
        self.bell.ring()

    def clear_faults(self) -> None:
        """Switches off what `set_faults` switched on; a run's own faults stay."""
        with self.lock:
            self.switches.clear()
        self.bell.ring()

    def reply_fault(self, call: CallKind, own: FaultSet | None = None) -> Fault | None:
        """What strikes this reply, counting one chance of it."""
        with self.lock:
            return self.switches.reply_fault(call, own)

    def take(self, switch: Switch, own: FaultSet | None = None) -> Fault | None:
        """The switch where it is on for this run or for everybody, counting one chance of it."""
        with self.lock:
            return self.switches.take(switch, own)

    def count(self, call: str, key: str | None = None) -> None:
        """One more call of this kind arrived whole; `key` of a create."""
        with self.lock:
            self._calls[call] += 1
            if key is not None:
                self._posts[key] += 1

    def calls(self, call: str) -> int:
        """Calls of a kind that arrived whole, whatever came of them; `elsewhere`: those that followed a redirect."""
        with self.lock:
            return self._calls[call]

    def posts(self, key: str | None = None) -> int:
        """Create POSTs that arrived whole, whatever came of them; of one `nightdesk-key`, or all."""
        with self.lock:
            return self._calls[CallKind.CREATE] if key is None else self._posts[key]

    def started(self, key: str | None = None) -> int:
        """Runs that REALLY started; of one `nightdesk-key`, or all."""
        return len(self.runs(key))

    def live(self, key: str | None = None) -> int:
        """Runs that may still spend; of one key, or all."""
        with self.lock:
            return self.interactions.live(key)

    def runs(self, key: str | None = None) -> tuple[SimulatedRun, ...]:
        """Every run that ever started, deleted ones too, oldest first."""
        with self.lock:
            return self.interactions.all(key)

    def view(self, run_id: str) -> RunView:
        """The truth about a run now, whatever the service would say of it. Raises KeyError."""
        with self.lock:
            return self.interactions.view(self.interactions.truth(run_id))

    def start(self, order: RunRequest, scenario: Scenario, board: FaultSet) -> SimulatedRun:
        """Starts a run. Raises ApiError where the order names what does not exist, or chains on a live run."""
        with self.lock:
            run = self.interactions.start(order, scenario, board)
            self._most_live[run.key] = max(self._most_live[run.key], self.interactions.live(run.key))
            return run

    def stats(self) -> dict[str, object]:
        """All counts as JSON: calls per kind; posts, started and most live at once per `nightdesk-key`."""
        with self.lock:
            started = Counter(run.key for run in self.interactions.all())
            return {
                "calls": dict(self._calls),
                "posts": self.posts(),
                "posts_by_key": dict(self._posts),
                "started": self.started(),
                "started_by_key": dict(started),
                "most_live_by_key": dict(self._most_live),
                "live": self.live(),
                "cancelled": sum(run.cancels > 0 for run in self.interactions.all()),
                "environments_made": self.environments.made,
                "environments_deleted": list(self.environments.deleted),
                "faults": list(self.switches.names),
            }


class ChangeSignal:
    """Rung, from any thread, after something changed other than by time."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[], None], ...] = ()

    def listen(self, listener: Callable[[], None]) -> None:
        """`listener` must be quick and must not raise."""
        self._listeners = (*self._listeners, listener)

    def ring(self) -> None:
        """Tells every listener."""
        for listener in self._listeners:
            listener()


class ChangeWaiter:
    """Belongs to the event loop in which it is first waited for."""

    def __init__(self, bell: ChangeSignal) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sleepers: set[asyncio.Future[None]] = set()
        bell.listen(self._rung)

    async def sleep(self, seconds: float, left: asyncio.Future[None]) -> None:
        """Until the bell rings, the time is over, or `left` is done."""
        self._loop = asyncio.get_running_loop()
        sleeper = self._loop.create_future()
        self._sleepers.add(sleeper)
        try:
            await asyncio.wait({sleeper, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._sleepers.discard(sleeper)

    def _rung(self) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            # The loop was closed between the two lines; nobody sleeps there any more.
            return

    def _wake(self) -> None:
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)
