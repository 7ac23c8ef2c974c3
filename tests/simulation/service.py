"""The simulated service: what was asked of it, what it launched, what it showed; the truth that is checked against."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from console.domain.run import RunId
from console.domain.server_limit import TokenLimit
from console.domain.usage import Usage
from console.provider.contract import LaunchOrder, RemoteRun, StatusClass
from tests.engine.fake_provider import ENDINGS, TERMINAL
from tests.simulation.fault_injector import Fault, FaultInjector
from tests.simulation.virtual_loop import Process, VirtualLoop

BOX = "box-"
"""The prefix of the ids of sandboxes that the service made on request."""


@dataclass
class Agent:
    """One agent that was launched."""

    remote_id: str
    run_id: RunId
    key: str
    order: LaunchOrder
    started: float
    ends: float
    """When it ends by itself; seconds of the world."""
    ending: str
    tokens_per_s: int
    usage_late: bool
    parked: bool
    """It waits for input that never comes."""
    deaf_until: float = 0.0
    """A cancel before this time has no effect."""
    stopped: tuple[float, str] | None = None
    shown: set[str] = field(default_factory=set)
    """Statuses that a GET has returned."""

    def status(self, now: float) -> str:
        """The status now."""
        if self.stopped is not None:
            return self.stopped[1]
        if self.parked:
            return "requires_action"
        return self.ending if now >= self.ends else "in_progress"

    def is_over(self, now: float) -> bool:
        """True once it has ended."""
        return self.status(now) in TERMINAL

    def is_working(self, now: float) -> bool:
        """True while it acts and spends."""
        return not self.parked and not self.is_over(now)

    def worked_at(self, at: float) -> bool:
        """True where it still worked at a time that has passed."""
        return not self.parked and at < min(self.ends, self.stopped[0] if self.stopped else self.ends)

    def stop(self, now: float, status: str) -> None:
        """Ends it now, unless it has ended."""
        if not self.is_over(now):
            self.stopped = (now, status)

    def tokens(self, now: float) -> int:
        """All tokens that it has used."""
        until = min(now, self.stopped[0] if self.stopped else self.ends)
        return min(int((until - self.started) * self.tokens_per_s) + 10, token_limit(self.order) + 5_000)


def token_limit(order: LaunchOrder) -> int:
    """The token limit of a launch; every order here has one."""
    assert isinstance(order.server_limit, TokenLimit)
    return order.server_limit.tokens


class Service:
    """Agents and sandboxes. Outlives every process."""

    def __init__(self, loop: VirtualLoop, faults: FaultInjector, name: str = "") -> None:
        """`name` is part of all ids, so that those of two services differ."""
        self.loop = loop
        self.faults = faults
        self.name = name
        self.agents: dict[str, Agent] = {}
        self.boxes: set[str] = set()
        self.deleted: set[str] = set()
        self.posts: Counter[tuple[str, str]] = Counter()
        """By run and attempt: POSTs that left, less those that provably launched nothing."""
        self.cancelled: dict[str, tuple[float, Process | None]] = {}
        """By remote id, when the first cancel left for it (seconds of the world), and from which process."""
        self.unboxed: dict[str, float] = {}
        """By sandbox, when the first call left that deletes it; seconds of the world."""
        self.strange: list[str] = []
        """Ids of agents and sandboxes that were asked for and never existed here."""
        self._arriving: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> float:
        """Seconds of the world."""
        return self.loop.time()

    def of_run(self, run_id: RunId) -> list[Agent]:
        """Every agent with the label of the run."""
        return [agent for agent in self.agents.values() if agent.run_id == run_id]

    def keep(self, arrival: asyncio.Task[None]) -> None:
        """Keeps a task that belongs to no process from being garbage collected."""
        self._arriving.add(arrival)
        arrival.add_done_callback(self._arriving.discard)

    def make_box(self) -> str:
        """Makes a sandbox and returns its id."""
        box = f"{BOX}{self.name}{len(self.boxes) + len(self.deleted) + 1}"
        self.boxes.add(box)
        return box

    def delete_box(self, box: str) -> None:
        """Deletes a sandbox, which ends the agent in it."""
        if box not in self.boxes | self.deleted:
            self.strange.append(box)
        self.boxes.discard(box)
        self.deleted.add(box)
        for agent in self.agents.values():
            if agent.order.prepared_id == box:
                agent.stop(self.now, "failed")

    def launch(self, order: LaunchOrder) -> Agent | None:
        """A POST arrives; None where it names a deleted sandbox."""
        if order.prepared_id is not None and order.prepared_id not in self.boxes:
            return None
        rng, faults = self.faults.rng, self.faults
        never = faults.strikes(Fault.NEVER_ENDS)
        agent = Agent(
            remote_id=f"v1_{self.name}{len(self.agents) + 1}",
            run_id=RunId(order.labels["nightdesk-run"]),
            key=order.labels["nightdesk-key"],
            order=order,
            started=self.now,
            ends=self.now + (1e9 if never else rng.choice((1.0, 8.0, 20.0, 50.0, 90.0))),
            ending="failed" if faults.strikes(Fault.FAILS) else rng.choice(("completed",) * 5 + ("incomplete",)),
            tokens_per_s=5_000 if faults.strikes(Fault.SPENDS) else rng.choice((10, 100)),
            usage_late=faults.strikes(Fault.USAGE_LATE),
            parked=faults.strikes(Fault.PARKED),
        )
        if faults.strikes(Fault.CANCEL_IGNORED):
            agent.deaf_until = self.now + rng.choice((60.0, 200.0, 900.0))
        self.agents[agent.remote_id] = agent
        return agent

    def show(self, agent: Agent) -> RemoteRun:
        """The answer to a GET now. A terminal status in it is recorded as shown."""
        now, rng = self.now, self.faults.rng
        status = agent.status(now)
        at = now
        if status not in TERMINAL:
            if self.faults.strikes(Fault.STRANGE_STATUS):
                status = "contemplating"
            if self.faults.strikes(Fault.GET_STALE):
                at = max(agent.started, now - rng.choice((5.0, 30.0)))
        agent.shown.add(status)
        return RemoteRun(
            remote_id=agent.remote_id,
            status=status,
            status_class=CLASSES.get(status, StatusClass.UNKNOWN),
            ending=ENDINGS.get(status),
            usage=None if agent.usage_late and rng.random() < 0.8 else Usage(total=agent.tokens(at)),
            labels=agent.order.labels,
            result="done" if status == "completed" else "",
        )


CLASSES = {
    "in_progress": StatusClass.LIVE,
    "requires_action": StatusClass.PARKED,
    **dict.fromkeys(TERMINAL, StatusClass.TERMINAL),
}
