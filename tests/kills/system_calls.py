"""One launch whose process is killed at each of its system calls, or is told there that the disk is broken or full."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.evidence import complaints
from tests.kills.process_lives import ProcessLife
from tests.kills.scenarios import NONE, RunScenario
from tests.kills.trial import Count, TrialRunner, forked, in_child
from tests.waiting import until_sync

GIVES_UP_S = 0.6
"""How long a process goes on where the disk stays broken; then the next one finds a whole disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """System calls of one name on some files, or on any."""

    call: str
    files: tuple[str, ...] = ()
    """Names in the state folder; `.` is the folder itself. None: all calls of that name, on sockets too."""
    breaks: bool = False
    """A disk that is broken or full may answer it with an error."""
    many: bool = False
    """There are hundreds, much alike."""

    def __str__(self) -> str:
        return f"{self.call} {'log' if 'runs.log' in self.files else 'db' if self.files else 'any'}"

    def options(self, folder: Path) -> list[str]:
        """For strace."""
        return ["-e", f"trace={self.call}", *(option for path in self.paths(folder) for option in ("-P", path))]

    def paths(self, folder: Path) -> list[str]:
        """Of its files."""
        return [str(folder / name) for name in self.files]

    def has(self, folder: Path, words: str) -> bool:
        """Does the group have the call with these words, in which strace names the files?"""
        named = (f"{path}{end}" for path in self.paths(folder) for end in (">", '"'))
        return not self.files or any(name in words for name in named)


STORE = ("nightdesk.db", "nightdesk.db-journal", "state.id", "state.id.new", ".")
LOGS = ("runs.log", "launch.journal", "runs.log.lock")
GROUPS = (
    Group(call="pwrite64", files=STORE, breaks=True, many=True),
    Group(call="fdatasync", files=STORE, breaks=True),
    Group(call="openat", files=STORE, breaks=True),
    Group(call="unlink", files=STORE, breaks=True),
    Group(call="pread64", files=STORE, many=True),
    Group(call="fcntl", files=STORE, many=True),
    Group(call="write", files=LOGS, breaks=True),
    Group(call="fdatasync", files=LOGS, breaks=True),
    Group(call="openat", files=LOGS, breaks=True),
    Group(call="fsync", breaks=True),
    Group(call="rename", breaks=True),
    Group(call="flock"),
    Group(call="mkdir", breaks=True),
    Group(call="connect"),
    Group(call="sendto", many=True),
)
"""All that reach the disk or the network, but those that only receive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """What happens at one call."""

    group: Group
    nth: int
    """strace counts each thread for itself: the first one that comes so far is struck."""
    action: str
    """`signal=KILL` or `error=EIO`."""
    stays: bool = False
    """Every later call is struck too: the disk stays full."""

    def __str__(self) -> str:
        return f"{self.group} {self.nth}{'+' if self.stays else ''} {self.action}"

    @property
    def options(self) -> list[str]:
        """For strace, beside those of the group."""
        return ["-e", f"inject={self.group.call}:{self.action}:when={self.nth}{'+' if self.stays else ''}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The calls of one launch, on a bench."""

    runner: TrialRunner
    first_use: bool = False
    """There is no state folder yet."""

    def numbers(self) -> dict[Group, int]:
        """How many calls of each group one thread makes at most in a launch that nothing happens to.

        At first use only the first thread counts, which makes the store; the others are as ever.
        """
        life = self._life("count")
        told = life.words.with_suffix(".strace")
        calls = ",".join(sorted({group.call for group in GROUPS}))
        assert self._traced(life, ["-y", "-o", str(told), "-e", f"trace={calls}"]) == 0
        lines = re.findall(r"^(\d+) +(\w+)\((.*)", told.read_text(errors="replace"), re.MULTILINE)
        found = {}
        for group in GROUPS:
            mine = [thread for thread, call, words in lines if call == group.call and group.has(life.folder, words)]
            threads = Counter(mine)
            first = threads[min(threads, key=int)] if threads else 0
            found[group] = first if self.first_use else max(threads.values(), default=0)
        self.runner.tidy(life)
        told.unlink()
        return found

    def strike(self, strike: Strike, number: int, count: Count) -> None:
        """Adds what comes of one strike to `count`."""
        life = self._life(f"strike-{number}")
        self.runner.service.reset()
        kills = strike.action == "signal=KILL"
        hurt = life if kills else replace(life, within_s=GIVES_UP_S)
        status = self._traced(hurt, [*strike.group.options(life.folder), *strike.options])
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        breaches = []
        if killed:
            count.kills += 1
        elif kills:
            count.missed.append(str(strike))
        elif not os.WIFEXITED(status):
            breaches.append(f"a process that was told of a broken disk ended with the status {status}")
        if "broke" in complaints(life.words):
            breaches.append(complaints(life.words)[-3000:])
        if in_child(life, self.runner.ports) != 0:
            breaches.append(f"the next process did not come to rest: {complaints(life.words)[-3000:]}")
        breaches += self.runner.breaches(life)
        count.trials += 1
        count.cells[str(strike.group)] = count.cells.get(str(strike.group), 0) + 1
        count.breaches += [f"{strike}: {breach}" for breach in breaches]
        self.runner.tidy(life)

    def _life(self, name: str) -> ProcessLife:
        folder = self.runner.base / name
        if not self.first_use:
            shutil.copytree(self.runner.template, folder)
        return ProcessLife(folder=folder, url=self.runner.url, target=name, course=RunScenario.PLAIN, trouble=NONE)

    def _traced(self, life: ProcessLife, options: Sequence[str]) -> int:
        """The wait status of a process that lived under strace, which holds it before it begins: each call counts."""
        reading, writing = os.pipe()
        child = forked(life, self.runner.ports, lambda: os.read(reading, 1))
        command = ["strace", "-f", "-qq", "-p", str(child), *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            status = Path(f"/proc/{child}/status")
            until_sync(lambda: "TracerPid:\t0\n" not in status.read_text(), what="a traced process")
            os.write(writing, b".")
            os.close(reading)
            os.close(writing)
            return os.waitpid(child, 0)[1]


def kills(numbers: dict[Group, int], dice: random.Random, *, every: int) -> Iterator[Strike]:
    """One death at each call; of calls of which there are many at each `every`-th, beginning anywhere."""
    for group, most in numbers.items():
        step = every if group.many else 1
        for nth in range(dice.randint(1, step), most + 1, step):
            yield Strike(group=group, nth=nth, action="signal=KILL")


def errors(numbers: dict[Group, int], dice: random.Random, *, every: int) -> Iterator[Strike]:
    """At each `every`-th call that a disk answers: it is broken once, full once, or full from there on."""
    for group, most in numbers.items():
        step = every if most >= every else 1
        for nth in range(dice.randint(1, step), most + 1, step) if group.breaks else ():
            action, stays = dice.choice((("error=EIO", False), ("error=ENOSPC", False), ("error=ENOSPC", True)))
            yield Strike(group=group, nth=nth, action=action, stays=stays)
