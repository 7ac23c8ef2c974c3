"""A provider in memory: tests set the state of its agents and read which calls it received."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from console.domain.run import Ending
from console.domain.usage import Usage
from console.provider.contract import (
    Absent,
    CancelAnswer,
    Launched,
    LaunchOrder,
    LostLaunch,
    NotFound,
    ProviderError,
    RemoteRun,
    Resolution,
    StatusClass,
    Step,
    StreamEvent,
    Unavailable,
    Unstarted,
    Unsupported,
    Verdict,
)
from console.provider.services import TRAITS
from console.provider.traits import Prepares

ENDINGS = {
    "completed": Ending.OK,
    "failed": Ending.FAILED,
    "cancelled": Ending.CANCELLED,
    "incomplete": Ending.INCOMPLETE,
    "budget_exceeded": Ending.SERVER_LIMIT,
}
TERMINAL = frozenset(ENDINGS)
CLASSES = {"in_progress": StatusClass.LIVE, "queued": StatusClass.LIVE, "requires_action": StatusClass.PARKED}


@dataclass
class FakeAgent:
    """One remote run. Tests change it while the engine monitors it."""

    remote_id: str
    order: LaunchOrder
    status: str = "in_progress"
    usage: Usage | None = None
    steps: tuple[Step, ...] = ()
    result: str = ""
    errors: tuple[str, ...] = ()
    is_unstarted: bool = False
    obeys: bool = True
    """Whether a cancel ends the run."""
    cancels: int = 0
    gets: int = 0
    get_error: ProviderError | None = None
    cancel_error: ProviderError | None = None
    events: asyncio.Queue[StreamEvent] = field(default_factory=asyncio.Queue)

    def queries(self) -> RemoteRun:
        """Return the reply to a GET."""
        known = StatusClass.TERMINAL if self.status in TERMINAL else StatusClass.UNKNOWN
        return RemoteRun(
            remote_id=self.remote_id,
            status=self.status,
            status_class=CLASSES.get(self.status, known),
            ending=ENDINGS.get(self.status),
            is_unstarted=self.is_unstarted,
            usage=self.usage,
            labels=self.order.labels,
            steps=self.steps,
            result=self.result,
            errors=self.errors,
        )


class FakeProvider:
    """Implements `Provider`. `create` returns the queued `verdicts` first, and then launches an agent for each call."""

    def __init__(self, on_start: Callable[[FakeAgent], None] = lambda agent: None) -> None:
        self.on_start = on_start
        """Called with each new agent before `create` returns."""
        self.traits = TRAITS["gemini"]
        self.resolutions: deque[Resolution] = deque()
        """What `resolve` returns; afterwards it finds nothing."""
        self.lost: list[LostLaunch] = []
        """What `resolve` was asked for."""
        self.left_over: list[Unstarted] = []
        self.orders: list[LaunchOrder] = []
        self.agents: dict[str, FakeAgent] = {}
        self.verdicts: deque[Verdict] = deque()
        self.sandbox_errors: deque[ProviderError] = deque()
        self.sandboxes: set[str] = set()
        self.deleted: list[str] = []
        self.delete_error: ProviderError | None = None
        self.hold_create = asyncio.Event()
        self.hold_create.set()
        """`create` waits for this event; a test clears it to keep a POST pending."""
        self.hold_prepare = asyncio.Event()
        self.hold_prepare.set()
        """As `hold_create`, for `prepare`."""
        self.hold_discard = asyncio.Event()
        self.hold_discard.set()
        """As `hold_create`, for `discard`."""
        self.offline = False

    def start_agent(self, order: LaunchOrder) -> FakeAgent:
        """Start an agent without a reply, like a launch whose reply is lost."""
        is_session = self.traits.prepares is Prepares.SESSION and order.prepared_id is not None
        remote_id = order.prepared_id if is_session and order.prepared_id else f"v1_{len(self.agents) + 1:04d}"
        agent = FakeAgent(remote_id, order)
        self.agents[agent.remote_id] = agent
        self.on_start(agent)
        return agent

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        return ()

    async def prepare(self, order: LaunchOrder) -> str:
        self._reach()
        if self.sandbox_errors:
            raise self.sandbox_errors.popleft()
        sandbox_id = f"box-{len(self.sandboxes) + 1}"
        self.sandboxes.add(sandbox_id)
        await self.hold_prepare.wait()
        return sandbox_id

    async def prepared_exists(self, prepared_id: str) -> bool:
        self._reach()
        return prepared_id in self.sandboxes

    async def discard(self, prepared_id: str) -> None:
        self._reach()
        if self.delete_error is not None:
            raise self.delete_error
        await self.hold_discard.wait()
        self.sandboxes.discard(prepared_id)
        self.deleted.append(prepared_id)

    async def unstarted(self) -> tuple[Unstarted, ...]:
        self._reach()
        return tuple(self.left_over)

    async def resolve(self, lost: LostLaunch) -> Resolution:
        self._reach()
        self.lost.append(lost)
        if not self.traits.can_find_launch:
            raise Unsupported("no such call")
        return self.resolutions.popleft() if self.resolutions else Absent()

    async def create(self, order: LaunchOrder) -> Verdict:
        self.orders.append(order)
        await self.hold_create.wait()
        if self.verdicts:
            return self.verdicts.popleft()
        agent = self.start_agent(order)
        return Launched(remote_id=agent.remote_id, status=agent.status, prepared_id=order.prepared_id)

    async def get(self, remote_id: str) -> RemoteRun:
        self._reach()
        agent = self._agent(remote_id)
        agent.gets += 1
        if agent.get_error is not None:
            raise agent.get_error
        return agent.queries()

    async def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        self._reach()
        agent = self._agent(remote_id)
        while True:
            yield await agent.events.get()

    async def cancel(self, remote_id: str) -> CancelAnswer:
        self._reach()
        agent = self._agent(remote_id)
        agent.cancels += 1
        if agent.cancel_error is not None:
            raise agent.cancel_error
        if agent.status in TERMINAL:
            return CancelAnswer(accepted=False, said="failed_precondition: not running")
        if agent.obeys:
            agent.status = "cancelled"
        return CancelAnswer(accepted=True, said="in_progress")

    async def aclose(self) -> None:
        self.offline = True

    def _reach(self) -> None:
        if self.offline:
            raise Unavailable("the provider does not answer")

    def _agent(self, remote_id: str) -> FakeAgent:
        agent = self.agents.get(remote_id)
        if agent is None:
            raise NotFound("404 not found")
        return agent
