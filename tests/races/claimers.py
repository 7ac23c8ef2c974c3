"""What the racing processes do. A module of its own: each of them imports it by name."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TypeVar

from console.domain.caps import Caps
from console.domain.launch import LaunchKind
from console.domain.task import DEFAULT_PROVIDER
from console.provider.services import TRAITS
from console.store.bootstrap import prepare_store
from console.store.database import run_sync
from console.store.errors import translate_sqlite_errors
from console.store.pragmas import connection_pragmas, database_uri, safe_journal_mode
from console.store.store import Store
from console.store.transaction import Transaction
from tests.clock import ManualClock
from tests.store.harness import BUDGET, CAPS, StoreHarness, a_task
from tests.sync_database import SyncDatabase

T = TypeVar("T")
Counts = dict[str, int]
"""The answers to one process, counted."""


def unlimited_but(**caps: int) -> Caps:
    """All caps lifted but these."""
    free = replace(CAPS, daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None)
    return replace(free, **caps)  # type: ignore[arg-type]  # any cap


class OnFile(SyncDatabase):
    """The statements and locks of the real one on the real file, without its threads: for very many claims."""

    def _at_once(self, what: str, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        with translate_sqlite_errors():
            self.connection.execute("begin" if what == "read" else "begin immediate")
            try:
                result = run_sync(unit(self._tx))
            except BaseException:
                self.connection.execute("rollback")
                raise
            self.connection.execute("commit")
            return result


PROVIDERS = tuple(TRAITS)
"""A provider of each kind of service; each process launches at one of them."""


@contextmanager
def harness_on_file(folder: Path, caps: Caps, provider: str = DEFAULT_PROVIDER) -> Iterator[StoreHarness]:
    """A connection of its own to a store that is made, and a task of that provider."""
    connection = sqlite3.connect(
        database_uri(folder), uri=True, isolation_level=None, timeout=60, cached_statements=256
    )
    with closing(connection):
        for setting in connection_pragmas(safe_journal_mode(), 60_000):
            connection.execute(setting)
        task = replace(a_task(), provider=provider)
        yield StoreHarness(Store(OnFile(folder, connection)), ManualClock(), task=task, caps=caps)


def claim_each(
    folder: Path, targets: Sequence[str], caps: Caps, provider: str, start: Barrier, out: Queue[Counts]
) -> None:
    """Claims the key of every target once, in the order given, for a launch at `provider`."""
    with harness_on_file(folder, caps, provider) as harness:
        start.wait(timeout=120)
        out.put(_claimed(harness, targets))


def claim_shuffled(
    folder: Path, keys: Sequence[int], seed: int, provider: str, start: Barrier, out: Queue[Counts]
) -> None:
    """Claims each of the keys once, for a launch at `provider`.

    In an order of its own: in the same order one process wins them all.
    """
    numbers = random.Random(seed).sample(keys, len(keys))
    with harness_on_file(folder, unlimited_but(), provider) as harness:
        start.wait(timeout=120)
        out.put(_claimed(harness, [f"target-{number}" for number in numbers]))


def _claimed(harness: StoreHarness, targets: Iterable[str]) -> Counts:
    return Counter(run_sync(harness.claim(target=target)).kind.value for target in targets)


def claim_at_first_use(folder: Path, start: Barrier, out: Queue[Counts]) -> None:
    """Makes the store if no other process has, and claims the one key."""
    start.wait(timeout=120)
    prepare_store(folder, now=ManualClock().now(), read_only=False, busy_ms=60_000)
    with harness_on_file(folder, unlimited_but()) as harness:
        out.put({run_sync(harness.claim()).kind.value: 1})


def read_then_hold(database: Path, tries: int, cap: int, start: Barrier, out: Queue[Counts]) -> None:
    """The naive way: read the sum, compare, then insert. The control, which must overshoot."""
    won = 0
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        for _ in range(tries):
            start.wait(timeout=120)
            (held,) = connection.execute("select coalesce(sum(amount), 0) from holds").fetchone()
            start.wait(timeout=120)
            if held + BUDGET <= cap:
                connection.execute("insert into holds (amount) values (?)", (BUDGET,))
                won += 1
    out.put({LaunchKind.LAUNCHED.value: won})
