"""Worlds in which the state store and the log do not answer for a while: cut-offs leave in time all the same.

What could not be stored meanwhile is stored afterwards.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from console.domain.run import RunId
from console.provider.contract import Launched, LaunchOrder, Unknown, Verdict
from tests.invariants import CUT_OFF_BOUND_S, cut_off_violations, intent_violations
from tests.simulation.fault_injector import Fault
from tests.simulation.hazard import Hazard
from tests.simulation.invariant_checker import InvariantChecker
from tests.simulation.machine import EngineProcess, Machine
from tests.simulation.scenario import BY, RandomScenario
from tests.simulation.service import BOX, Agent
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
OPEN = ("sending", "unconfirmed")
HELD_S = (3.0, 20.0, 31.0, 70.0, 200.0)
"""How long something is held: for less and for longer than anybody waits for it."""
KILL_SWITCH_S = 2.5
"""How much longer than a stop the kill switch may take: it waits for its own record, and for the list of runs."""


@dataclass(kw_only=True)
class _Launch:
    """A launch whose outcome, an agent or an unknown one, is known to the process that made it."""

    process: EngineProcess
    agent: Agent | None
    """None where the process does not know whether there is one."""
    sandbox: str
    known_at: float
    asked_at: float | None = None
    """When a person asked its own process to stop it."""


class BlockedStore:
    """The blocks of one world, and what must hold meanwhile."""

    def __init__(self, machine: Machine, checker: InvariantChecker, scenario: RandomScenario) -> None:
        self._machine = machine
        self._checker = checker
        self._scenario = scenario
        self._gate = StoreGate(machine.loop)
        self._launches: dict[str, _Launch] = {}
        self._judged: set[str] = set()
        self._counts: Counter[str] = Counter()
        machine.site.turns = lambda process: StoreTurns(self._gate).turn

    def hazard(self) -> Hazard:
        """What this world adds."""
        return Hazard(
            counts=self._counts,
            acts=((5, self._hold_store), (1, self._hold_log), (1, self._fill_log), (2, self._stop)),
            check=self.check,
            clear=self._free,
            check_end=self.check_end,
            on_answer=self._on_answer,
            may_hand_over_late=lambda: self._gate.was_frozen,
        )

    def check(self) -> None:
        """A cancel leaves within a second of its time, whatever the store and the log do."""
        now = self._machine.loop.time()
        for run_id, launch in self._launches.items():
            due = self._due(run_id, launch)
            if run_id in self._judged or due is None or now < due + CUT_OFF_BOUND_S:
                continue
            self._judged.add(run_id)
            process, agent, service = launch.process, launch.agent, self._machine.service
            if process.is_dead or process.is_leaving or not process.holds_its_lock():
                continue
            if agent is None:
                if not launch.sandbox.startswith(BOX) or self._checker.row(run_id).state not in OPEN:
                    continue
                left = service.unboxed.get(launch.sandbox)
            elif agent.worked_at(due):
                left, _ = service.cancelled.get(agent.remote_id, (None, None))
            else:
                continue
            what = "cut-offs" if agent is not None else "sandboxes to be deleted"
            self._counts[what] += 1
            self._counts[f"{what} while the store was held"] += self._gate.was_held(due)
            self._checker.must_not(cut_off_violations(run_id, due=due, left=left))

    def check_end(self) -> None:
        """Every agent that was cancelled has its stop in the store."""
        self.check()
        for run_id, launch in self._launches.items():
            if launch.agent is None or launch.agent.stopped is None or launch.agent.stopped[1] != "cancelled":
                continue
            _, by = self._machine.service.cancelled[launch.agent.remote_id]
            # What a process has not stored when it ends is lost with it.
            if by in self._machine.living():
                self._counts["stops stored"] += 1
                self._checker.must_not(intent_violations(run_id, self._checker.event_kinds(run_id)))

    def _due(self, run_id: str, launch: _Launch) -> float | None:
        """When the cancel of a run has to leave, at the latest."""
        sent_at = self._checker.sent_at.get(run_id)
        if sent_at is None:
            return None
        due = max(sent_at + self._checker.row(run_id).max_ms / 1000, launch.known_at)
        return due if launch.asked_at is None else min(due, launch.asked_at)

    def _on_answer(self, process: EngineProcess, order: LaunchOrder, verdict: Verdict) -> None:
        if isinstance(verdict, Launched | Unknown):
            self._launches[order.labels["nightdesk-run"]] = _Launch(
                process=process,
                agent=self._machine.service.agents[verdict.remote_id] if isinstance(verdict, Launched) else None,
                sandbox=order.prepared_id or "",
                known_at=self._machine.loop.time(),
            )

    def _own(self) -> list[tuple[RunId, _Launch]]:
        """The agents that work, with the process that launched each, where it lives."""
        now, living = self._machine.loop.time(), self._machine.living()
        return [
            (RunId(run_id), launch)
            for run_id, launch in self._launches.items()
            if launch.agent is not None
            and launch.agent.is_working(now)
            and launch.process in living
            and not launch.process.is_leaving
        ]

    async def _hold_store(self) -> None:
        """From now on, or from shortly before a run has to be cut off."""
        rng, now = self._machine.rng, self._machine.loop.time()
        holder, seconds = rng.choice(tuple(Holder)), rng.choice(HELD_S)
        dues = [due for run_id, launch in self._own() if (due := self._due(run_id, launch)) is not None and due > now]
        delay = max(0.0, rng.choice(dues) - now - rng.choice((0.0, 1.0, 10.0))) if dues else 0.0
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
        """A person stops a run, in the process that supervises it or in another one, often while the store is held."""
        own, rng = self._own(), self._machine.rng
        if not own:
            return
        run_id, launch = rng.choice(own)
        others = [process for process in self._machine.living() if process is not launch.process]
        if rng.random() < 0.6:
            self._gate.hold(rng.choice(tuple(Holder)), rng.choice(HELD_S))
        if rng.random() < 0.3:
            await self._kill(own)
        elif others and rng.random() < 0.5:
            other = rng.choice(others)
            self._machine.note(f"{other} stops a run of {launch.process}")
            await self._scenario.finished(other.act(other.engine.operations.stop(run_id, by=BY)))
        else:
            self._machine.note(f"{launch.process} stops its own run")
            launch.asked_at = launch.asked_at or self._machine.loop.time()
            await self._scenario.finished(launch.process.act(launch.process.engine.operations.stop(run_id, by=BY)))

    async def _kill(self, own: list[tuple[RunId, _Launch]]) -> None:
        """A person pulls the kill switch in a process that supervises runs."""
        _, chosen = self._machine.rng.choice(own)
        process, operations = chosen.process, chosen.process.engine.operations
        self._machine.note(f"{process} pulls the kill switch on its own runs")
        for _, launch in own:
            if launch.process is process:
                launch.asked_at = launch.asked_at or self._machine.loop.time() + KILL_SWITCH_S
        await self._scenario.finished(process.act(operations.pause(by=BY, cancel=True)))
        await self._scenario.finished(process.act(operations.resume(by=BY)))

    def _free(self) -> None:
        self._gate.close()
        self._machine.site.disk.is_full = False
        writing = self._machine.site.disk.writing
        if writing is not None and not isinstance(writing, EngineProcess):
            writing.is_dead = True
