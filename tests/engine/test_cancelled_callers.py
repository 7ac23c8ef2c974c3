"""Cancelling the caller of an operation at any await leaves the operation done completely or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from console.domain.caps import Cap, CapUsage
from console.domain.run import HOLDING, Outcome, Run, State
from console.engine.clock import SystemClock
from console.engine.models import LaunchRequest
from console.provider.contract import Unknown
from tests.engine.building import BY, CAPS, EngineHarness, engine_harness
from tests.engine.fake_provider import FakeProvider
from tests.reporting import report
from tests.waiting import until

MAX_AWAITS = 90
"""More than any operation awaits; bounds the search for its last await."""


Work = Coroutine[Any, Any, Any]
Prepare = Callable[["Fixture", int], Awaitable[Work]]
Check = Callable[["Fixture", int], Awaitable[bool]]


class CancelledAt(Coroutine[Any, Any, Any]):
    """Wraps a coroutine and cancels its task at the `nth` await."""

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
        raise TypeError("must be run as a task")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixture:
    """An engine and its provider; each operation under test has a number and a key of its own."""

    here: EngineHarness
    provider: FakeProvider

    def request(self, number: int) -> LaunchRequest:
        """Return the launch request for the key of this operation."""
        return LaunchRequest(task="report", by=BY, target=f"target-{number}")

    async def runs(self, number: int) -> tuple[Run, ...]:
        """Return all runs of the key."""
        return await self.here.store.runs.by_key(self.here.engine.operations.terms(self.request(number)).key)

    async def launched(self, number: int, state: State) -> Run:
        """Launch a run of the key and wait until it is in `state`."""
        answer = await self.here.engine.operations.launch(self.request(number))
        return await self.here.reaches(answer.run.id, state)

    async def cap_usage(self, cap: Cap) -> CapUsage:
        """Return the usage of a cap."""
        found = await self.here.store.ledger.cap_usages(CAPS, SystemClock().now())
        return next(cap_usage for cap_usage in found if cap_usage.cap is cap)

    async def check_consistency(self) -> None:
        """Check: no transaction is open, each hold has a run, no run has two POSTs, each event is in the log."""
        await until(lambda: not self.here.store.database.in_transaction, what="the end of each transaction")
        held = await self.cap_usage(Cap.DAILY_RUNS)
        assert held.held == sum(run.state in HOLDING for run in await self.here.store.runs.open_runs())
        orders = [order.labels["nightdesk-run"] for order in self.provider.orders]
        assert len(orders) == len(set(orders))
        await self.here.next_tick()
        numbers = [record.ev for record in await self.here.store.log_records.after(0)]
        assert [record.ev for record in self.here.log()] == numbers == list(range(1, len(numbers) + 1))


async def _launch(fixture: Fixture, number: int) -> Work:
    fixture.provider.on_start = lambda agent: setattr(agent, "status", "completed")
    return fixture.here.engine.operations.launch(fixture.request(number))


async def _launched(fixture: Fixture, number: int) -> bool:
    """A stored claim is supervised to its end although its caller was cancelled."""
    for run in await fixture.runs(number):
        done = await fixture.here.reaches(run.id, State.ENDED)
        assert done.outcome is Outcome.OK
        return True
    return False


async def _stop(fixture: Fixture, number: int) -> Work:
    run = await fixture.launched(number, State.RUNNING)
    return fixture.here.engine.operations.stop(run.id, by=BY)


async def _stopped(fixture: Fixture, number: int) -> bool:
    """A stored stop is carried out; a stop that was not stored cancels nothing."""
    (run,) = await fixture.runs(number)
    known = await fixture.here.engine.get_run(run.id)
    if known.state is State.RUNNING and known.stop is None:
        assert fixture.provider.agents[str(run.remote_id)].cancels == 0
        await fixture.here.engine.operations.stop(run.id, by=BY)
        await fixture.here.reaches(run.id, State.ENDED)
        return False
    assert (await fixture.here.reaches(run.id, State.ENDED)).outcome is Outcome.CANCELLED
    return True


async def _settle(fixture: Fixture, number: int) -> Work:
    fixture.provider.verdicts.append(Unknown(why="no answer"))
    run = await fixture.launched(number, State.UNCONFIRMED)
    return fixture.here.engine.operations.settle_not_launched(run.id, by=BY, reason="looked")


async def _settled(fixture: Fixture, number: int) -> bool:
    """The sandbox is deleted before the run is settled as not launched."""
    (run,) = await fixture.runs(number)
    if run.state is State.ENDED:
        assert (run.outcome, run.sandbox_id in fixture.provider.deleted) == (Outcome.NOT_SENT, True)
        return True
    assert run.state is State.UNCONFIRMED
    await fixture.here.engine.operations.settle_not_launched(run.id, by=BY, reason="looked")
    return False


async def _raise(fixture: Fixture, number: int) -> Work:
    return fixture.here.engine.operations.raise_cap(Cap.DAILY_RUNS, 1, task=None, by=BY, reason=f"{number}")


async def _raised(fixture: Fixture, number: int) -> bool:
    """A raise counts exactly if it is in the log."""
    await fixture.here.next_tick()
    raises = [record for record in fixture.here.log() if record.fields.get("event") == "raise"]
    assert (await fixture.cap_usage(Cap.DAILY_RUNS)).limit == (CAPS.daily_runs or 0) + len(raises)
    return any(record.fields["why"] == f"{number}" for record in raises)


OPERATIONS: dict[str, tuple[Prepare, Check]] = {
    "launch": (_launch, _launched),
    "stop": (_stop, _stopped),
    "not launched": (_settle, _settled),
    "raise": (_raise, _raised),
}
"""For each operation: its preparation, and the check afterwards, which returns whether it was done."""


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_is_done_or_not_done_at_whichever_await_its_caller_is_cancelled(
    tmp_path: Path, name: str
) -> None:
    prepare, check = OPERATIONS[name]
    provider = FakeProvider()
    async with engine_harness(tmp_path, provider) as here:
        fixture = Fixture(here=here, provider=provider)
        done = []
        for number in range(1, MAX_AWAITS):
            task = asyncio.create_task(CancelledAt(await prepare(fixture, number), number))
            await asyncio.wait({task})
            done.append(await check(fixture, number))
            await fixture.check_consistency()
            if not task.cancelled():
                await task
                break
        report(f"{name}: cancelled at {len(done) - 1} awaits, done nevertheless at {sum(done) - 1} of them")
    assert done[-1], "an operation that is not cancelled is done"
    assert len(done) > 2, "an operation without awaits would not be tested"
