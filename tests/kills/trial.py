"""One trial: a process is killed, so is the next, the last one lives; then everything is held to the invariants."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from console.domain.run import State, StopRequest
from console.engine.clock import SystemClock
from console.simulator.control_client import ControlClient
from console.store.store import Store
from tests.evidence import Evidence, error_output, gather
from tests.faults.matrix import SESSION_SERVICES
from tests.invariants import violations
from tests.kills.plan import Trial
from tests.kills.process_lives import EnginePorts, ProcessLife, live
from tests.kills.scenarios import LATE_S, STREAM, Proof, RunScenario

ALARM_S = 40
"""The kernel ends a process that hangs for longer."""
RECOVERED_AGAIN_EVERY = 5
"""In every so many-th trial the recovery is repeated: it must change nothing."""


@dataclass(slots=True)
class Count:
    """What some trials came to."""

    trials: int = 0
    kills: int = 0
    cells: dict[str, int] = field(default_factory=dict)
    """By crash point and fault class (`K4 create.503`): how often a process died there and met that."""
    missed: list[str] = field(default_factory=list)
    """Trials in which the planned death did not happen."""
    breaches: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        """Adds the count of other trials."""
        self.trials += other.trials
        self.kills += other.kills
        for cell, times in other.cells.items():
            self.cells[cell] = self.cells.get(cell, 0) + times
        self.missed += other.missed
        self.breaches += other.breaches


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRunner:
    """Runs trials against one service, with all state folders in one folder. Forks, so it must have one thread only."""

    service: ControlClient
    url: str
    base: Path
    kind: str = "gemini"
    """The kind of the service."""
    ports: EnginePorts = field(default_factory=EnginePorts)

    @property
    def template(self) -> Path:
        """An unused state folder, copied for each trial: making one costs more than a whole trial."""
        return self.base / "template"

    def prepare(self) -> None:
        """Makes the template, and runs one launch here so that no child has to import its modules."""
        asyncio.run(_make(self.template))
        folder = self.base / "warm"
        shutil.copytree(self.template, folder)
        life = ProcessLife(
            folder=folder,
            url=self.url,
            target="warm",
            scenario=RunScenario.STOPPED,
            fault=STREAM[0],
            kind=self.kind,
        )
        asyncio.run(live(life, EnginePorts()))

    def run(self, trial: Trial, count: Count) -> None:
        """Runs `trial` and adds its result to `count`."""
        folder = self.base / f"trial-{trial.number}"
        shutil.copytree(self.template, folder)
        self.service.reset()
        self.service.set_faults(trial.fault.of_all)
        life = ProcessLife(
            folder=folder,
            url=self.url,
            target=f"trial-{trial.number}",
            scenario=trial.scenario,
            fault=trial.fault,
            kind=self.kind,
        )
        breaches = self._live_on(trial, life, count)
        if trial.fault.name == "create.late":
            time.sleep(LATE_S)
        breaches += self.breaches(life, lambda found: self._recovery_breaches(trial, life, found))
        if said := error_output(life.stderr):
            breaches.append(f"the processes wrote: {said[-3000:]}")
        count.trials += 1
        count.breaches += [f"{trial}: {breach}" for breach in breaches]
        self.tidy(life)

    def breaches(self, life: ProcessLife, more: Callable[[Evidence], list[str]] = lambda found: []) -> list[str]:
        """Every invariant that the folder and the service break; where there is none, what `more` returns."""
        try:
            found = gather(life.folder, self.service)
        except sqlite3.Error as error:
            return [f"the database is damaged: {error}"]
        return violations(found) or more(found)

    def _recovery_breaches(self, trial: Trial, life: ProcessLife, found: Evidence) -> list[str]:
        """Runs that are unconfirmed without a cause, and changes that another recovery makes."""
        breaches = _unexpected(trial, life, found) + self._unresolved(trial, life, found)
        if trial.number % RECOVERED_AGAIN_EVERY == 0:
            again = replace(life, asks=False, shift_ms=trial.shifts_ms[-1])
            status = in_child(again, self.ports)
            if status != 0 or _recovered(gather(life.folder, self.service)) != _recovered(found):
                breaches.append("another recovery changed something")
        return breaches

    def _unresolved(self, trial: Trial, life: ProcessLife, found: Evidence) -> list[str]:
        """Launches without an answer that were not cleared up, although their sessions can be read."""
        if self.kind not in SESSION_SERVICES:
            return []
        died_asking, deleted = life.died_asking.exists(), self.service.stats()["sessions_deleted"]
        assert isinstance(deleted, list)
        breaches = []
        if not (died_asking or trial.fault.hides) and any("unknown" in tries for tries in found.store.tries.values()):
            breaches.append(f"not resolved before it became unconfirmed: {found.store.tries}")
        for run in found.store.runs:
            if run.state is State.UNCONFIRMED and not (died_asking and run.sandbox_id in deleted):
                breaches.append(f"run {run.id} stays unconfirmed, and its session can be read")
        return breaches

    def tidy(self, life: ProcessLife) -> None:
        """Removes the files of a trial."""
        shutil.rmtree(life.folder)
        for left in (life.stderr, life.died_launching, life.died_asking):
            left.unlink(missing_ok=True)

    def _live_on(self, trial: Trial, life: ProcessLife, count: Count) -> list[str]:
        """Starts one process after the other until one comes to rest; returns what was wrong with their ends."""
        about = 1 if trial.row.then else 0
        died = []
        for point, shift in zip((*trial.deaths, None), trial.shifts_ms, strict=True):
            status = in_child(replace(life, point=point, shift_ms=shift), self.ports)
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            died.append(killed)
            count.kills += killed
            if not killed and status != 0:
                return [f"a process with the crash point {point} ended with the status {status}"]
            if not killed:
                break
        if all(died[: about + 1]):
            count.cells[trial.cell] = count.cells.get(trial.cell, 0) + 1
        else:
            count.missed.append(str(trial))
        return []


async def _make(folder: Path) -> None:
    store = await Store.open(folder, now=SystemClock().now())
    await store.close()


def in_child(life: ProcessLife, ports: EnginePorts) -> int:
    """The wait status of a child process that ran `life`."""
    return os.waitpid(forked(life, ports, lambda: None), 0)[1]


def forked(life: ProcessLife, ports: EnginePorts, wait: Callable[[], object]) -> int:
    """The id of a child process that calls `wait` and then runs `life`."""
    child = os.fork()
    if child != 0:
        return child
    code = 3
    try:
        wait()
        signal.alarm(ALARM_S)
        stderr = os.open(life.stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(stderr, 2)
        asyncio.run(live(life, ports))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _recovered(found: Evidence) -> list[object]:
    """What a second recovery must leave as it is.

    Who guards a run, under which fence, and how often its stop was tried may change.
    """
    store = found.store
    return [
        (run.id, run.state, run.outcome, run.used, run.remote_id, _untried(run.stop), store.holds.get(run.id))
        for run in store.runs
    ] + [store.tries, found.journal, found.agents, found.posts]


def _untried(stop: StopRequest | None) -> StopRequest | None:
    return replace(stop, tries=0, answer="") if stop is not None else None


def _unexpected(trial: Trial, life: ProcessLife, found: Evidence) -> list[str]:
    """A run is unconfirmed only with a cause, and a run that was launched is followed to its end."""
    has_cause = (
        trial.scenario is RunScenario.BLIND or trial.fault.proof is Proof.NOTHING or life.died_launching.exists()
    )
    unknown = any("unknown" in verdicts for verdicts in found.store.tries.values())
    breaches = []
    if unknown and not has_cause:
        breaches.append(f"unconfirmed without a cause: {found.store.tries}")
    for run in found.store.runs:
        if run.state not in (State.ENDED, State.UNCONFIRMED):
            breaches.append(f"run {run.id} is still {run.state}")
    return breaches
