"""One launch whose process is killed at one of its system calls, or whose call fails as on a broken or full disk."""

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

from tests.evidence import error_output
from tests.kills.process_lives import ProcessLife
from tests.kills.scenarios import NONE, RunScenario
from tests.kills.trial import Count, TrialRunner, forked, in_child
from tests.waiting import until_sync

GIVES_UP_S = 0.6
"""How long a process goes on with a disk that stays full; the next process has a working disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """System calls of one name, on some files or on all."""

    call: str
    files: tuple[str, ...] = ()
    """Names in the state folder; `.` is the folder itself. Empty: all calls of that name, on sockets too."""
    breaks: bool = False
    """The call can fail on a broken or full disk."""
    many: bool = False
    """A launch makes hundreds of them."""

    def __str__(self) -> str:
        return f"{self.call} {'log' if 'runs.log' in self.files else 'db' if self.files else 'any'}"

    def options(self, folder: Path) -> list[str]:
        """The options of strace that select these calls."""
        return ["-e", f"trace={self.call}", *(option for path in self.paths(folder) for option in ("-P", path))]

    def paths(self, folder: Path) -> list[str]:
        """The paths of its files."""
        return [str(folder / name) for name in self.files]

    def has(self, folder: Path, words: str) -> bool:
        """True where the call, as strace prints it, is on one of the files."""
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
"""All calls that reach the disk or the network, except those that only receive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A kill or an error at one system call."""

    group: Group
    nth: int
    """strace counts calls by thread: the first thread that reaches this number is struck."""
    action: str
    """`signal=KILL` or `error=EIO`."""
    stays: bool = False
    """Every later call fails too: the disk stays full."""

    def __str__(self) -> str:
        return f"{self.group} {self.nth}{'+' if self.stays else ''} {self.action}"

    @property
    def options(self) -> list[str]:
        """The options of strace that inject it, besides those of the group."""
        return ["-e", f"inject={self.group.call}:{self.action}:when={self.nth}{'+' if self.stays else ''}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchCalls:
    """Counts and strikes the system calls of one launch."""

    runner: TrialRunner
    first_use: bool = False
    """The launch also makes the state folder."""

    def numbers(self) -> dict[Group, int]:
        """The highest number of calls of each group that one thread makes in an undisturbed launch.

        At first use only the first thread counts, which makes the store; the others do the same as later.
        """
        life = self._life("count")
        trace = life.stderr.with_suffix(".strace")
        calls = ",".join(sorted({group.call for group in GROUPS}))
        assert self._traced(life, ["-y", "-o", str(trace), "-e", f"trace={calls}"]) == 0
        lines = re.findall(r"^(\d+) +(\w+)\((.*)", trace.read_text(errors="replace"), re.MULTILINE)
        found = {}
        for group in GROUPS:
            mine = [thread for thread, call, words in lines if call == group.call and group.has(life.folder, words)]
            threads = Counter(mine)
            first = threads[min(threads, key=int)] if threads else 0
            found[group] = first if self.first_use else max(threads.values(), default=0)
        self.runner.tidy(life)
        trace.unlink()
        return found

    def strike(self, strike: Strike, number: int, count: Count) -> None:
        """Strikes once and adds the result to `count`."""
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
            breaches.append(f"a process whose disk failed ended with the status {status}")
        if "broke" in error_output(life.stderr):
            breaches.append(error_output(life.stderr)[-3000:])
        if in_child(life, self.runner.ports) != 0:
            breaches.append(f"the next process did not come to rest: {error_output(life.stderr)[-3000:]}")
        breaches += self.runner.breaches(life)
        count.trials += 1
        count.cells[str(strike.group)] = count.cells.get(str(strike.group), 0) + 1
        count.breaches += [f"{strike}: {breach}" for breach in breaches]
        self.runner.tidy(life)

    def _life(self, name: str) -> ProcessLife:
        folder = self.runner.base / name
        if not self.first_use:
            shutil.copytree(self.runner.template, folder)
        return ProcessLife(folder=folder, url=self.runner.url, target=name, scenario=RunScenario.PLAIN, fault=NONE)

    def _traced(self, life: ProcessLife, options: Sequence[str]) -> int:
        """The wait status of a process that ran under strace, which is attached before its first call."""
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
    """One kill at each call; of frequent calls at every `every`-th, from a random first one."""
    for group, most in numbers.items():
        step = every if group.many else 1
        for nth in range(dice.randint(1, step), most + 1, step):
            yield Strike(group=group, nth=nth, action="signal=KILL")


def errors(numbers: dict[Group, int], dice: random.Random, *, every: int) -> Iterator[Strike]:
    """At every `every`-th call that a disk can fail: one I/O error, one full disk, or a full disk from there on."""
    for group, most in numbers.items():
        step = every if most >= every else 1
        for nth in range(dice.randint(1, step), most + 1, step) if group.breaks else ():
            action, stays = dice.choice((("error=EIO", False), ("error=ENOSPC", False), ("error=ENOSPC", True)))
            yield Strike(group=group, nth=nth, action=action, stays=stays)
