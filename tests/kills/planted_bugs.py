"""Engines with one bug each, injected at their ports. The invariants must find every one of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import aiosqlite

from console.domain.log_record import LogRecord, format_line, parse_line
from console.domain.run import Ending, Run, RunId, State
from console.domain.timestamps import Clock, Timestamp
from console.journal.launch_journal import LaunchJournal
from console.journal.runs_log import LogWriter
from console.provider.contract import (
    Absent,
    CancelAnswer,
    Fenced,
    LaunchOrder,
    LostLaunch,
    Provider,
    RemoteRun,
    Resolution,
    StatusClass,
    Unknown,
    Verdict,
)
from console.store.pragmas import database_uri
from console.store.runs import RunRepository
from console.store.store import Store
from tests.kills.crash_injector import CrashingDatabase, CrashingProvider, CrashInjector
from tests.kills.process_lives import EnginePorts


class RecordsLate(RunRepository):
    """Records that a POST leaves only when its answer has come."""

    async def mark_sending(self, run: Run, now: Timestamp, *, clock: Clock | None = None) -> Run:
        return replace(run, state=State.SENDING, sent=now, deadline_ms=now.wall_ms + run.limits.max_ms)

    async def record_launched(
        self, run: Run, *, remote_id: str, status: str, sandbox_id: str | None, now: Timestamp
    ) -> Run:
        sending = await super().mark_sending(replace(run, state=State.CLAIMED, sent=None, deadline_ms=None), now)
        return await super().record_launched(
            sending, remote_id=remote_id, status=status, sandbox_id=sandbox_id, now=now
        )


class TakesSilenceForNo(RunRepository):
    """Frees the key and the hold when no answer came."""

    async def record_unconfirmed(self, run: Run, *, why: str, now: Timestamp) -> Run:
        return await self.record_not_sent(run, why=why, final=True, now=now)


class CountsFirst(LogWriter):
    """Keeps how far the log is written in a file of its own, which it writes before the lines."""

    def last(self) -> LogRecord | None:
        with suppress(FileNotFoundError):
            return parse_line(self._counted.read_bytes())
        return None

    def append(self, lines: Sequence[LogRecord], *, sync: bool) -> None:
        self._counted.write_bytes(format_line(lines[-1]))
        super().append(lines, sync=sync)

    @property
    def _counted(self) -> Path:
        return self.path.with_suffix(".counted")


class WritesNoId(LaunchJournal):
    """Does not write the id of a launch to the launch journal."""

    def append(self, run_id: RunId, attempt: int, remote_id: str) -> None:
        return


class AsksTwice(CrashingProvider):
    """Sends the POST again when no answer came."""

    async def create(self, order: LaunchOrder) -> Verdict:
        verdict = await super().create(order)
        return await super().create(order) if isinstance(verdict, Unknown) else verdict


class BelievesTheCancel(CrashingProvider):
    """Takes an accepted cancel for the end of the agent."""

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner, CrashInjector(None), streams=False)
        self._accepted: set[str] = set()

    async def cancel(self, remote_id: str) -> CancelAnswer:
        answer = await super().cancel(remote_id)
        if answer.accepted:
            self._accepted.add(remote_id)
        return answer

    async def get(self, remote_id: str) -> RemoteRun:
        remote = await super().get(remote_id)
        if remote_id not in self._accepted:
            return remote
        return replace(remote, status="cancelled", status_class=StatusClass.TERMINAL, ending=Ending.CANCELLED)


def _asks_twice(provider: Provider) -> Provider:
    return AsksTwice(provider, CrashInjector(None), streams=False)


class TakesAbsenceForProof(CrashingProvider):
    """Takes a session that is missing, and that this process never asked to delete, for a launch that never was."""

    async def resolve(self, lost: LostLaunch) -> Resolution:
        resolution = await super().resolve(lost)
        return Fenced(why="no session") if isinstance(resolution, Absent) else resolution


def _takes_absence_for_proof(provider: Provider) -> Provider:
    return TakesAbsenceForProof(provider, CrashInjector(None), streams=False)


def _with_runs(kind: type[RunRepository]) -> EnginePorts:
    def store(database: CrashingDatabase) -> Store:
        made = Store(database)
        made.runs = kind(database)
        return made

    return EnginePorts(store=store)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedBug:
    """One bug."""

    ports: EnginePorts
    near: str
    """Only the trials of this crash point, or group of system calls, are run: they find the bug soonest."""
    kind: str = "gemini"
    """The kind of the service."""
    at_calls: bool = False
    """The trials strike at system calls, not at named steps."""


async def _unjournalled(folder: Path, injector: CrashInjector) -> CrashingDatabase:
    """Opens the database with its rollback journal in memory: a commit is not atomic any more."""
    connections = []
    for _ in range(2):
        connection = await aiosqlite.connect(database_uri(folder), uri=True, isolation_level=None, timeout=30.0)
        connection.row_factory = sqlite3.Row
        await connection.execute_fetchall("pragma journal_mode = memory")
        connections.append(connection)
    database = CrashingDatabase(folder, *connections)
    database.injector = injector
    return database


PLANTED_BUGS: Mapping[str, PlantedBug] = {
    "records late": PlantedBug(ports=_with_runs(RecordsLate), near="K3"),
    "takes silence for no": PlantedBug(ports=_with_runs(TakesSilenceForNo), near="K3"),
    "counts lines first": PlantedBug(ports=EnginePorts(log=CountsFirst), near="K12"),
    "writes no id": PlantedBug(ports=EnginePorts(journal=WritesNoId), near="K8"),
    "asks twice": PlantedBug(ports=EnginePorts(provider=_asks_twice), near="K1"),
    "keeps no rollback journal": PlantedBug(
        ports=EnginePorts(database=_unjournalled), near="pwrite64 db", at_calls=True
    ),
    "believes the cancel": PlantedBug(ports=EnginePorts(provider=BelievesTheCancel), near="K16"),
    "takes absence for proof": PlantedBug(
        ports=EnginePorts(provider=_takes_absence_for_proof), near="K6", kind="anthropic"
    ),
}
