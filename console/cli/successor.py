"""The background supervisor as a child process: it gets the settings of its parent and reads no file anew.

The settings travel in a file in memory that is its standard input. A pipe tells it how long its parent still guards:
until the parent closes its end, the supervisor does not end for having nothing to do.
"""

from __future__ import annotations

import errno
import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTSTP, SIGTTIN, SIGTTOU

from console import __version__
from console.config import Settings
from console.program import own_command

SETTINGS_DESCRIPTOR = 0
PARENT_DESCRIPTOR = 3
GUARD_LOCK = "guard.lock"
"""In the folder `owners`; held by the one background supervisor of a state folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """What a background supervisor is given. Only read by the version that wrote it."""

    version: str
    settings: Settings
    keys: Mapping[str, str] = field(repr=False)
    """The API keys, by name of the provider, that were read from files, which may be gone by now."""


class Successor:
    """A background supervisor that this process started."""

    def __init__(self, pid: int, parent_end: int) -> None:
        self.pid = pid
        self._parent_end: int | None = parent_end
        self._exit_code: int | None = None

    def exit_code(self) -> int | None:
        """Return its exit code, or None while it lives. 0: another background supervisor is at work."""
        if self._exit_code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code

    def release(self) -> None:
        """Tell it that this process guards no more."""
        if self._parent_end is not None:
            os.close(self._parent_end)
            self._parent_end = None


def start_successor(
    command: str = "guard",
    *,
    config: Path,
    folder: Path,
    environment: Mapping[str, str],
    settings: Settings | None,
    keys: Mapping[str, str],
) -> Successor:
    """Start a background supervisor for the state folder `folder`; `command` is `guard`, or `serve` to schedule too.

    Without `settings` it reads the file `config`. Raises OSError.
    """
    handed = () if settings is None else ("--handed-over",)
    words = own_command("--config", str(config), "--state-dir", str(folder), command, *handed)
    diag = _open_diag(folder / "diag.log")
    memory = os.memfd_create("nightdesk-settings")
    child_end, parent_end = os.pipe()
    try:
        if settings is not None:
            with os.fdopen(memory, "wb", closefd=False) as file:
                pickle.dump(HandedOver(version=__version__, settings=settings, keys=dict(keys)), file)
            os.lseek(memory, 0, os.SEEK_SET)
        pid = os.posix_spawn(
            sys.executable,
            words,
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, memory, SETTINGS_DESCRIPTOR),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, diag, 2),
                (os.POSIX_SPAWN_DUP2, child_end, PARENT_DESCRIPTOR),
            ],
            setsid=True,
            setsigdef=[SIGTSTP, SIGTTIN, SIGTTOU],
        )
    except BaseException:
        os.close(parent_end)
        raise
    finally:
        for descriptor in (diag, memory, child_end):
            os.close(descriptor)
    return Successor(pid, parent_end)


def _open_diag(path: Path) -> int:
    """Open the file for what the supervisor writes to stderr, /dev/null in place of a named pipe. Raises OSError."""
    try:
        # A named pipe without a reader would block for ever. O_NONBLOCK makes it an error, and is nothing to a file.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def receive_settings() -> HandedOver:
    """Read what the parent handed over. Raises ValueError if it comes from another version of the program."""
    with os.fdopen(SETTINGS_DESCRIPTOR, "rb", closefd=False) as file:
        # Written by our own parent into memory that nobody else can open.
        handed = pickle.load(file)
    if not isinstance(handed, HandedOver) or handed.version != __version__:
        raise ValueError("the settings were handed over by another version of nightdesk")
    return handed


class ParentProcess:
    """The process that started this one, seen by the pipe that it holds open for as long as it guards."""

    def __init__(self) -> None:
        os.set_blocking(PARENT_DESCRIPTOR, False)

    def guards(self) -> bool:
        """Return whether the parent may still guard runs that this process is to take over."""
        try:
            return os.read(PARENT_DESCRIPTOR, 1) != b""
        except BlockingIOError:
            return True


def no_successor_reason(
    environment: Mapping[str, str], *, pid: int, ancestors: Sequence[int], has_terminal: bool
) -> str | None:
    """Return why a process left behind would be killed with this one; None if it would live on.

    `ancestors` are the parent, its parent and so on. `has_terminal` is whether a person started this process at a
    terminal: then the unit, if there is one, is that of the session or of the terminal and does not end with it.
    """
    if pid == 1:
        return "this process is the first of its container, which ends with it"
    parent = ancestors[0] if ancestors else 0
    # Without a terminal any ancestor counts: a script that a unit runs, and what that script runs.
    of_unit = {pid, parent} if has_terminal else {pid, *ancestors}
    if environment.get("INVOCATION_ID") and environment.get("SYSTEMD_EXEC_PID") in {str(each) for each in of_unit}:
        return "systemd ends every process of this unit with it"
    if parent == 1 and _in_container() and not _is_service_manager(Path("/proc/1/comm")):
        return "this is the main process of its container, which ends with it"
    return None


def ancestors_of(pid: int) -> list[int]:
    """Return the parent of a process, its parent and so on, without process 1 unless it is the parent."""
    found: list[int] = []
    with suppress(OSError, ValueError, IndexError):
        while pid > 1 and len(found) < MAX_ANCESTORS:
            # The name of the program, in parentheses, may contain anything.
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            pid = int(status.split()[1])
            if pid > 1 or not found:
                found.append(pid)
    return found


MAX_ANCESTORS = 64
INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""Linux's PROC_PID_INIT_INO: the namespace of the machine itself."""


def _in_container() -> bool:
    try:
        return os.readlink("/proc/self/ns/pid") != INITIAL_PID_NAMESPACE
    except OSError:
        return False


def _is_service_manager(comm: Path) -> bool:
    try:
        return comm.read_text(encoding="utf-8").strip() in ("systemd", "init", "runit", "s6-svscan", "openrc-init")
    except (OSError, UnicodeDecodeError):
        return False
