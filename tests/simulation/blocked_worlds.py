"""Worlds in which the state store and the log do not answer for a while: cut-offs leave in time all the same.

What could not be stored meanwhile is stored afterwards.
"""

from __future__ import annotations

from tests.simulation.cut_offs import CutOffs
from tests.simulation.fault_injector import Fault
from tests.simulation.hazard import Hazard
from tests.simulation.invariant_checker import InvariantChecker
from tests.simulation.machine import EngineProcess, Machine
from tests.simulation.scenario import RandomScenario
from tests.simulation.store_gate import Holder, StoreGate, StoreTurns
from tests.simulation.virtual_loop import Process

BESIDE_BLOCKS = frozenset(
    {
        *(Fault.NEVER_ENDS, Fault.SPENDS, Fault.FAILS, Fault.USAGE_LATE, Fault.STREAM, Fault.SLOW, Fault.JOURNAL_FULL),
        *(Fault.LOST_REPLY, Fault.SERVER_ERROR, Fault.NO_SANDBOX),
        *(Fault.CANCEL_FAILS, Fault.CANCEL_IGNORED, Fault.GET_FAILS, Fault.CRASH, Fault.HAND_OVER),
    }
)
"""Faults in a world that blocks: none of them delays the first cancel of a process that lives."""
HELD = "the store was held"
HELD_S = (3.0, 20.0, 31.0, 70.0, 200.0)
"""How long something is held: for less and for longer than anybody waits for it."""


class BlockedStore:
    """The blocks of one world, and what must hold meanwhile."""

    def __init__(self, machine: Machine, checker: InvariantChecker, scenario: RandomScenario) -> None:
        self._machine = machine
        self._scenario = scenario
        self._gate = StoreGate(machine.loop)
        self._cut_offs = CutOffs(machine, checker, lambda at: HELD if self._gate.was_held(at) else "")
        machine.site.turns = lambda process: StoreTurns(self._gate).turn

    def hazard(self) -> Hazard:
        """What this world adds."""
        return Hazard(
            counts=self._cut_offs.counts,
            acts=((5, self._hold_store), (1, self._hold_log), (1, self._fill_log), (2, self._stop)),
            check=self._cut_offs.check,
            clear=self._free,
            check_end=self._cut_offs.check_end,
            on_answer=self._cut_offs.on_answer,
            may_hand_over_late=lambda: self._gate.was_frozen,
        )

    async def _hold_store(self) -> None:
        """From now on, or from shortly before a run has to be cut off."""
        rng = self._machine.rng
        holder, seconds = rng.choice(tuple(Holder)), rng.choice(HELD_S)
        delay = self._cut_offs.delay_to_one()
        self._machine.note(f"in {delay:.1f} s the store does not answer for {seconds:.0f} s: {holder}")
        self._machine.loop.call_later(delay, self._gate.hold, holder, seconds)

    async def _hold_log(self) -> None:
        seconds = self._machine.rng.choice(HELD_S)
        self._machine.note(f"somebody holds the lock of the log for {seconds:.0f} s")
        somebody, disk = Process("somebody"), self._machine.site.disk
        if disk.writing is None or disk.writing.is_dead:
            disk.writing = somebody
            self._machine.loop.call_later(seconds, setattr, somebody, "is_dead", True)

    async def _fill_log(self) -> None:
        seconds = self._machine.rng.choice(HELD_S)
        self._machine.note(f"nothing can be written to the log for {seconds:.0f} s")
        self._machine.site.disk.is_full = True
        self._machine.loop.call_later(seconds, setattr, self._machine.site.disk, "is_full", False)

    async def _stop(self) -> None:
        """Often while the store is held."""
        await self._cut_offs.stop(self._scenario, self._hold_now)

    def _hold_now(self) -> None:
        rng = self._machine.rng
        if rng.random() < 0.6:
            self._gate.hold(rng.choice(tuple(Holder)), rng.choice(HELD_S))

    def _free(self) -> None:
        self._gate.close()
        self._machine.site.disk.is_full = False
        writing = self._machine.site.disk.writing
        if writing is not None and not isinstance(writing, EngineProcess):
            writing.is_dead = True
