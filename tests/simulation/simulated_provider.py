"""The provider port of one simulated process: the way to the simulated service, with the faults of the network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from console.domain.usage import Usage
from console.provider.contract import (
    CancelAnswer,
    Denied,
    Launched,
    LaunchOrder,
    LostLaunch,
    NotFound,
    NotSent,
    ProviderError,
    RateLimited,
    Rejected,
    RemoteRun,
    Resolution,
    StreamEvent,
    Unavailable,
    Unknown,
    Unreachable,
    Unstarted,
    Unsupported,
    Verdict,
)
from console.provider.services import TRAITS
from console.provider.traits import Traits
from tests.simulation.fault_injector import Fault
from tests.simulation.service import Agent, Service
from tests.simulation.virtual_loop import PROCESS

DEADLINE_S = 60.0
"""How long a create waits for its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedProvider:
    """Implements `Provider` for one process."""

    service: Service
    leaving: Callable[[LaunchOrder], None]
    """Called with every create at the instant in which its POST leaves."""
    answered: Callable[[LaunchOrder, Verdict], None] = lambda order, verdict: None
    """Called when it is known what a create proved."""
    denies: Callable[[], bool] = lambda: False
    """True while the service refuses the key of this process."""

    @property
    def traits(self) -> Traits:
        return TRAITS["gemini"]

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        return ()

    async def prepared_exists(self, prepared_id: str) -> bool:
        return prepared_id in self.service.boxes

    async def unstarted(self) -> tuple[Unstarted, ...]:
        raise Unsupported("no such call")

    async def resolve(self, lost: LostLaunch) -> Resolution:
        raise Unsupported("no such call")

    async def prepare(self, order: LaunchOrder) -> str:
        await self._travel()
        if self._strikes(Fault.NO_SANDBOX):
            raise Unsupported("no such call")
        if self._strikes(Fault.SANDBOX_FAILS):
            raise Unavailable("503")
        box = self.service.make_box()
        await self._back(Fault.SANDBOX_FAILS)
        return box

    async def discard(self, prepared_id: str) -> None:
        await _going_on()
        self.service.unboxed.setdefault(prepared_id, self.service.now)
        await self._travel()
        if self._strikes(Fault.DELETE_FAILS):
            raise Unavailable("503")
        self.service.delete_box(prepared_id)
        await self._back(Fault.DELETE_FAILS)

    async def create(self, order: LaunchOrder) -> Verdict:
        verdict = await self._create(order)
        self.answered(order, verdict)
        return verdict

    async def _create(self, order: LaunchOrder) -> Verdict:
        faults, rng = self.service.faults, self.service.faults.rng
        if faults.is_offline() or self._strikes(Fault.NOT_SENT):
            await self._pause()
            return NotSent(why="connection refused")
        self.leaving(order)
        if self.denies():
            await self._pause()
            return Rejected(why="401 API key not valid", http_status=401)
        tried = self._tried(order)
        self.service.posts[tried] += 1
        if self._strikes(Fault.SERVER_ERROR):
            await self._pause()
            return Unknown(why="503")
        if self._strikes(Fault.LATE_PACKET):
            self._arrive(order, rng.choice((5.0, 70.0, 200.0)))
            await asyncio.sleep(rng.choice((2.0, DEADLINE_S)))
            return Unknown(why="no answer in time")
        if (refusal := self._refused()) is not None:
            # The refusal proves that nothing was launched, whether or not the process lives to read it.
            self.service.posts[tried] -= 1
            await self._pause()
            return refusal
        slow = rng.choice((4.0, 15.0, 40.0)) if self._strikes(Fault.SLOW) else self._moment()
        arrived = self._arrive(order, slow)
        agent = await asyncio.shield(arrived)
        await self._pause()
        if agent is None:
            return Rejected(why="no such environment", http_status=404)
        if self._strikes(Fault.LOST_REPLY):
            await asyncio.sleep(rng.choice((0.1, DEADLINE_S)))
            return Unknown(why="the connection broke")
        return Launched(remote_id=agent.remote_id, status="in_progress", prepared_id=order.prepared_id)

    async def get(self, remote_id: str) -> RemoteRun:
        await self._travel()
        if self._strikes(Fault.GET_FAILS):
            raise Unavailable("500")
        if self._strikes(Fault.GET_GONE):
            raise NotFound("404 not found")
        shown = self.service.show(self._agent(remote_id))
        await self._pause()
        return shown

    async def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        await self._travel()
        if not self._strikes(Fault.STREAM):
            raise Unavailable("no stream")
        agent = self._agent(remote_id)
        while not agent.is_over(self.service.now):
            yield StreamEvent(usage=Usage(total=agent.tokens(self.service.now)))
            await asyncio.sleep(3.0)

    async def cancel(self, remote_id: str) -> CancelAnswer:
        await _going_on()
        self.service.cancelled.setdefault(remote_id, (self.service.now, PROCESS.get()))
        await self._travel()
        if self._strikes(Fault.CANCEL_FAILS):
            raise self.service.faults.rng.choice((NotFound("404 method not found"), Unavailable("503")))
        agent, now = self._agent(remote_id), self.service.now
        if agent.is_over(now):
            return CancelAnswer(accepted=False, said="not running")
        if now >= agent.deaf_until or self.service.faults.is_clear:
            agent.stop(now, "cancelled")
        await self._back(Fault.CANCEL_LOST)
        return CancelAnswer(accepted=True, said="in_progress")

    async def aclose(self) -> None:
        """Nothing to close."""

    def _arrive(self, order: LaunchOrder, after_s: float) -> asyncio.Future[Agent | None]:
        """Sends the packet, which arrives even where its sender dies."""
        loop = self.service.loop
        landed: asyncio.Future[Agent | None] = loop.create_future()

        async def arrive() -> None:
            await asyncio.sleep(after_s)
            agent = self.service.launch(order)
            if agent is None:
                self.service.posts[self._tried(order)] -= 1
            landed.set_result(agent)

        self.service.keep(loop.start(None, arrive()))
        return landed

    def _refused(self) -> Verdict | None:
        if self._strikes(Fault.REJECTED):
            return Rejected(why="400 invalid argument", http_status=400)
        if self._strikes(Fault.LIMITED):
            return RateLimited(why="429", retry_after_s=self.service.faults.rng.choice((None, 1.0, 30.0, 500.0)))
        return None

    def _strikes(self, trouble: Fault) -> bool:
        return self.service.faults.strikes(trouble)

    async def _travel(self) -> None:
        if self.service.faults.is_offline():
            await self._pause()
            raise Unreachable("no network")
        await self._pause()
        if self.denies():
            raise Denied("401 API key not valid")

    async def _back(self, trouble: Fault) -> None:
        """The call had its effect; the answer may be lost."""
        await self._pause()
        if self._strikes(trouble):
            raise Unavailable("the answer was lost")

    async def _pause(self) -> None:
        await asyncio.sleep(self._moment())

    def _moment(self) -> float:
        return self.service.faults.rng.choice((0.0, 0.05, 0.3))

    def _agent(self, remote_id: str) -> Agent:
        agent = self.service.agents.get(remote_id)
        if agent is None:
            self.service.strange.append(remote_id)
            raise ProviderError("404 no such interaction")
        return agent

    @staticmethod
    def _tried(order: LaunchOrder) -> tuple[str, str]:
        return order.labels["nightdesk-run"], order.labels["nightdesk-attempt"]


async def _going_on() -> None:
    """A process that was held up within this very step does nothing more before it goes on."""
    process = PROCESS.get()
    if process is not None and process.is_stuck:
        await asyncio.sleep(0.0)
