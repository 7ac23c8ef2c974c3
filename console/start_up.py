"""How the interpreter works in the processes of this program: garbage collection, and turns of the threads.

A module of its own because both ends of start-up use it: `console.__main__`, which must import next to nothing, and
`console.app`. A collection stops the event loop. Loading the program makes some 100,000 objects and leaves no garbage;
the collector would look through them 118 times, which takes 30 of 600 ms until the first frame. With hundreds of live
runs a full collection takes 0.1 s or more, and by its usual thresholds there is one each second. Only
`console.__main__` changes anything, so a test or a program that imports the package keeps its own thresholds.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio  # which takes as long to load as all that a short command needs

DEFERRED = 400_000
"""New objects between two collections while a process starts: more than loading makes."""
STEADY = (5_000, 2, 1_000_000)
"""The thresholds afterwards: young garbage is collected as it comes, and the oldest objects by `collect_all` only.

With a thousand live runs this takes 14 ms per second; thresholds of 2,000 and 10 took 21 to 26 ms."""
COLLECT_ALL_S = 120.0
"""Seconds between two full collections. Textual leaves some 25,000 objects in circles in a minute of a busy screen."""

SWITCH_S = 0.0005
"""The longest turn of a thread while another one waits, in seconds; Python's own value is 5 ms."""

_deferred: list[bool] = []
"""Not empty where collection is deferred."""


def shorten_turns() -> None:
    """Let the event loop go on soon after each system call while a thread of the state store computes.

    The loop gives the interpreter away in every system call and gets it back at the end of the thread's turn.
    """
    sys.setswitchinterval(SWITCH_S)


def defer_collection() -> None:
    """Collect no garbage while the program loads. Commands that end within moments never collect any."""
    if not _deferred:
        _deferred.append(True)
        gc.set_threshold(DEFERRED, *STEADY[1:])


def begin_collection(loop: asyncio.AbstractEventLoop) -> None:
    """Collect garbage from now on, but not among what was loaded; does nothing where it was not deferred."""
    if _deferred:
        _deferred.clear()
        gc.freeze()
        gc.set_threshold(*STEADY)
        loop.call_later(COLLECT_ALL_S, collect_all, loop)


def collect_all(loop: asyncio.AbstractEventLoop) -> None:
    """Collect all garbage now and every COLLECT_ALL_S."""
    gc.collect()
    loop.call_later(COLLECT_ALL_S, collect_all, loop)
