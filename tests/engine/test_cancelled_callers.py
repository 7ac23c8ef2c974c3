"""T16: whoever asks the desk for something may be cancelled at any of its awaits: nothing is half done or forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from console.domain.limits import Cap, CapUsage
from console.domain.run import HOLDING, Outcome, Run, State
from console.engine.clock import SystemClock
from console.engine.models import LaunchRequest
from console.provider.contract import Unknown
from tests.engine.building import BY, CAPS, EngineHarness, engine_harness
from tests.engine.fake_provider import FakeProvider
from tests.reporting import report
from tests.waiting import until

MOST_AWAITS = 90
"""No act waits more often; else the search for its end would go on for ever."""


Work = Coroutine[Any, Any, Any]
Prepare = Callable[["Scene", int], Awaitable[Work]]
Check = Callable[["Scene", int], Awaitable[bool]]


class CancelledAt(Coroutine[Any, Any, Any]):
    """Some work whose task is cancelled as it waits for the `nth` time."""

    def __init__(self, work: Coroutine[Any, Any, Any], nth: int) -> None:
        self._work = work
        self._left = nth

    def send(self, value: object) -> object:
        awaited = self._work.send(value)
        self._left -= 1
        if self._left == 0:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
        return awaited

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None, /) -> object:
        return self._work.throw(kind, value, trace)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Any:
        raise TypeError("only a task drives this")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A house with the service behind it, and one run of a key of its own for each act."""

    here: EngineHarness
    provider: FakeProvider

    def request(self, number: int) -> LaunchRequest:
        """For the key of this act."""
        return LaunchRequest(task="report", by=BY, target=f"target-{number}")

    async def runs(self, number: int) -> tuple[Run, ...]:
        """Every run of the key."""
        return await self.here.store.runs.by_key(self.here.engine.operations.terms(self.request(number)).key)

    async def launched(self, number: int, state: State) -> Run:
        """A run of the key, in this state."""
        answer = await self.here.engine.operations.launch(self.request(number))
        return await self.here.reaches(answer.run.id, state)

    async def cap_usage(self, cap: Cap) -> CapUsage:
        """How full a cap is."""
        found = await self.here.store.ledger.cap_usages(CAPS, SystemClock().now())
        return next(cap_usage for cap_usage in found if cap_usage.cap is cap)

    async def is_whole(self) -> None:
        """No transaction is open, every hold has its run, no run has two POSTs, every event its line."""
        await until(lambda: not self.here.store.database.in_transaction, what="the end of each transaction")
        held = await self.cap_usage(Cap.DAILY_RUNS)
        assert held.held == sum(run.state in HOLDING for run in await self.here.store.runs.open_runs())
        orders = [order.labels["nightdesk-run"] for order in self.provider.orders]
        assert len(orders) == len(set(orders))
        await self.here.looked()
        assert [record.ev for record in self.here.log()] == list(range(1, len(self.here.log()) + 1))
        assert await self.here.store.outbox.unlogged() == ()


async def _launch(scene: Scene, number: int) -> Work:
    scene.provider.prepare = lambda agent: setattr(agent, "status", "completed")
    return scene.here.engine.operations.launch(scene.request(number))


async def _launched(scene: Scene, number: int) -> bool:
    """A claim that nobody heard of is guarded all the same."""
    for run in await scene.runs(number):
        done = await scene.here.reaches(run.id, State.ENDED)
        assert done.outcome is Outcome.OK
        return True
    return False


async def _stop(scene: Scene, number: int) -> Work:
    run = await scene.launched(number, State.RUNNING)
    return scene.here.engine.operations.stop(run.id, by=BY)


async def _stopped(scene: Scene, number: int) -> bool:
    """What is stored is what happens: a stop that was not stored cancels nothing."""
    (run,) = await scene.runs(number)
    known = await scene.here.engine.get_run(run.id)
    if known.state is State.RUNNING and known.stop is None:
        assert scene.provider.agents[str(run.remote_id)].cancels == 0
        await scene.here.engine.operations.stop(run.id, by=BY)
        await scene.here.reaches(run.id, State.ENDED)
        return False
    assert (await scene.here.reaches(run.id, State.ENDED)).outcome is Outcome.CANCELLED
    return True


async def _settle(scene: Scene, number: int) -> Work:
    scene.provider.verdicts.append(Unknown(why="no answer"))
    run = await scene.launched(number, State.UNCONFIRMED)
    return scene.here.engine.operations.settle_not_launched(run.id, by=BY, reason="looked")


async def _settled(scene: Scene, number: int) -> bool:
    """Its sandbox is gone before it is ruled that nothing runs."""
    (run,) = await scene.runs(number)
    if run.state is State.ENDED:
        assert (run.outcome, run.sandbox_id in scene.provider.deleted) == (Outcome.NOT_SENT, True)
        return True
    assert run.state is State.UNCONFIRMED
    await scene.here.engine.operations.settle_not_launched(run.id, by=BY, reason="looked")
    return False


async def _raise(scene: Scene, number: int) -> Work:
    return scene.here.engine.operations.raise_cap(Cap.DAILY_RUNS, 1, task=None, by=BY, reason=f"{number}")


async def _raised(scene: Scene, number: int) -> bool:
    """A raise counts once it is told of, and only then."""
    await scene.here.looked()
    told = [record for record in scene.here.log() if record.fields.get("event") == "raise"]
    assert (await scene.cap_usage(Cap.DAILY_RUNS)).limit == (CAPS.daily_runs or 0) + len(told)
    return any(record.fields["why"] == f"{number}" for record in told)


ACTS: dict[str, tuple[Prepare, Check]] = {
    "launch": (_launch, _launched),
    "stop": (_stop, _stopped),
    "not launched": (_settle, _settled),
    "raise": (_raise, _raised),
}
"""What is asked, and what is looked at afterwards: True where it was done."""


@pytest.mark.parametrize("name", ACTS)
async def test_an_act_is_done_or_not_done_wherever_its_caller_is_cancelled(tmp_path: Path, name: str) -> None:
    prepare, check = ACTS[name]
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider) as here:
        scene = Scene(here=here, provider=provider)
        done = []
        for number in range(1, MOST_AWAITS):
            task = asyncio.create_task(CancelledAt(await prepare(scene, number), number))
            await asyncio.wait({task})
            done.append(await check(scene, number))
            await scene.is_whole()
            if not task.cancelled():
                await task
                break
        report(f"{name}: cancelled at {len(done) - 1} awaits, done all the same at {sum(done) - 1} of them")
    assert done[-1], "what nobody cancels is done"
    assert len(done) > 2, "an act that never waits proves nothing"
