"""Whether each cancel of a world leaves in time: of runs past their limits, and of those that a person stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from console.domain.run import RunId
from console.provider.contract import Launched, LaunchOrder, Unknown, Verdict
from tests.invariants import CUT_OFF_BOUND_S, cut_off_violations, intent_violations
from tests.simulation.invariant_checker import InvariantChecker
from tests.simulation.machine import EngineProcess, Machine
from tests.simulation.scenario import BY, RandomScenario
from tests.simulation.service import BOX, Agent

OPEN = ("sending", "unconfirmed")
KILL_SWITCH_S = 2.5
"""How much longer than a stop the kill switch may take: it waits for its own record, and for the list of runs."""


@dataclass(kw_only=True)
class KnownLaunch:
    """A launch whose outcome, an agent or an unknown one, is known to the process that made it."""

    process: EngineProcess
    agent: Agent | None
    """None where the process does not know whether there is one."""
    sandbox: str
    known_at: float
    asked_at: float | None = None
    """When a person asked its own process to stop it."""


class CutOffs:
    """The cut-offs of one world in which nothing may delay them."""

    def __init__(self, machine: Machine, checker: InvariantChecker, was_held: Callable[[float], str]) -> None:
        """`was_held` says what did not answer at a second of the world, or nothing; such cut-offs are counted apart."""
        self._machine = machine
        self._checker = checker
        self._was_held = was_held
        self._launches: dict[str, KnownLaunch] = {}
        self._judged: set[str] = set()
        self.counts: Counter[str] = Counter()

    def on_answer(self, process: EngineProcess, order: LaunchOrder, verdict: Verdict) -> None:
        """A process knows what its POST proved."""
        if isinstance(verdict, Launched | Unknown):
            self._launches[order.labels["nightdesk-run"]] = KnownLaunch(
                process=process,
                agent=self._machine.service.agents[verdict.remote_id] if isinstance(verdict, Launched) else None,
                sandbox=order.prepared_id or "",
                known_at=self._machine.loop.time(),
            )

    def check(self) -> None:
        """A cancel leaves within a second of its time, whatever does not answer meanwhile."""
        now = self._machine.loop.time()
        for run_id, launch in self._launches.items():
            due = self.due(run_id, launch)
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
            self.counts[what] += 1
            if held := self._was_held(due):
                self.counts[f"{what} while {held}"] += 1
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
                self.counts["stops stored"] += 1
                self._checker.must_not(intent_violations(run_id, self._checker.event_kinds(run_id)))

    def due(self, run_id: str, launch: KnownLaunch) -> float | None:
        """When the cancel of a run has to leave, at the latest."""
        sent_at = self._checker.sent_at.get(run_id)
        if sent_at is None:
            return None
        due = max(sent_at + self._checker.row(run_id).max_ms / 1000, launch.known_at)
        return due if launch.asked_at is None else min(due, launch.asked_at)

    def own(self) -> list[tuple[RunId, KnownLaunch]]:
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

    def delay_to_one(self) -> float:
        """Seconds until shortly before a run has to be cut off; 0 where none has to."""
        rng, now = self._machine.rng, self._machine.loop.time()
        dues = [due for run_id, launch in self.own() if (due := self.due(run_id, launch)) is not None and due > now]
        return max(0.0, rng.choice(dues) - now - rng.choice((0.0, 1.0, 10.0))) if dues else 0.0

    async def stop(self, scenario: RandomScenario, before: Callable[[], None]) -> None:
        """A person stops a run, in the process that supervises it or in another one. `before` is called just before."""
        own, rng = self.own(), self._machine.rng
        if not own:
            return
        run_id, launch = rng.choice(own)
        others = [process for process in self._machine.living() if process is not launch.process]
        before()
        if rng.random() < 0.3:
            await self._kill(scenario, own)
        elif others and rng.random() < 0.5:
            other = rng.choice(others)
            self._machine.note(f"{other} stops a run of {launch.process}")
            await scenario.finished(other.act(other.engine.operations.stop(run_id, by=BY)))
        else:
            self._machine.note(f"{launch.process} stops its own run")
            launch.asked_at = launch.asked_at or self._machine.loop.time()
            await scenario.finished(launch.process.act(launch.process.engine.operations.stop(run_id, by=BY)))

    async def _kill(self, scenario: RandomScenario, own: list[tuple[RunId, KnownLaunch]]) -> None:
        """A person pulls the kill switch in a process that supervises runs."""
        _, chosen = self._machine.rng.choice(own)
        process, operations = chosen.process, chosen.process.engine.operations
        self._machine.note(f"{process} pulls the kill switch on its own runs")
        for _, launch in own:
            if launch.process is process:
                launch.asked_at = launch.asked_at or self._machine.loop.time() + KILL_SWITCH_S
        await scenario.finished(process.act(operations.pause(by=BY, cancel=True)))
        await scenario.finished(process.act(operations.resume(by=BY)))
