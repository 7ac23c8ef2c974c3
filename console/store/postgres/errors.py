"""The translation of PostgreSQL's errors into those of the store.

Kept apart because the commands that make and check a schema raise them too, without a database that runs units.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from console.store.errors import (
    KeyTaken,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreMissing,
    StoreRefused,
    StoreUnreachable,
)

_BUSY = (pg.LockNotAvailable, pg.QueryCanceled, pg.DeadlockDetected, pg.SerializationFailure, pg.TooManyConnections)
_DAMAGED = (pg.DataCorrupted, pg.IndexCorrupted)
_MISSING = (pg.UndefinedTable, pg.InvalidSchemaName, pg.InvalidCatalogName)
_FULL = (pg.DiskFull, pg.OutOfMemory)


@contextmanager
def translate_postgres_errors(place: str) -> Iterator[None]:
    """Raise errors of PostgreSQL inside the block as StoreError. `place` names the server for the operator."""
    try:
        yield
    except psycopg.Error as error:
        raise store_error(error, place) from error


def store_error(error: psycopg.Error, place: str) -> StoreError:
    """Return the StoreError that stands for `error`."""
    why = " ".join((error.diag.message_primary or str(error)).split())
    if isinstance(error, psycopg.IntegrityError):
        if error.diag.constraint_name == "runs_key_taken":
            return KeyTaken("the key is taken by another run")
        return StoreRefused(f"the state store refused a write: {why}")
    if isinstance(error, pg.InvalidTextRepresentation | pg.NumericValueOutOfRange):
        return StoreRefused(f"the state store refused a write: {why}")
    if isinstance(error, _BUSY):
        return StoreBusy(f"the state database at {place} is busy: {why}")
    if isinstance(error, _DAMAGED):
        return StoreDamaged(f"the state store is damaged: {why}")
    if isinstance(error, _MISSING):
        return StoreMissing(f"the state database at {place} holds no store: {why}")
    if isinstance(error, _FULL):
        return StoreFull(f"the disk of the state database is full: {why}")
    if isinstance(error, pg.ObjectNotInPrerequisiteState | pg.ReadOnlySqlTransaction):
        return StoreUnreachable(f"the state database at {place} takes no writes: {why}")
    if isinstance(error, pg.InsufficientPrivilege):
        return StoreError(f"the role of this config may not do that at {place}: {why}")
    if isinstance(error, psycopg.OperationalError | pg.IdleInTransactionSessionTimeout):
        return StoreUnreachable(f"the state database at {place} does not answer ({why})")
    return StoreError(f"the state database at {place} cannot be used: {why}")
