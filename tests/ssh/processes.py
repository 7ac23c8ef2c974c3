"""Finds processes in /proc: those of a state folder, their descriptors and their CPU time."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def of_state(state: Path) -> dict[int, str]:
    """By process id, the command line of every living process that was started on this state folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                if str(state) in words and words[0].rpartition("/")[2].startswith("python") and _is_living(entry):
                    found[int(entry.name)] = " ".join(words)
    return found


def of_folder(folder: Path) -> list[int]:
    """Every other living process with `folder`, or a file in it, on its command line or as its working directory.

    Consoles and supervisors that lost their terminal, and terminal servers, outlive the process that started them.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                places = [*words, os.readlink(entry / "cwd")]
                if any(Path(place).is_relative_to(folder) for place in places if place.startswith("/")) and _is_living(
                    entry
                ):
                    found.append(int(entry.name))
    return found


def end_all(folder: Path) -> None:
    """Kills what `of_folder` finds, and what those processes started meanwhile."""
    for _ in range(5):
        left = of_folder(folder)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return


def console_of(state: Path) -> int:
    """The process id of the only console, `run` or `serve` on this state folder."""
    (pid,) = [pid for pid, words in of_state(state).items() if "guard" not in words.split()]
    return pid


def is_living(pid: int) -> bool:
    """True while the process lives; false for zombies."""
    return _is_living(Path("/proc") / str(pid))


def _is_living(entry: Path) -> bool:
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descriptors(pid: int) -> list[str]:
    """The targets of standard input, output and error."""
    with suppress(OSError):
        return [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
    return []


def standing(pid: int) -> str:
    """What a process is doing and what it has open, in one line, for the message of a test that waited in vain."""
    entry = Path("/proc") / str(pid)
    with suppress(OSError):
        state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        return f"state {state}, in {(entry / 'wchan').read_text() or '?'}, open {', '.join(descriptors(pid))}"
    return "it has ended"


def cpu_seconds(pid: int) -> float:
    """CPU time used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
