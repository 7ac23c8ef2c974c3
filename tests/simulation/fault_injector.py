"""What goes wrong in one seeded world, and until when. Each world has a few kinds of fault, and those often."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum


class Fault(StrEnum):
    """Everything that can go wrong on the way to the service, at the service and on the machine."""

    NOT_SENT = "create: not sent"
    REJECTED = "create: rejected"
    LIMITED = "create: 429"
    LOST_REPLY = "create: the reply is lost"
    SERVER_ERROR = "create: 5xx, nothing launched"
    LATE_PACKET = "create: arrives long after its caller gave up"
    SLOW = "create: slow"
    GET_FAILS = "get: 5xx"
    GET_GONE = "get: 404 for a live run"
    GET_STALE = "get: an older answer"
    STRANGE_STATUS = "get: an unknown status"
    PARKED = "agent: waits for input"
    CANCEL_IGNORED = "cancel: 200 and no effect for a while"
    CANCEL_FAILS = "cancel: 404 or 5xx"
    CANCEL_LOST = "cancel: obeyed, the answer lost"
    NO_SANDBOX = "sandbox: no such call"
    SANDBOX_FAILS = "sandbox: 5xx"
    DELETE_FAILS = "sandbox: not deleted"
    OFFLINE = "the network is down"
    STREAM = "the event stream works"
    NEVER_ENDS = "agent: never ends"
    FAILS = "agent: fails"
    SPENDS = "agent: spends too much"
    USAGE_LATE = "agent: usage comes late or never"
    STORE_DOWN = "the store is busy"
    JOURNAL_FULL = "the launch journal cannot be written"
    CRASH = "a process dies"
    STUCK = "a process stands still"
    LOST_LOCK = "the lock file of a living process is removed"
    HAND_OVER = "a process leaves"
    WALL_STEP = "the wall clock is set"
    REBOOT = "the machine restarts"
    EDITED = "a process has an edited prompt"


class FaultInjector:
    """The faults of one seed. `clear()` ends them all."""

    def __init__(
        self,
        rng: random.Random,
        now: Callable[[], float],
        among: Collection[Fault] = tuple(Fault),
        always: Mapping[Fault, float] | None = None,
    ) -> None:
        """`now` gives the seconds of the world; only faults `among` these are drawn, and those of `always` are added
        with their probabilities.
        """
        self.rng = rng
        self._now = now
        share = rng.choice((0.0, 0.1, 0.2, 0.35))
        drawn = [fault for fault in Fault if fault in among and rng.random() < share]
        self._often = {fault: rng.choice((0.1, 0.3, 0.7)) for fault in drawn}
        self._often.update(always or {})
        self.is_clear = False
        self._offline_until = 0.0

    @property
    def lines(self) -> list[str]:
        """The faults of this world with their probabilities, for a failing seed."""
        return [f"{fault} {often}" for fault, often in self._often.items()]

    def clear(self) -> None:
        """From here on everything works."""
        self.is_clear = True

    def has(self, fault: Fault) -> bool:
        """True where this world has the fault and it is not over."""
        return fault in self._often and not self.is_clear

    def strikes(self, fault: Fault) -> bool:
        """True where the fault happens now."""
        if self.is_clear:
            return False
        often = self._often.get(fault)
        return often is not None and self.rng.random() < often

    def is_offline(self) -> bool:
        """True while the network is down; it goes down for up to two minutes at a time."""
        if self.is_clear:
            return False
        if self._now() < self._offline_until:
            return True
        if self.has(Fault.OFFLINE) and self.rng.random() < 0.05:
            self._offline_until = self._now() + self.rng.choice((5.0, 30.0, 120.0))
            return True
        return False
