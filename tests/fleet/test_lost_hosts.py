"""Hosts as processes that are killed, stopped or cut off: their runs are taken over, and nothing of theirs is written
afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from console.simulator.process import SimulatorProcess
from console.store.fleet_settings import FleetSettings
from tests.fleet.host_process import STOP_ALL, TIMES
from tests.fleet.host_processes import HostProcess, host_processes, now_s, rows
from tests.waiting import until

LOST = ("killed", "stopped", "silent", "refused")
RUNS = 4
"""Of each host that is lost; the launches of all of them share two processors."""
PATIENT_S = 120.0
"""Seven processes share two processors with whatever else is under way."""
SLOW_S = 15.0
"""So much longer than a lease the take-over of all runs may take there; one run takes a few hundredths of a second."""
TAKEN = """
    select runs.id, runs.target, runs.owner, runs.fence from runs
    where split_part(target, '-', 1) = %(host)s and state <> 'ended'
"""
WRITTEN_LATE = """
    select events.kind, events.host, events.run_id from events
    where events.host = %(host)s and exists (
        select 1 from events taken where taken.run_id = events.run_id and taken.kind = 'taken_over'
        and taken.id < events.id and taken.host <> events.host
    )
"""
LEASES = "select id, until_ms > now_ms() as lasts, until_ms from owners"


def strike(one: HostProcess) -> None:
    """Lose the host in the way that its name says."""
    {"killed": one.kill, "stopped": one.stop, "silent": one.line.silence, "refused": one.line.refuse}[one.name]()


async def come_back(one: HostProcess) -> None:
    """End what `strike` did."""
    one.line.restore()
    if one.name == "killed":
        await one.start()
        await one.ready()
    one.go_on()


async def leases(fleet: FleetSettings) -> Mapping[str, int]:
    """The ends of the leases that last, by owner."""
    found = await asyncio.to_thread(rows, fleet, LEASES)
    return {row["id"]: row["until_ms"] for row in found if row["lasts"]}


async def test_the_runs_of_a_lost_host_are_taken_over_once_its_lease_is_over_and_it_writes_nothing_afterwards(
    fleet: FleetSettings, tmp_path: Path
) -> None:
    with SimulatorProcess() as service:
        async with host_processes(fleet, tmp_path, service.url, (*LOST, "taker"), step_s=60.0) as hosts:
            taker = hosts["taker"].owners[-1]
            for number in range(RUNS):
                for name in LOST:
                    hosts[name].launch(f"{name}-{number}")
                # One at a time: a process that gets no processor for two seconds launches nothing.
                await until(
                    partial(_run, fleet, len(LOST) * (number + 1)), within=PATIENT_S, what="the runs of all hosts"
                )
            # The taker has had contact for long enough: the delay is that of the leases alone.
            began = now_s()
            await until(lambda: now_s() - began > TIMES.contact_ms / 1000)
            struck = now_s()
            for name in LOST:
                strike(hosts[name])
            delays = {}

            async def all_taken() -> bool:
                for name in LOST:
                    found = await asyncio.to_thread(rows, fleet, TAKEN, host=name)
                    if name not in delays and all(row["owner"] == taker for row in found):
                        delays[name] = now_s() - struck
                return len(delays) == len(LOST)

            await until(all_taken, within=PATIENT_S, what="all runs are taken over")
            assert min(delays.values()) > TIMES.trust_ms / 1000, delays
            for name in LOST:
                await come_back(hosts[name])
            back = {hosts[name].owners[-1] for name in LOST}
            await until(lambda: _all_in(back, fleet), within=PATIENT_S, what="all are back")
            seen = await leases(fleet)

            async def renewed_twice() -> bool:
                now = await leases(fleet)
                return all(now.get(owner, 0) - seen[owner] >= 2 * TIMES.renew_ms for owner in back)

            await until(renewed_twice, within=PATIENT_S, what="two more renewals of all")
            for name in LOST:
                found = await asyncio.to_thread(rows, fleet, TAKEN, host=name)
                assert [(row["owner"], row["fence"]) for row in found] == [(taker, 2)] * RUNS
                assert not await asyncio.to_thread(rows, fleet, WRITTEN_LATE, host=name)
            hosts["taker"].launch(STOP_ALL)

            async def all_ended() -> bool:
                return not await asyncio.to_thread(rows, fleet, "select id from runs where state <> 'ended'")

            await until(all_ended, within=PATIENT_S, what="the end of all runs")
            assert len(service.control.runs()) == RUNS * len(LOST)
            # A lease ends within its term, and the taker looks once a tick.
            assert max(delays.values()) < TIMES.term_ms / 1000 + SLOW_S, delays


async def _run(fleet: FleetSettings, number: int) -> bool:
    found = await asyncio.to_thread(rows, fleet, "select id from runs where state = 'running'")
    return len(found) == number


async def _all_in(owners: set[str], fleet: FleetSettings) -> bool:
    return owners <= set(await leases(fleet))
