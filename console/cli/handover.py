"""Leaving runs behind: nobody who goes takes the guard of a run along. Says who guards it from now on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from console.app import App
from console.cli.exit_codes import CommandError, ExitCode
from console.cli.invocation import Invocation
from console.domain.run import Run, RunId, State
from console.engine.errors import StoreError
from console.engine.models import Owner, Snapshot
from console.program import own_command

TAKEN_WITHIN_S = 1.5
"""How long we wait to see who takes a run; it is taken in any case."""


async def hand_over(invocation: Invocation, app: App, run_id: RunId | None = None) -> str | None:
    """Guards no more; the background supervisor, or a quicker engine, takes what is still open.

    Who guards `run_id` now (or whatever was left alone), in words; None where nothing needs a guard.
    """
    await app.engine.hand_over()
    with suppress(StoreError):
        left = unguarded_runs(await app.engine.queries.snapshot())
        if not left:
            return None
        run_id = run_id or left[0].id
    # Where the store does not tell, somebody has to go on looking all the same.
    try:
        pid = start_guard(config=invocation.config.path, folder=invocation.folder, environment=invocation.environment)
    except OSError as error:
        told = f"the background supervisor does not start ({error}); keep `nightdesk` open"
        raise CommandError(ExitCode.UNCONFIRMED, told) from None
    return await _taker(app, run_id, pid)


async def _taker(app: App, run_id: RunId | None, pid: int) -> str | None:
    loop = asyncio.get_running_loop()
    until = loop.time() + TAKEN_WITHIN_S
    while run_id is not None and loop.time() < until:
        try:
            snapshot = await app.engine.queries.snapshot()
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


def start_guard(*, config: Path, folder: Path, environment: Mapping[str, str]) -> int:
    """Starts the background supervisor and returns its process id.

    Where one is at work already, the new one sees its lock and ends. Raises OSError.
    """
    command = own_command("--config", str(config), "--state-dir", str(folder), "guard")
    diag = os.open(folder / "diag.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, diag, 2),
        ]
        # Not subprocess: nobody waits for this process, and it is to outlive us.
        return os.posix_spawn(sys.executable, command, dict(environment), file_actions=actions, setsid=True)
    finally:
        os.close(diag)


def unguarded_runs(snapshot: Snapshot) -> tuple[Run, ...]:
    """The open runs that need a living process to see them to their end, and have none."""
    return tuple(run for run in snapshot.live if needs_a_guard(run) and guard_of(snapshot, run.owner) is None)


def needs_a_guard(run: Run) -> bool:
    """True while something can still be done for the run without a person.

    Of an unconfirmed one only its own sandbox can be deleted, at a stop or at its deadline.
    """
    if run.state is State.UNCONFIRMED:
        return run.sandbox_own and run.sandbox_id is not None and run.sandbox_deleted_ms is None
    return run.is_live


def guard_of(snapshot: Snapshot, owner_id: str | None) -> Owner | None:
    """The living process that guards a run, where one does."""
    owner = snapshot.owners.get(owner_id or "")
    return owner if owner is not None and owner.alive else None
