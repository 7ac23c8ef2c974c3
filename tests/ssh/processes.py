"""Processes as the kernel shows them: which are ours, what they hold, what they cost."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def of_state(state: Path) -> dict[int, str]:
    """Command lines of every living process that was started on this state folder, by process id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                if str(state) in words and words[0].rpartition("/")[2].startswith("python") and _lives(entry):
                    found[int(entry.name)] = " ".join(words)
    return found


def of_folder(folder: Path) -> list[int]:
    """Every living process but our own that names `folder`, or a file in it, on its command line or stands in it.

    Consoles and supervisors whose line dropped, and terminal servers, outlive whoever started them.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                places = [*words, os.readlink(entry / "cwd")]
                if any(Path(place).is_relative_to(folder) for place in places if place.startswith("/")) and _lives(
                    entry
                ):
                    found.append(int(entry.name))
    return found


def end_all(folder: Path) -> None:
    """Kills what `of_folder` finds, and what that started meanwhile."""
    for _ in range(5):
        left = of_folder(folder)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return


def console_of(state: Path) -> int:
    """The process id of the only console, `run` or `serve` on this state folder."""
    (pid,) = [pid for pid, words in of_state(state).items() if not words.rstrip().endswith("guard")]
    return pid


def lives(pid: int) -> bool:
    """True while there is such a process, dead ones that nobody has fetched yet left out."""
    return _lives(Path("/proc") / str(pid))


def _lives(entry: Path) -> bool:
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descriptors(pid: int) -> list[str]:
    """Where standard input, output and error lead to."""
    with suppress(OSError):
        return [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
    return []


def cpu_seconds(pid: int) -> float:
    """Processor time used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
