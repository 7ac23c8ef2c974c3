"""The clock of the simulator only moves forward, and a change of the state wakes every waiter."""

from __future__ import annotations

import asyncio
import threading

import pytest

from console.simulator.clock import ChangeSignal, SimulatorClock
from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import SimulatorState
from tests.clock import ManualClock
from tests.simulator.caller import Caller


def test_both_clocks_advance_together_and_never_go_back() -> None:
    clock = SimulatorClock(lambda: 5.0, lambda: 1000.0)
    clock.advance(2.5)
    assert (clock.now(), clock.wall()) == (7.5, 1002.5)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_a_change_wakes_the_waiters_of_every_event_loop() -> None:
    changes = ChangeSignal()
    waiting = threading.Barrier(3)

    async def wait() -> None:
        disconnected = asyncio.get_running_loop().create_future()
        waiter = asyncio.ensure_future(changes.wait("v1_a", 60, disconnected))
        await asyncio.sleep(0)
        waiting.wait(10)
        await asyncio.wait_for(waiter, 10)

    threads = [threading.Thread(target=asyncio.run, args=(wait(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    waiting.wait(10)
    changes.notify()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    changes.notify()


async def test_a_wait_ends_when_the_client_disconnects_or_the_time_is_over() -> None:
    changes = ChangeSignal()
    disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    await changes.wait("v1_a", 0.001, disconnected)
    disconnected.set_result(None)
    await asyncio.wait_for(changes.wait("v1_a", 60, disconnected), 10)


async def test_a_change_of_one_run_wakes_only_its_waiters() -> None:
    changes, disconnected = ChangeSignal(), asyncio.get_running_loop().create_future()
    waiters = [asyncio.ensure_future(changes.wait(run_id, 60, disconnected)) for run_id in ("v1_a", "v1_b")]
    await asyncio.sleep(0)
    changes.notify("v1_a")
    await asyncio.wait_for(waiters[0], 10)
    assert not waiters[1].done()
    changes.notify()
    await asyncio.wait_for(waiters[1], 10)


def test_a_stream_follows_a_clock_that_moves_without_a_signal() -> None:
    """A test may give the simulator the clock of its engine."""
    clock = ManualClock()
    state = SimulatorState(now=lambda: clock.now().boot_ms / 1000, wall=lambda: clock.now().wall_ms / 1000)
    with SimulatorThread(state) as simulator:
        caller = Caller(simulator.url)
        chunks = caller.chunks(caller.start(Scenario(steps=2, step_seconds=60)))
        assert b"interaction.created" in next(chunks)
        clock.advance(120)
        assert b"".join(chunks).endswith(b"data: [DONE]\n\n")
        caller.close()
