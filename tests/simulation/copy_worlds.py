"""Worlds in which a state folder is copied while its processes work, and in which an older database is put back.

A copy launches nothing before a person accepts it, and no key is launched twice over both.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter

from console.engine.errors import StoreCopied, StoreOlder
from console.engine.models import LaunchRequest
from console.provider.contract import Launched, LaunchOrder, Unknown, Verdict
from console.store.files import DATABASE
from console.store.identity import PLACE
from tests.evidence import read_store
from tests.invariants import copy_violations, store_violations
from tests.simulation.fault_injector import Fault
from tests.simulation.hazard import Hazard
from tests.simulation.invariant_checker import InvariantChecker
from tests.simulation.machine import Disk, EngineProcess, Machine, Site
from tests.simulation.scenario import BY, DATES, RandomScenario
from tests.sync_database import memory_connection

BESIDE_COPIES = frozenset(
    {
        *(Fault.NOT_SENT, Fault.LIMITED, Fault.LOST_REPLY, Fault.SLOW, Fault.SANDBOX_FAILS, Fault.NO_SANDBOX),
        *(Fault.JOURNAL_FULL, Fault.CRASH, Fault.HAND_OVER, Fault.FAILS),
    }
)
"""Faults in a world of copies: those that keep a launch on its way for a while."""
SELECT_PLACE = f"select 1 from meta where name = '{PLACE}'"
BACKUP = "backup"
"""The name of a database that was put back. It may launch where the files show that it lacks nothing."""
RESTORED_S = 40.0
"""How long processes work on a database that was put back."""


class CopiedFolders:
    """The copies of one world."""

    def __init__(self, machine: Machine, checker: InvariantChecker, scenario: RandomScenario) -> None:
        self._machine = machine
        self._checker = checker
        self._scenario = scenario
        self._copies: list[Site] = []
        self._backup: bytes | None = None
        self._keys: dict[str, str] = {}
        """By key, the state folder from which it was, or may have been, launched first."""
        self._counts: Counter[str] = Counter()
        (machine.site.folder / DATABASE).touch()

    def hazard(self) -> Hazard:
        """What this world adds."""
        return Hazard(
            counts=self._counts,
            acts=((4, self._copy), (4, self._back_up), (4, self._launch_from_copy)),
            check_end=self._end,
            on_post=self._on_post,
            on_answer=self._on_answer,
        )

    def _on_post(self, process: EngineProcess, order: LaunchOrder) -> None:
        key, place = order.labels["nightdesk-key"], process.site.name
        if process.site is not self._machine.site:
            may_launch = place == BACKUP
            self._checker.must_not(copy_violations(key, place, may_launch=may_launch, before=self._keys.get(key)))

    def _on_answer(self, process: EngineProcess, order: LaunchOrder, verdict: Verdict) -> None:
        if isinstance(verdict, Launched | Unknown):
            self._keys.setdefault(order.labels["nightdesk-key"], process.site.name)

    async def _copy(self) -> None:
        """Somebody copies the folder, `cp -a`, and starts processes on the copy."""
        machine = self._machine
        if self._copies or machine.site.connection.execute(SELECT_PLACE).fetchone() is None:
            # A store that has never launched holds no keys: its copy is as good as a new one.
            return
        folder = machine.base / "copy"
        shutil.copytree(machine.site.folder, folder)
        connection = memory_connection()
        connection.deserialize(machine.site.connection.serialize())
        disk = Disk()
        disk.lines, disk.launched = list(machine.site.disk.lines), dict(machine.site.disk.launched)
        self._start(Site(name="copy", folder=folder, connection=connection, disk=disk))

    async def _back_up(self) -> None:
        self._machine.note("the database is backed up")
        self._backup = self._machine.site.connection.serialize()

    def _start(self, site: Site) -> None:
        self._machine.note(f"there is a {site.name}")
        self._copies.append(site)
        for _ in range(self._machine.rng.choice((1, 2))):
            self._scenario.spawn(site=site)

    async def _launch_from_copy(self) -> None:
        """Somebody launches from the copy."""
        for site in self._copies:
            for process in self._machine.living(site):
                await self._launch(process)

    async def _launch(self, process: EngineProcess) -> None:
        rng = self._machine.rng
        task, date = rng.choice(self._scenario.tasks).name, rng.choice(DATES)
        self._machine.note(f"{process} on {process.site.name} launches {task} {date}")
        request = LaunchRequest(task=task, date=date, by=BY)
        launch = process.act(process.engine.operations.launch(request))
        await self._scenario.finished(launch)
        if launch.done() and isinstance(launch.exception(), StoreCopied | StoreOlder):
            self._counts["refusals"] += 1

    async def _end(self) -> None:
        """All processes die and the backup is put back; then everything that the copies hold is checked."""
        machine = self._machine
        for process in machine.living():
            process.die()
        if self._backup is not None and self._is_older():
            connection = memory_connection()
            connection.deserialize(self._backup)
            disk = Disk()
            disk.lines, disk.launched = list(machine.site.disk.lines), dict(machine.site.disk.launched)
            (machine.site.folder / "runs.log").write_bytes(b"".join(disk.lines))
            self._start(Site(name=BACKUP, folder=machine.site.folder, connection=connection, disk=disk))
            await asyncio.sleep(2.0)
            await self._launch_from_copy()
            await asyncio.sleep(RESTORED_S)
        for site in self._copies:
            self._counts[f"{site.name} worlds"] += 1
            for process in machine.living(site):
                process.die()
            self._checker.must_not(store_violations(read_store(site.connection)))
            site.connection.close()

    def _is_older(self) -> bool:
        """True where the files show that the backup lacks something."""
        backup = memory_connection()
        backup.deserialize(self._backup or b"")
        (known,) = backup.execute("select coalesce(max(ev), 0) from events").fetchone()
        runs = {run_id for (run_id,) in backup.execute("select id from runs where remote_id is not null")}
        backup.close()
        disk = self._machine.site.disk
        return len(disk.lines) > known or not runs.issuperset(disk.launched)
