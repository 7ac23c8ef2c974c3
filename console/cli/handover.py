"""Hands runs over before a process ends: it stops guarding only once another process is seen to supervise."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from console.app import App
from console.cli.exit_codes import CommandError, ExitCode, HandoverFailed
from console.cli.invocation import Invocation
from console.cli.successor import GUARD_LOCK, Successor, ancestors_of, no_successor_reason, start_successor
from console.domain.run import Run, RunId, State
from console.engine.errors import StoreError
from console.engine.models import Owner, Snapshot
from console.engine.settings import ProcessKind
from console.os_files import is_locked

STARTED_WITHIN_S = 15.0
"""How long a background supervisor may take to start, on a loaded machine."""
TAKEN_WITHIN_S = 1.5
"""How long to wait to see who takes a run over; a supervisor that lives takes it in any case."""
POLL_S = 0.1


class NoPlaceForSuccessor(HandoverFailed):
    """A process that is left behind would be killed together with this one."""


async def hand_over(invocation: Invocation, app: App, run_id: RunId | None = None) -> str | None:
    """Stop guarding, once the background supervisor or another engine is seen to supervise the state folder.

    Return in words who guards `run_id` now (default: any run that needed a new guard), or None if no run needs one.
    Raises HandoverFailed, and then goes on supervising. Raises CommandError if the successor died in between.
    """
    try:
        needing = _runs_to_hand_over(await app.engine.queries.snapshot())
        await _require_rows(app)
    except (StoreError, OSError):
        # Nothing is known about the runs, or whose processes live, so somebody has to go on looking.
        needing = None
    if needing == ():
        await app.engine.hand_over()
        return None
    successor = _start(invocation)
    try:
        await _until_supervised(app, successor, invocation.folder)
        await app.engine.hand_over()
        return await _taker(app, run_id or (needing[0].id if needing else None), successor)
    finally:
        successor.release()


async def _require_rows(app: App) -> None:
    """Raise HandoverFailed for a supervised run without a row: no other process can know of it."""
    for run_id in app.engine.guarded:
        if await app.store.runs.get(run_id) is None:
            raise HandoverFailed(
                f"run {run_id} is not in the state store any more, so no other process can supervise it"
            )


async def hand_over_schedule(invocation: Invocation, app: App) -> str:
    """Stop guarding and scheduling, once a background `serve` is seen to supervise the state folder.

    Return in words which process it is. Raises HandoverFailed, and then goes on.
    """
    successor = _start(invocation, ProcessKind.SERVE)
    try:
        await _until_supervised(app, successor, invocation.folder, ProcessKind.SERVE)
        await app.engine.hand_over()
    finally:
        successor.release()
    return f"nightdesk serve in the background (pid {successor.pid})"


def _start(invocation: Invocation, kind: ProcessKind = ProcessKind.GUARD) -> Successor:
    pid = os.getpid()
    reason = no_successor_reason(
        invocation.environment, pid=pid, ancestors=ancestors_of(pid), has_terminal=_has_terminal()
    )
    if reason is not None:
        raise NoPlaceForSuccessor(f"no background supervisor can be left behind: {reason}")
    try:
        return start_successor(
            kind.value,
            config=invocation.config.path,
            folder=invocation.folder,
            environment=invocation.environment,
            settings=invocation.loaded_settings,
            keys=invocation.provider_factory.keys_from_files if invocation.provider_factory else {},
        )
    except OSError as error:
        raise HandoverFailed(f"the background supervisor does not start: {error.strerror}") from error


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal, whatever its streams are."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


async def _until_supervised(
    app: App, successor: Successor, folder: Path, kind: ProcessKind = ProcessKind.GUARD
) -> None:
    """Return once a background process of that kind is seen to hold its lock. Raises HandoverFailed."""
    loop = asyncio.get_running_loop()
    until = loop.time() + STARTED_WITHIN_S
    while loop.time() < until:
        code = successor.exit_code()
        if code:
            raise HandoverFailed(f"the background supervisor ended at once (exit {code}; diag.log may say why)")
        try:
            snapshot = await app.engine.queries.snapshot()
        except StoreError:
            # The store does not answer; the lock alone says that a supervisor is at work.
            if kind is ProcessKind.GUARD and is_locked(folder / "owners" / GUARD_LOCK):
                return
        else:
            if any(owner.alive and owner.kind == kind and not owner.mine for owner in snapshot.owners.values()):
                return
        await asyncio.sleep(POLL_S)
    raise HandoverFailed(f"the background supervisor did not start within {STARTED_WITHIN_S:g} s")


async def _taker(app: App, run_id: RunId | None, successor: Successor) -> str | None:
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
        await asyncio.sleep(POLL_S)
    if code := successor.exit_code():
        raise CommandError(
            ExitCode.UNCONFIRMED,
            f"nobody guards what was live here: the background supervisor ended (exit {code}); start `nightdesk`",
        )
    return f"the background supervisor (pid {successor.pid})"


def _runs_to_hand_over(snapshot: Snapshot) -> tuple[Run, ...]:
    """Return the open runs that need a guard and whose guard is this process or nobody."""
    owners = ((run, guard_of(snapshot, run.owner)) for run in snapshot.live if needs_a_guard(run))
    return tuple(run for run, owner in owners if owner is None or owner.mine)


def unguarded_runs(snapshot: Snapshot) -> tuple[Run, ...]:
    """Return the open runs that need a living process to see them to their end, and have none."""
    return tuple(run for run in snapshot.live if needs_a_guard(run) and guard_of(snapshot, run.owner) is None)


def needs_a_guard(run: Run) -> bool:
    """Return whether something can still be done for the run without a person.

    For an unconfirmed one that is only the deletion of its own sandbox, at a stop or at its deadline.
    """
    if run.state is State.UNCONFIRMED:
        return run.sandbox_own and run.sandbox_id is not None and run.sandbox_deleted_ms is None
    return run.is_live


def guard_of(snapshot: Snapshot, owner_id: str | None) -> Owner | None:
    """Return the living process that guards a run, if there is one."""
    owner = snapshot.owners.get(owner_id or "")
    return owner if owner is not None and owner.alive else None
