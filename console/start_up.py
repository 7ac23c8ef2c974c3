"""Garbage collection while a process starts.

A module of its own because both ends of start-up use it: `console.__main__`, which must import next to nothing, and
`console.app`, which ends it. Loading the program makes some 100,000 objects and leaves no garbage; the collector would
look through them 118 times, which takes 30 of 600 ms until the first frame. Only `console.__main__` defers collection,
so a test or a program that imports the package keeps its own thresholds.
"""

from __future__ import annotations

import gc

DEFERRED = 400_000
"""New objects between two collections while a process starts: more than loading makes."""

_before: list[tuple[int, int, int]] = []
"""The thresholds to go back to; empty where collection is not deferred."""


def defer_collection() -> None:
    """Collect no garbage while the program loads. Commands that end within moments never collect any."""
    if not _before:
        _before.append(gc.get_threshold())
        gc.set_threshold(DEFERRED, *_before[0][1:])


def resume_collection() -> None:
    """Go back to the thresholds from before `defer_collection`; does nothing where it was not called."""
    if _before:
        gc.set_threshold(*_before.pop())
