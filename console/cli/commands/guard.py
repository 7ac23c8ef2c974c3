"""`guard`: the background supervisor. Other commands start it, so it is on no help page."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from console.app import App
from console.cli.exit_codes import ExitCode
from console.cli.handover import guard_of, needs_a_guard
from console.cli.invocation import Invocation, pass_invocation, shared_options
from console.cli.opening import opened
from console.cli.signals import ShutdownRequest, shutdown_on_signals
from console.cli.successor import GUARD_LOCK, ParentProcess, receive_settings
from console.engine.errors import StoreError
from console.engine.settings import ProcessKind
from console.os_files import LockedFile
from console.program import NAME

LOCK_WAIT_S = 5.0
"""How long to wait for the lock of a supervisor that may be about to end."""
POLL_S = 1.0
PR_SET_NAME = 15
"""From <linux/prctl.h>."""
IDLE_POLLS = 3
"""It ends when this many polls in a row find nothing to guard."""


@click.command("guard", hidden=True)
@click.option("--handed-over", is_flag=True, help="Take the settings from the process that starts this one.")
@shared_options
@pass_invocation
def guard_command(invocation: Invocation, handed_over: bool) -> int:
    """Guard the runs that other processes left, until there are none."""
    go_to_background(invocation, "guard", handed_over=handed_over)
    return asyncio.run(_guard(invocation, has_parent=handed_over))


def go_to_background(invocation: Invocation, command: str, *, handed_over: bool) -> None:
    """Make this process one that no terminal and no folder depends on, under a name that people recognise.

    With `handed_over`, the settings come from the process that started it. Raises ValueError, CommandError.
    """
    if handed_over:
        handed = receive_settings()
        invocation.loaded_settings, invocation.handed_keys = handed.settings, handed.keys
    invocation.config_flag, invocation.state_flag = str(invocation.config.path), str(invocation.folder)
    os.chdir("/")
    show_as(f"{NAME} {command} --state-dir {invocation.folder}")


def show_as(title: str) -> None:
    """Have process lists show `title` in place of the interpreter and its arguments; does nothing where it cannot.

    Only as much is written as the kernel reserved for the arguments of this process.
    """
    with suppress(OSError, ValueError, AttributeError):
        # After the name in parentheses, which may hold blanks: fields 3 and following of proc_pid_stat(5).
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        if 0 < start < end:
            text = os.fsencode(title)[: end - start - 1]
            ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
            ctypes.CDLL(None).prctl(PR_SET_NAME, NAME.encode(), 0, 0, 0)


async def _guard(invocation: Invocation, *, has_parent: bool) -> int:
    settings = invocation.settings()
    path = invocation.folder / "owners" / GUARD_LOCK
    lock = await _take_lock(path)
    if lock is None:
        return ExitCode.OK
    try:
        async with opened(invocation, ProcessKind.GUARD, settings=settings) as app:
            # Nothing but a deliberate end: no `pkill -HUP` that is meant for `serve` takes a run its guard.
            with shutdown_on_signals(signal.SIGTERM, signal.SIGINT, on_suspend=lambda: None) as shutdown:
                parent = ParentProcess() if has_parent else None
                return await _until_idle(app, shutdown, lambda: lock.is_there, parent)
    finally:
        lock.release()


async def _until_idle(
    app: App, shutdown: ShutdownRequest, folder_exists: Callable[[], bool], parent: ParentProcess | None
) -> int:
    """Return when there was nothing to guard for a while, on a signal, or when the state folder was removed."""
    idle = 0
    while shutdown.code is None and idle < IDLE_POLLS and folder_exists():
        try:
            snapshot = await app.engine.queries.snapshot()
        except StoreError:
            # Busy or full: the runs go on, and so does this process.
            idle = 0
        else:
            owners = [guard_of(snapshot, run.owner) for run in snapshot.live if needs_a_guard(run)]
            busy = any(owner is None or owner.mine for owner in owners) or (parent is not None and parent.guards())
            # A run whose row is gone is in no list; this process alone knows of it.
            busy = busy or bool(app.engine.guarded)
            idle = 0 if busy else idle + 1
        await shutdown.wait(POLL_S)
    return shutdown.code or ExitCode.OK


async def _take_lock(path: Path) -> LockedFile | None:
    """Return the lock; None if another supervisor is at work."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LOCK_WAIT_S
    path.parent.mkdir(mode=0o700, exist_ok=True)
    while True:
        lock = LockedFile.try_lock(path)
        if lock is not None or loop.time() >= until:
            return lock
        await asyncio.sleep(0.1)
