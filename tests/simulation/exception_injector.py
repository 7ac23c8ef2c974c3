"""Raises exceptions that nobody declared at the ports of the engines of one world.

A port call is a read or write of the store, a call of the provider, a line of the log or of the launch journal, a read
of the clock, or an attempt on a lock. An exception is raised before the call has had any effect, or after it had its
whole effect. Calls in the task of an operator's act are spared: their errors go to the operator, not to supervision.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

KINDS: dict[str, Callable[[], Exception]] = {
    "ValueError": lambda: ValueError("injected"),
    "EMFILE": lambda: OSError(errno.EMFILE, "injected: too many open files"),
    "EIO": lambda: OSError(errno.EIO, "injected: input/output error"),
    "KeyError": lambda: KeyError("injected"),
    "RuntimeError": lambda: RuntimeError("injected"),
    "MemoryError": lambda: MemoryError("injected"),
}


class Pattern(StrEnum):
    """When exceptions are raised."""

    ONCE = "at one to three calls"
    BURST = "at every call of one port for a while"
    OFTEN = "at random calls until the faults end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One exception that was raised."""

    at: float
    """Seconds of the world."""
    process: str
    task: str
    site: str
    """The port call, such as `before write record_progress`."""
    kind: str

    def __str__(self) -> str:
        return f"{self.at:8.1f}s {self.kind} in {self.process}, task {self.task}, {self.site}"


class ExceptionInjector:
    """Decides for every port call of every process of a world whether it raises."""

    def __init__(self, rng: random.Random, now: Callable[[], float], *, enabled: bool) -> None:
        self._rng = rng
        self._now = now
        self.enabled = enabled
        self.strikes: list[Strike] = []
        self.reached: Counter[str] = Counter()
        """How often each site was reached, struck or not."""
        self._calls = 0
        self._pattern = rng.choice(tuple(Pattern))
        self._probability = rng.choice((0.01, 0.05, 0.2))
        self._targets = {int(4 ** rng.uniform(0.5, 5.5)) for _ in range(rng.choice((1, 1, 2, 3)))}
        """The numbers of the calls that raise: many among the first ten, some among the first thousands."""
        self._kind = rng.choice(tuple(KINDS))
        self._burst_from = rng.uniform(0.0, 60.0)
        self._burst_s = rng.choice((4.0, 20.0, 60.0))
        self._burst_port = rng.choice(("read", "write", "provider", "log", "journal", "lock", ""))
        """The port of a burst; empty: all of them."""

    def clear(self) -> None:
        """No call raises from here on."""
        self.enabled = False

    def check(self, process: str, site: str) -> None:
        """Called at each port call. Raises one of `KINDS` where the plan of this world says so."""
        if not self.enabled:
            return
        self._calls += 1
        self.reached[site] += 1
        if self._is_due(site):
            kind = self._kind if self._pattern is Pattern.BURST else self._rng.choice(tuple(KINDS))
            task = asyncio.current_task()
            name = task.get_name() if task is not None else "no task"
            self.strikes.append(Strike(at=self._now(), process=process, task=name, site=site, kind=kind))
            raise KINDS[kind]()

    def _is_due(self, site: str) -> bool:
        match self._pattern:
            case Pattern.ONCE:
                return self._calls in self._targets
            case Pattern.BURST:
                return self._burst_port in site and 0.0 <= self._now() - self._burst_from < self._burst_s
            case Pattern.OFTEN:
                return self._rng.random() < self._probability


def is_injected(error: BaseException) -> bool:
    """True for an exception that an injector raised."""
    return any("injected" in str(argument) for argument in error.args)
