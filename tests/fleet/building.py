"""Build the engine of one host of a fleet: a state folder of its own, on a schema that several hosts share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from console.domain.timestamps import Clock
from console.engine.clock import SystemClock
from console.engine.engine import Engine
from console.engine.fleet_clock import FleetClock
from console.engine.kernel_locks import KernelLocks
from console.engine.leases import LeaseOwnership, LeaseTimes, lock_domain, this_process
from console.engine.settings import EngineSettings, Timings
from console.journal.launch_journal import LaunchJournal
from console.journal.runs_log import LogWriter
from console.provider.contract import Provider
from console.store.fleet_settings import FleetSettings
from console.store.postgres.database import PostgresDatabase
from console.store.postgres.leases import Leases
from console.store.store import Store
from tests.engine.building import QUICK, EngineHarness, settings

SHORT = LeaseTimes(renew_ms=200, term_ms=1_000, trust_ms=600, contact_ms=1_000, schedule_ms=1_500)
"""A twentieth of the program's own, so that a test takes little real time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host(EngineHarness):
    """An engine with its store and state folder, and how it knows who owns what."""

    ownership: LeaseOwnership
    clock: FleetClock
    launches: LaunchJournal


def lease_ownership(
    fleet: FleetSettings,
    folder: Path,
    *,
    system: Clock | None = None,
    times: LeaseTimes = SHORT,
    supervises: bool = True,
) -> tuple[LeaseOwnership, FleetClock, Leases]:
    """Return the ownership of a process, with connections of its own; the caller closes the leases."""
    system = system or SystemClock()
    clock = FleetClock(system)
    locks = KernelLocks(folder, supervises=supervises)
    leases = Leases(PostgresDatabase(folder, fleet), system.now)
    domain = lock_domain(folder, system)
    process = this_process(locks, kind="serve", host=folder.name, domain=domain, version="test")
    return LeaseOwnership(locks, leases, clock, process, times), clock, leases


@asynccontextmanager
async def host(
    fleet: FleetSettings,
    folder: Path,
    provider: Provider,
    use: EngineSettings | None = None,
    *,
    system: Clock | None = None,
    timings: Timings = QUICK,
    times: LeaseTimes = SHORT,
) -> AsyncIterator[Host]:
    """Run the engine of a host until the block ends; its runs are then handed over."""
    await asyncio.to_thread(folder.mkdir, mode=0o700, exist_ok=True)
    use = use or settings()
    ownership, clock, leases = lease_ownership(fleet, folder, system=system, times=times, supervises=use.supervises)
    store = await Store.open(folder, now=clock.now(), fleet=fleet)
    log, launches = LogWriter(folder / "runs.log"), LaunchJournal(folder / "launch.journal")
    engine = Engine(
        store=store,
        log=log,
        launches=launches,
        providers={"default": provider},
        clock=clock,
        settings=use,
        folder=folder,
        ownership=ownership,
        timings=timings,
    )
    try:
        async with engine:
            yield Host(engine=engine, store=store, folder=folder, ownership=ownership, clock=clock, launches=launches)
    finally:
        ownership.release()
        log.close()
        launches.close()
        await leases.close()
        await store.close()
