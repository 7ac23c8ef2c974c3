"""The errors that operations and queries raise. `str()` of each is one clear line.

Kept apart because screens and commands take the errors of the store from here: they import only the engine.
"""

from __future__ import annotations

from console.store.errors import (
    StaleRun,
    StoreAbsent,
    StoreBusy,
    StoreCopied,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreNewer,
    StoreOlder,
    StoreUnfinished,
    StoreUnreachable,
    StoreUnsafe,
)

__all__ = [
    "AccessDenied",
    "OperationRefused",
    "OwnershipLost",
    "StaleRun",
    "StoreAbsent",
    "StoreBusy",
    "StoreCopied",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreMissing",
    "StoreNewer",
    "StoreOlder",
    "StoreUnfinished",
    "StoreUnreachable",
    "StoreUnsafe",
]


class OwnershipLost(Exception):
    """Another process supervises this run now; this one writes and sends nothing for it any more."""


class AccessDenied(Exception):
    """The service refuses the key of this process for a run, again and again: another process may have a better one."""


class OperationRefused(Exception):
    """What the operator asked cannot be done as things stand. Nothing was changed."""
