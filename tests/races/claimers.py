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

from console.domain.guardrails import Caps
from console.store.connecting import location, safe_journal_mode, settings_of
from console.store.database import Transaction
from console.store.errors import translated
from console.store.launches import ClaimKind
from console.store.prepare import prepare
from console.store.store import Store
from tests.clock import ManualClock
from tests.inline import InlineDatabase, run_inline
from tests.store.building import BUDGET, CAPS, Bench

T = TypeVar("T")
Counts = dict[str, int]
"""Answers of one process, counted."""


def unlimited_but(**caps: int) -> Caps:
    """No cap but these."""
    free = replace(CAPS, daily_units=None, monthly_units=None, daily_runs=None, concurrent_runs=None)
    return replace(free, **caps)  # type: ignore[arg-type]  # any cap


class OnFile(InlineDatabase):
    """The statements and locks of the real one on the real file, without its threads: for very many claims."""

    def _at_once(self, what: str, unit: Callable[[Transaction], Awaitable[T]]) -> T:
        with translated():
            self.connection.execute("begin" if what == "read" else "begin immediate")
            try:
                result = run_inline(unit(self._tx))
            except BaseException:
                self.connection.execute("rollback")
                raise
            self.connection.execute("commit")
            return result


@contextmanager
def bench_on_file(folder: Path, caps: Caps) -> Iterator[Bench]:
    """A connection of its own to a store that is made."""
    connection = sqlite3.connect(location(folder), uri=True, isolation_level=None, timeout=60, cached_statements=256)
    with closing(connection):
        for setting in settings_of(safe_journal_mode(), 60_000):
            connection.execute(setting)
        yield Bench(Store(OnFile(folder, connection)), ManualClock(), caps=caps)


def claim_each(folder: Path, targets: Sequence[str], caps: Caps, start: Barrier, out: Queue[Counts]) -> None:
    """Claims the key of every target once, in the order given."""
    with bench_on_file(folder, caps) as bench:
        start.wait(timeout=120)
        out.put(_claimed(bench, targets))


def claim_shuffled(folder: Path, keys: Sequence[int], seed: int, start: Barrier, out: Queue[Counts]) -> None:
    """Claims each of the keys once, in an order of its own: in the same order one process wins them all."""
    numbers = random.Random(seed).sample(keys, len(keys))
    with bench_on_file(folder, unlimited_but()) as bench:
        start.wait(timeout=120)
        out.put(_claimed(bench, [f"target-{number}" for number in numbers]))


def _claimed(bench: Bench, targets: Iterable[str]) -> Counts:
    return Counter(run_inline(bench.claim(target=target)).kind.value for target in targets)


def claim_at_first_use(folder: Path, start: Barrier, out: Queue[Counts]) -> None:
    """Makes the store if nobody has, and claims the one key."""
    start.wait(timeout=120)
    prepare(folder, now=ManualClock().now(), read_only=False, busy_ms=60_000)
    with bench_on_file(folder, unlimited_but()) as bench:
        out.put({run_inline(bench.claim()).kind.value: 1})


def look_then_hold(database: Path, tries: int, cap: int, start: Barrier, out: Queue[Counts]) -> None:
    """What everybody writes first: sum up, compare, then hold. The control that must overshoot."""
    won = 0
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        for _ in range(tries):
            start.wait(timeout=120)
            (held,) = connection.execute("select coalesce(sum(amount), 0) from holds").fetchone()
            start.wait(timeout=120)
            if held + BUDGET <= cap:
                connection.execute("insert into holds (amount) values (?)", (BUDGET,))
                won += 1
    out.put({ClaimKind.CLAIMED.value: won})
