"""Leaving runs behind: nobody who goes takes the guard of a run along. Says who guards it from now on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from console.cli.background import guard_of, orphans, start_guard
from console.cli.exits import Exit
from console.cli.failures import Failure
from console.engine.errors import StoreError

if TYPE_CHECKING:
    from console.cli.build import House
    from console.cli.shell import Shell
    from console.domain.run import RunId

TAKEN_WITHIN_S = 1.5
"""How long we wait to see who takes a run; it is taken in any case."""


async def hand_over(shell: Shell, house: House, run_id: RunId | None = None) -> str | None:
    """Guards no more; the background supervisor, or a quicker engine, takes what is still open.

    Who guards `run_id` now (or whatever was left alone), in words; None where nothing needs a guard.
    """
    await house.engine.hand_over()
    with suppress(StoreError):
        left = orphans(await house.engine.view.snapshot())
        if not left:
            return None
        run_id = run_id or left[0].id
    # Where the store does not tell, somebody has to go on looking all the same.
    try:
        pid = start_guard(config=shell.config.path, folder=shell.folder, environment=shell.environment)
    except OSError as error:
        told = f"the background supervisor does not start ({error}); keep `nightdesk` open"
        raise Failure(Exit.UNCONFIRMED, told) from None
    return await _taker(house, run_id, pid)


async def _taker(house: House, run_id: RunId | None, pid: int) -> str | None:
    loop = asyncio.get_running_loop()
    until = loop.time() + TAKEN_WITHIN_S
    while run_id is not None and loop.time() < until:
        try:
            snapshot = await house.engine.view.snapshot()
        except StoreError:
            break
        run = next((run for run in snapshot.live if run.id == run_id), None)
        if run is None:
            return None
        owner = guard_of(snapshot, run.owner)
        if owner is not None:
            name = "the background supervisor" if owner.kind == "guard" else f"a {owner.kind} process"
            return f"{name} (pid {owner.pid})"
        await asyncio.sleep(0.1)
    return f"the background supervisor (pid {pid}), which is starting"
