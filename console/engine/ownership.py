"""Which process supervises what, and which one schedules: the port through which the engine asks it.

Kept apart from its implementation (`console/engine/kernel_locks.py`) because its callers must not depend on what a
missing lock file means, or on there being files at all.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

NOBODY = "0" * 32
"""The id of a process that supervises nothing."""


class Ownership(Protocol):
    """The owners of runs: this process, if it supervises, and those that the rows of runs name."""

    @property
    def id(self) -> str:
        """The id of this process; `NOBODY` where it supervises nothing."""

    @property
    def in_fleet(self) -> bool:
        """True where processes of other hosts own runs of the same store."""

    @property
    def clock_behind_ms(self) -> int:
        """By how much the wall clock of this host is behind the one that all owners share; negative: ahead."""

    @property
    def round_trip_ms(self) -> int | None:
        """How long an answer of the store of several hosts takes; None on one machine, and before the first one."""

    def host_of(self, owner: str) -> str:
        """The host on which the process `owner` runs; empty on one machine, and where that is not known."""

    async def exchange(self) -> None:
        """Tell other hosts that this process lives, and learn who else does: in each tick of a process that supervises.

        Raises StoreError.
        """

    async def refresh(self) -> None:
        """Learn who lives on other hosts, where no `exchange` did so lately. Raises StoreError."""

    def is_held(self) -> bool:
        """True while all others take this process for alive. A process that supervises nothing is no owner: False."""

    def release(self) -> None:
        """Be no owner any more; the runs of this process may now be taken over. Harmless twice."""

    def is_alive(self, owner: str) -> bool:
        """True while the process `owner` supervises. Raises OSError where that cannot be told."""

    def if_dead(self, owner: str) -> AbstractContextManager[bool]:
        """True where `owner` is dead; while the block runs, no other process on this machine gets the same answer.

        Raises OSError where that cannot be told.
        """

    def is_elsewhere(self, owner: str | None) -> bool:
        """True where `owner` is of another host, and for None in a fleet. Raises OSError where that cannot be told."""

    def remove(self, owner: str) -> None:
        """Remove what is left of a dead owner; within `if_dead`. Raises OSError."""

    def remove_leftovers(self, known: Collection[str | None], *, before_ms: int) -> tuple[str, ...]:
        """Remove what is left of dead owners that are not `known` and began before this UTC time; return their ids.

        Such a process died before it announced itself. What cannot be removed is left.
        """

    def take_schedule(self) -> bool:
        """True where it is this process that schedules now; asked in each of its rounds. Raises OSError."""

    def release_schedule(self) -> None:
        """Another process may schedule. Harmless twice."""

    def scheduler(self) -> str | None:
        """The owner that schedules, or did; whether it is alive, `is_alive` tells. None if there is none."""


def is_owner_id(owner: str) -> bool:
    """True for an id of the form that owners have; a damaged row may hold any text."""
    return len(owner) == 32 and all(c in "0123456789abcdef" for c in owner)
