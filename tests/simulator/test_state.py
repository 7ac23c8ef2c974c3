"""The world's time goes forward only, both hands alike, and a stream follows any clock it is given."""

from __future__ import annotations

from functools import partial

import pytest

from console.simulator.scenario import Scenario
from console.simulator.server import SimulatorThread
from console.simulator.state import ChangeSignal, SimulatorState
from console.simulator.timeline import SimulatorClock
from tests.clock import ManualClock
from tests.simulator.caller import Caller


def test_both_hands_go_forward_together_and_never_back() -> None:
    clock = SimulatorClock(lambda: 5.0, lambda: 1000.0)
    clock.advance(2.5)
    assert (clock.now(), clock.wall()) == (7.5, 1002.5)
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)


def test_a_bell_tells_every_listener() -> None:
    bell = ChangeSignal()
    heard: list[str] = []
    for name in "ab":
        bell.listen(partial(heard.append, name))
    bell.ring()
    assert heard == ["a", "b"]


def test_a_stream_follows_a_clock_that_rings_no_bell() -> None:
    """A test may give the simulator the very clock its engine runs on."""
    clock = ManualClock()
    state = SimulatorState(now=lambda: clock.now().boot_ms / 1000, wall=lambda: clock.now().wall_ms / 1000)
    with SimulatorThread(state) as simulator:
        caller = Caller(simulator.url)
        chunks = caller.chunks(caller.start(Scenario(steps=2, step_seconds=60)))
        assert b"interaction.created" in next(chunks)
        clock.advance(120)
        assert b"".join(chunks).endswith(b"data: [DONE]\n\n")
        caller.close()
