"""The service as it truly is: what was asked, what was launched, what it showed. The judge of every verdict of ours."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from console.domain.run import RunId
from console.domain.usage import Usage
from console.provider.contract import LaunchOrder, RemoteRun, StatusClass
from tests.simulation.fault_injector import Fault, FaultInjector
from tests.simulation.virtual_loop import VirtualLoop

TERMINAL = frozenset({"completed", "failed", "cancelled", "incomplete", "budget_exceeded"})
BOX = "box-"
"""How the names of sandboxes begin that the service made on request."""


@dataclass
class Agent:
    """One agent that was launched."""

    remote_id: str
    run_id: RunId
    key: str
    order: LaunchOrder
    started: float
    ends: float
    """When it ends by itself, in seconds of the world."""
    ending: str
    tokens_per_s: int
    told_late: bool
    parked: bool
    """It waits for a client that is not there, and would for ever."""
    deaf_until: float = 0.0
    """A cancel before this does nothing."""
    stopped: tuple[float, str] | None = None
    shown: set[str] = field(default_factory=set)
    """Statuses that a GET has shown to somebody."""

    def status(self, now: float) -> str:
        """The true status."""
        if self.stopped is not None:
            return self.stopped[1]
        if self.parked:
            return "requires_action"
        return self.ending if now >= self.ends else "in_progress"

    def is_over(self, now: float) -> bool:
        """It has come to an end."""
        return self.status(now) in TERMINAL

    def is_working(self, now: float) -> bool:
        """It does something, and spends."""
        return not self.parked and not self.is_over(now)

    def stop(self, now: float, status: str) -> None:
        """It ends now, unless it has."""
        if not self.is_over(now):
            self.stopped = (now, status)

    def tokens(self, now: float) -> int:
        """All that it has used."""
        until = min(now, self.stopped[0] if self.stopped else self.ends)
        return min(int((until - self.started) * self.tokens_per_s) + 10, self.order.max_total_tokens + 5_000)


class Service:
    """Agents and sandboxes, shared by all processes; it outlives every one of them."""

    def __init__(self, loop: VirtualLoop, weather: FaultInjector) -> None:
        self.loop = loop
        self.weather = weather
        self.agents: dict[str, Agent] = {}
        self.boxes: set[str] = set()
        self.deleted: set[str] = set()
        self.posts: Counter[tuple[str, str]] = Counter()
        """POSTs that left, by run and attempt, less those proven to have launched nothing."""
        self._arriving: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> float:
        """Seconds of the world."""
        return self.loop.time()

    def of_run(self, run_id: RunId) -> list[Agent]:
        """Every agent that carries the label of the run."""
        return [agent for agent in self.agents.values() if agent.run_id == run_id]

    def keep(self, arrival: asyncio.Task[None]) -> None:
        """A packet on its way must not be forgotten by the garbage collector."""
        self._arriving.add(arrival)
        arrival.add_done_callback(self._arriving.discard)

    def make_box(self) -> str:
        """A new sandbox."""
        box = f"{BOX}{len(self.boxes) + len(self.deleted) + 1}"
        self.boxes.add(box)
        return box

    def delete_box(self, box: str) -> None:
        """It goes, and what runs in it."""
        self.boxes.discard(box)
        self.deleted.add(box)
        for agent in self.agents.values():
            if agent.order.environment == box:
                agent.stop(self.now, "failed")

    def launch(self, order: LaunchOrder) -> Agent | None:
        """The POST has arrived; None where it names a sandbox that is gone."""
        if order.environment.startswith(BOX) and order.environment not in self.boxes:
            return None
        rng, weather = self.weather.rng, self.weather
        never = weather.strikes(Fault.NEVER_ENDS)
        agent = Agent(
            remote_id=f"v1_{len(self.agents) + 1}",
            run_id=RunId(order.labels["nightdesk-run"]),
            key=order.labels["nightdesk-key"],
            order=order,
            started=self.now,
            ends=self.now + (1e9 if never else rng.choice((1.0, 8.0, 20.0, 50.0, 90.0))),
            ending="failed" if weather.strikes(Fault.FAILS) else rng.choice(("completed",) * 5 + ("incomplete",)),
            tokens_per_s=5_000 if weather.strikes(Fault.SPENDS) else rng.choice((10, 100)),
            told_late=weather.strikes(Fault.USAGE_LATE),
            parked=weather.strikes(Fault.PARKED),
        )
        if weather.strikes(Fault.CANCEL_IGNORED):
            agent.deaf_until = self.now + rng.choice((60.0, 200.0, 900.0))
        self.agents[agent.remote_id] = agent
        return agent

    def show(self, agent: Agent) -> RemoteRun:
        """What a GET answers now; whoever sees an end has its proof."""
        now, rng = self.now, self.weather.rng
        status = agent.status(now)
        at = now
        if status not in TERMINAL:
            if self.weather.strikes(Fault.STRANGE_STATUS):
                status = "contemplating"
            if self.weather.strikes(Fault.GET_STALE):
                at = max(agent.started, now - rng.choice((5.0, 30.0)))
        agent.shown.add(status)
        return RemoteRun(
            remote_id=agent.remote_id,
            status=status,
            status_class=CLASSES.get(status, StatusClass.UNKNOWN),
            usage=None if agent.told_late and rng.random() < 0.8 else Usage(total=agent.tokens(at)),
            labels=agent.order.labels,
            result="done" if status == "completed" else "",
        )


CLASSES = {
    "in_progress": StatusClass.LIVE,
    "requires_action": StatusClass.PARKED,
    **dict.fromkeys(TERMINAL, StatusClass.TERMINAL),
}
