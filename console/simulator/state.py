"""The state of a simulated service: which calls arrived, which runs really started and which of them may still spend.

It is independent of any wire format and of what clients were told. It is safe to use from any thread.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from console.simulator.clock import ChangeSignal, SimulatorClock
from console.simulator.faults import CallKind, Fault, FaultRegistry, FaultSet, FaultSpec, Switch
from console.simulator.resources import Environments, SavedAgents
from console.simulator.run import RunRequest, RunStore, RunView, SimulatedRun
from console.simulator.scenario import Scenario
from console.simulator.sessions import Sessions


class SimulatorState:
    """Runs, sandboxes, saved agents, faults and counts of one simulated service.

    The parts (`run_store`, `environments`, `sessions`, `agents`, `faults`) are used while holding `lock`; the methods
    take it.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        default: Scenario | None = None,
        api_key: str | None = None,
        control_token: str | None = None,
    ) -> None:
        """`now` returns the seconds of any monotonic clock, `wall` seconds since the epoch.

        `api_key` is the only accepted key; None accepts any key, but not a call without one. `control_token` must be in
        every control call; None requires no token.
        """
        self.seed = seed
        self.api_key = api_key
        self.control_token = control_token
        self.default = default if default is not None else Scenario()
        """The scenario of a prompt without a `#sim` line."""
        self.lock = threading.RLock()
        self.changes = ChangeSignal()
        self.clock = SimulatorClock(now, wall)
        self.faults = FaultRegistry(seed)
        self.environments = Environments(seed=seed)
        self.agents = SavedAgents()
        self.run_store = RunStore(
            seed=seed,
            clock=self.clock,
            faults=self.faults,
            environments=self.environments,
        )
        self.sessions = Sessions(seed=seed)
        self._on_reset: list[Callable[[], None]] = []
        self._calls: Counter[str] = Counter()
        self._posts: Counter[str] = Counter()
        self._repeated_posts = 0
        self._most_live: Counter[str] = Counter()

    def reset(self) -> None:
        """Forget runs, sandboxes, saved agents, faults and counts. The clock and the default scenario stay."""
        with self.lock:
            for part in (self.faults, self.environments, self.agents, self.run_store, self.sessions):
                part.reset()
            for counter in (self._calls, self._posts, self._most_live):
                counter.clear()
            self._repeated_posts = 0
            for forget in self._on_reset:
                forget()
        self.changes.notify()

    def on_reset(self, forget: Callable[[], None]) -> None:
        """Call `forget` at every reset: for what a face keeps beside this state."""
        self._on_reset.append(forget)

    def advance(self, seconds: float) -> None:
        """Move the clock forward. Raises ValueError for a negative number."""
        with self.lock:
            self.clock.advance(seconds)
        self.changes.notify()

    def set_faults(self, spec: FaultSpec) -> None:
        """Switch faults on for every run. Raises ValueError for an unknown fault."""
        with self.lock:
            self.faults.put(spec)
        self.changes.notify()

    def clear_faults(self) -> None:
        """Switch off what `set_faults` switched on. The faults of single runs stay."""
        with self.lock:
            self.faults.clear()
        self.changes.notify()

    def reply_fault(self, call: CallKind, own: FaultSet | None = None) -> Fault | None:
        """Return the fault that the reply to this call suffers, and count the call as one chance of it."""
        with self.lock:
            return self.faults.reply_fault(call, own)

    def trigger(self, switch: Switch, own: FaultSet | None = None) -> Fault | None:
        """Return the fault of this switch if it takes effect now, and count one chance of it.

        `own` are the faults of a run; those set for every run come second.
        """
        with self.lock:
            return self.faults.trigger(switch, own)

    def count(self, call: str, key: str | None = None, *, is_repeated: bool = False) -> None:
        """Count a call whose body arrived whole; `key` is the `nightdesk-key` of a launch.

        `is_repeated`: it is a launch that arrived before, with the same idempotency key.
        """
        with self.lock:
            self._calls[call] += 1
            self._repeated_posts += is_repeated
            if key is not None:
                self._posts[key] += 1

    def calls(self, call: str) -> int:
        """Return how many calls of a kind arrived whole; `elsewhere` counts the calls that followed a redirect."""
        with self.lock:
            return self._calls[call]

    def posts(self, key: str | None = None) -> int:
        """Return how many launch requests arrived whole, of one `nightdesk-key` or all, whatever came of them."""
        with self.lock:
            return self._calls[CallKind.CREATE] if key is None else self._posts[key]

    def started(self, key: str | None = None) -> int:
        """Return how many runs really started, of one `nightdesk-key` or all."""
        return len(self.runs(key))

    def live(self, key: str | None = None) -> int:
        """Return how many runs may still spend, of one `nightdesk-key` or all."""
        with self.lock:
            return self.run_store.live(key)

    def runs(self, key: str | None = None) -> tuple[SimulatedRun, ...]:
        """Return every run that ever started, deleted ones too, oldest first."""
        with self.lock:
            return self.run_store.all(key)

    def view(self, run_id: str) -> RunView:
        """Return what a run really is now, whatever the service shows of it. Raises KeyError."""
        with self.lock:
            return self.run_store.view(run_id)

    def start(self, request: RunRequest, scenario: Scenario, faults: FaultSet) -> SimulatedRun:
        """Start a run. Raises ApiError if the request names something unknown or continues a live run."""
        with self.lock:
            run = self.run_store.start(request, scenario, faults)
            self._most_live[run.key] = max(self._most_live[run.key], self.run_store.live(run.key))
            return run

    def stats(self) -> dict[str, object]:
        """Return all counts as JSON: calls by kind; posts, started runs and most live at once by `nightdesk-key`."""
        with self.lock:
            runs = self.run_store.all()
            return {
                "calls": dict(self._calls),
                "posts": self.posts(),
                "posts_by_key": dict(self._posts),
                "repeated_posts": self._repeated_posts,
                "started": len(runs),
                "started_by_key": dict(Counter(run.key for run in runs)),
                "most_live_by_key": dict(self._most_live),
                "live": self.live(),
                "cancelled": sum(run.cancels > 0 for run in runs),
                "environments_made": self.environments.made,
                "environments_deleted": list(self.environments.deleted),
                "sessions_made": self.sessions.made,
                "sessions_deleted": list(self.sessions.deleted),
                "faults": list(self.faults.names),
            }
