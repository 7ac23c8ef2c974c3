"""What goes wrong in one seeded world, and until when. Each world has a few kinds of trouble, and those often."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import StrEnum


class Fault(StrEnum):
    """Everything that can go wrong on the way to the service, at the service and in the machine."""

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
    OFFLINE = "the network is away"
    STREAM = "the stream says something"
    NEVER_ENDS = "agent: never ends"
    FAILS = "agent: fails"
    SPENDS = "agent: spends too much"
    USAGE_LATE = "agent: usage comes late or never"
    STORE_DOWN = "the store does not answer"
    JOURNAL_FULL = "the launch journal cannot be written"
    CRASH = "a process dies"
    STUCK = "a process stands still"
    LOST_LOCK = "somebody removes the lock file of a living process"
    HAND_OVER = "a process leaves"
    WALL_STEP = "the wall clock is set"
    REBOOT = "the machine restarts"
    EDITED = "a process has an edited prompt"


class FaultInjector:
    """The troubles of one seed. `clear()` ends them all."""

    def __init__(self, rng: random.Random, now: Callable[[], float]) -> None:
        self.rng = rng
        self._now = now
        share = rng.choice((0.0, 0.1, 0.2, 0.35))
        self._often = {trouble: rng.choice((0.1, 0.3, 0.7)) for trouble in Fault if rng.random() < share}
        self.is_clear = False
        self._offline_until = 0.0

    @property
    def troubles(self) -> list[str]:
        """Those of this world, with how often they come."""
        return [f"{trouble} {often}" for trouble, often in self._often.items()]

    def clear(self) -> None:
        """From here on everything works."""
        self.is_clear = True

    def has(self, trouble: Fault) -> bool:
        """Does this world know it at all?"""
        return trouble in self._often and not self.is_clear

    def strikes(self, trouble: Fault) -> bool:
        """Now?"""
        if self.is_clear:
            return False
        often = self._often.get(trouble)
        return often is not None and self.rng.random() < often

    def is_offline(self) -> bool:
        """The network goes away for up to two minutes at a time."""
        if self.is_clear:
            return False
        if self._now() < self._offline_until:
            return True
        if self.has(Fault.OFFLINE) and self.rng.random() < 0.05:
            self._offline_until = self._now() + self.rng.choice((5.0, 30.0, 120.0))
            return True
        return False
