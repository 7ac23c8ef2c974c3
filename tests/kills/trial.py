"""One trial: a process is killed, the next one as well, the last one lives; then everything is held to the laws."""

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

from console.domain.run import State
from console.engine.clock import SystemClock
from console.simulator.control_client import ControlClient
from console.store.store import Store
from tests.evidence import Evidence, complaints, gather
from tests.invariants import standing, violations
from tests.kills.plan import Trial
from tests.kills.process_lives import EnginePorts, ProcessLife, live
from tests.kills.scenarios import LATE_S, STREAM, Proof, RunScenario

ALARM_S = 40
"""A process that hangs is ended by the kernel."""
AGAIN_EVERY = 5
"""So many trials, and once the recovery is repeated: it must change nothing."""


@dataclass(slots=True)
class Count:
    """What came of some trials."""

    trials: int = 0
    kills: int = 0
    cells: dict[str, int] = field(default_factory=dict)
    """`K4 create.503`: how often a process died there and met that."""
    missed: list[str] = field(default_factory=list)
    """Trials in which the death that they are about did not come."""
    breaches: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        """Takes in what others counted."""
        self.trials += other.trials
        self.kills += other.kills
        for cell, times in other.cells.items():
            self.cells[cell] = self.cells.get(cell, 0) + times
        self.missed += other.missed
        self.breaches += other.breaches


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRunner:
    """Where trials take place: one service, one folder for all state folders. No thread runs beside it."""

    service: ControlClient
    url: str
    base: Path
    ports: EnginePorts = field(default_factory=EnginePorts)

    @property
    def template(self) -> Path:
        """A state folder in which nothing ever happened; making one costs more than a life."""
        return self.base / "template"

    def prepare(self) -> None:
        """Makes the template, and lives once, so that no child has to load what lives need."""
        asyncio.run(_make(self.template))
        folder = self.base / "warm"
        shutil.copytree(self.template, folder)
        life = ProcessLife(folder=folder, url=self.url, target="warm", course=RunScenario.STOPPED, trouble=STREAM[0])
        asyncio.run(live(life, EnginePorts()))

    def run(self, trial: Trial, count: Count) -> None:
        """Adds what comes of `trial` to `count`."""
        folder = self.base / f"trial-{trial.number}"
        shutil.copytree(self.template, folder)
        self.service.reset()
        self.service.set_faults(trial.trouble.of_all)
        life = ProcessLife(
            folder=folder,
            url=self.url,
            target=f"trial-{trial.number}",
            course=trial.course,
            trouble=trial.trouble,
        )
        breaches = self._live_on(trial, life, count)
        if trial.trouble.name == "create.late":
            time.sleep(LATE_S)
        breaches += self.breaches(life, lambda found: self._second_thoughts(trial, life, found))
        if said := complaints(life.words):
            breaches.append(f"the processes said: {said[-3000:]}")
        count.trials += 1
        count.breaches += [f"{trial}: {breach}" for breach in breaches]
        self.tidy(life)

    def breaches(self, life: ProcessLife, more: Callable[[Evidence], list[str]] = lambda found: []) -> list[str]:
        """Every law that the folder of `life` and the service break together; where there is none, what `more` says."""
        try:
            found = gather(life.folder, self.service)
        except sqlite3.Error as error:
            return [f"the database is broken: {error}"]
        return violations(found) or more(found)

    def _second_thoughts(self, trial: Trial, life: ProcessLife, found: Evidence) -> list[str]:
        """Was anybody left in the dark without a cause? Does another recovery change anything?"""
        breaches = _unexpected(trial, life, found)
        if trial.number % AGAIN_EVERY == 0:
            again = replace(life, asks=False, shift_ms=trial.shifts_ms[-1])
            if in_child(again, self.ports) != 0 or standing(gather(life.folder, self.service)) != standing(found):
                breaches.append("another recovery changed something")
        return breaches

    def tidy(self, life: ProcessLife) -> None:
        """Throws away what a trial left."""
        shutil.rmtree(life.folder)
        for left in (life.words, life.dark):
            left.unlink(missing_ok=True)

    def _live_on(self, trial: Trial, life: ProcessLife, count: Count) -> list[str]:
        """Every life of the trial up to one that comes to rest; what was wrong with their ends."""
        about = 1 if trial.row.then else 0
        died = []
        for point, shift in zip((*trial.deaths, None), trial.shifts_ms, strict=True):
            status = in_child(replace(life, point=point, shift_ms=shift), self.ports)
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            died.append(killed)
            count.kills += killed
            if not killed and status != 0:
                return [f"a process with the point {point} ended with the status {status}"]
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
    """The wait status of a process that lived it."""
    return os.waitpid(forked(life, ports, lambda: None), 0)[1]


def forked(life: ProcessLife, ports: EnginePorts, wait: Callable[[], object]) -> int:
    """The id of a process that lives it, after `wait`."""
    child = os.fork()
    if child != 0:
        return child
    code = 3
    try:
        wait()
        signal.alarm(ALARM_S)
        words = os.open(life.words, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(words, 2)
        asyncio.run(live(life, ports))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _unexpected(trial: Trial, life: ProcessLife, found: Evidence) -> list[str]:
    """Nobody is left in the dark without a cause, and a run that was launched is seen to its end."""
    has_cause = trial.course is RunScenario.BLIND or trial.trouble.proof is Proof.NOTHING or life.dark.exists()
    unknown = any("unknown" in verdicts for verdicts in found.sends.values())
    breaches = []
    if unknown and not has_cause:
        breaches.append(f"unconfirmed without a cause: {found.sends}")
    for run in found.runs:
        if run.state not in (State.ENDED, State.UNCONFIRMED):
            breaches.append(f"run {run.id} is still {run.state}")
    return breaches
