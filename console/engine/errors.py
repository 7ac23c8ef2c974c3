"""The errors that a screen or a command may meet. Each is one clear line."""

from __future__ import annotations

from console.store.errors import (
    StaleRun,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreNewer,
    StoreUnsafe,
)

__all__ = [
    "OperationRefused",
    "OwnershipLost",
    "StaleRun",
    "StoreBusy",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreMissing",
    "StoreNewer",
    "StoreUnsafe",
]


class OwnershipLost(Exception):
    """Another process guards this run now; whatever we still wanted to write is its to write."""


class OperationRefused(Exception):
    """What the operator asked cannot be done as things stand; `str()` is one clear line. Nothing was changed."""
