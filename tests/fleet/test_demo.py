"""The demo of several hosts: a newcomer kills one, and another process supervises its run; nothing remains."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from console.demo.fleet import HOSTS, running_fleet
from console.domain.run import Run
from tests.waiting import until


async def test_the_run_of_a_killed_host_is_taken_over_and_nothing_remains() -> None:
    async with running_fleet() as demo:
        queries = demo.app.engine.queries
        (host, pid), task = demo.pids[0], HOSTS[0][1]

        async def its_run() -> tuple[Run, str]:
            snapshot = await queries.snapshot()
            run = next(run for run in snapshot.live if run.task == task.name)
            owner = snapshot.owners.get(run.owner or "")
            return run, "" if owner is None else owner.host

        before, owner = await its_run()
        assert owner == host
        os.kill(pid, signal.SIGKILL)

        async def is_elsewhere() -> bool:
            run, owner = await its_run()
            return run.fence > before.fence and owner not in ("", host)

        await until(is_elsewhere, within=60, what="another host with the run")
    for _, pid in demo.pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    config = Path(demo.options[1])
    assert not config.parent.parent.exists()
