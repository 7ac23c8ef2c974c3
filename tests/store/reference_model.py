"""A reference model of the ledger, kept in plain Python beside the store while random acts run over both."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg.rows import dict_row

from console.domain.caps import Cap, Caps
from console.domain.run import HOLDING, KEY_FREEING_OUTCOMES, Outcome, Run, RunId, State
from console.domain.task import Task
from console.domain.timestamps import Timestamp
from console.store.database import run_sync
from console.store.fleet_settings import FleetSettings
from console.store.ledger import month_of
from console.store.rows import run_of
from console.store.store import Store
from tests.clock import ManualClock
from tests.evidence import StoreEvidence, open_database, read_store, store_evidence
from tests.postgres_server import EMPTY
from tests.store.harness import BUDGET, StoreHarness, a_task
from tests.sync_database import memory_connection, sync_store

T = TypeVar("T")
TASKS = (a_task("one"), a_task("two"))
DATES = ("2026-11-23", "2026-11-24", "2026-11-25")
TIGHT: Caps = Caps(daily_units=4 * BUDGET, monthly_units=9 * BUDGET, daily_runs=7, concurrent_runs=3, time_zone="UTC")


@dataclass(slots=True)
class Entry:
    """One run of the reference model."""

    run: Run
    """As the store returned it last."""
    day: str
    amount: int = BUDGET
    settled: int | None = None
    """None: open, or released."""
    ends: int = 0
    """How often its hold has ended."""


class Storage(Protocol):
    """Where the store under test keeps its data, and how its coroutines are run."""

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`."""
        ...

    def open(self, now: Timestamp) -> Store:
        """A new process opens the store."""
        ...

    def written(self) -> int:
        """A number that changes whenever the store may have been written to."""
        ...

    def evidence(self) -> StoreEvidence:
        """What the database holds now."""
        ...

    def throw_away(self) -> None:
        """The end of one example; the store is closed."""
        ...


class OnDisk:
    """A real state folder."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="reference-"))
        self._reads = itertools.count()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def open(self, now: Timestamp) -> Store:
        return self.do(Store.open(self._folder / "state", now=now))

    def written(self) -> int:
        return next(self._reads)

    def evidence(self) -> StoreEvidence:
        with open_database(self._folder / "state") as database:
            return read_store(database)

    def throw_away(self) -> None:
        self._runner.close()
        shutil.rmtree(self._folder)


class InMemory:
    """The same schema, statements and transactions without files and threads, for thousands of examples."""

    def __init__(self) -> None:
        self._connection = memory_connection()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return run_sync(work)

    def open(self, now: Timestamp) -> Store:
        return sync_store(Path(tempfile.gettempdir()), self._connection)

    def written(self) -> int:
        return self._connection.total_changes

    def evidence(self) -> StoreEvidence:
        return read_store(self._connection)

    def throw_away(self) -> None:
        self._connection.close()


class OnPostgres:
    """The store of several machines, emptied for each example."""

    fleet: FleetSettings | None = None
    """Set by the test, which has a server."""

    def __init__(self) -> None:
        if self.fleet is None:
            raise RuntimeError("the test has set no server")
        self._runner = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="reference-"))
        self._reads = itertools.count()
        path = f"-c search_path={self.fleet.schema}"
        self._connection = psycopg.connect(
            self.fleet.conninfo, autocommit=True, row_factory=dict_row, options=path, prepare_threshold=1
        )
        self._connection.execute(EMPTY.encode())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def open(self, now: Timestamp) -> Store:
        return self.do(Store.open(self._folder / "state", now=now, fleet=self.fleet))

    def written(self) -> int:
        return next(self._reads)

    def evidence(self) -> StoreEvidence:
        return store_evidence(lambda sql: self._connection.execute(sql.encode()).fetchall())

    def throw_away(self) -> None:
        self._connection.close()
        self._runner.close()
        shutil.rmtree(self._folder)


@dataclass(slots=True)
class ReferenceModel:
    """The store under test, its storage, and what every run and hold must be."""

    storage: Storage
    clock: ManualClock = field(default_factory=ManualClock)
    entries: dict[RunId, Entry] = field(default_factory=dict)
    stale: list[Run] = field(default_factory=list)
    """Outdated rows, as a process may still hold them."""
    last_day: str = ""
    store: Store = field(init=False)
    _rows: tuple[int, dict[RunId, Run]] = field(default=(-1, {}), init=False)
    """The rows after so much had been written."""

    def __post_init__(self) -> None:
        self.open()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`."""
        return self.storage.do(work)

    def open(self) -> None:
        """A new process opens the store."""
        self.store = self.storage.open(self.clock.now())

    def rows(self) -> dict[RunId, Run]:
        """The rows of all runs that took a hold, by id; read anew where they may have changed."""
        written = self.storage.written()
        if written != self._rows[0]:
            runs = map(run_of, self._read("select * from runs where attempt > 0"))
            self._rows = (written, {run.id: run for run in runs})
        return self._rows[1]

    def _read(self, sql: str) -> Iterable[Any]:
        return self.do(self.store.database.read(lambda tx: tx.rows(sql)))

    def leave(self) -> None:
        """The process ends; all that it held in memory is gone."""
        self.do(self.store.close())

    def throw_away(self) -> None:
        """The end of one example."""
        self.leave()
        self.storage.throw_away()

    @property
    def harness(self) -> StoreHarness:
        """Builds orders against this store."""
        return StoreHarness(self.store, self.clock, caps=TIGHT)

    @property
    def today(self) -> str:
        """The day of a hold taken now."""
        today = self.clock.now().utc().date()
        here, latest = today.isoformat(), (today + timedelta(days=31)).isoformat()
        return here if self.last_day > latest else max(here, self.last_day)

    def open_of_key(self, key: str) -> Entry | None:
        """The run of the key that has not ended."""
        return next((e for e in self.entries.values() if e.run.key == key and e.run.state is not State.ENDED), None)

    def blocking(self, key: str) -> Entry | None:
        """The newest ending that blocks the key."""
        ended = [
            e for e in self.entries.values() if e.run.key == key and e.run.outcome not in {None, *KEY_FREEING_OUTCOMES}
        ]
        return ended[-1] if ended else None

    def in_state(self, *states: State) -> list[Entry]:
        """Every entry in one of these."""
        return [entry for entry in self.entries.values() if entry.run.state in states]

    def took(self, run: Run) -> None:
        """A claim: the hold counts from here."""
        self.entries[run.id] = Entry(run, day=run.day)
        self.last_day = run.day

    def saw(self, run: Run) -> None:
        """A write returned `run`."""
        entry = self.entries[run.id]
        self.stale.append(entry.run)
        entry.run = run

    def closed(self, run: Run, settled: int | None) -> None:
        """The hold ended: settled with so many milli-units, or (None) released."""
        self.saw(run)
        entry = self.entries[run.id]
        entry.settled, entry.ends = settled, entry.ends + 1

    def room_for(self, task: Task) -> bool:
        """True where the caps have room for one more launch."""
        on_day = self.of_days([self.today])
        in_month = [e for e in self.counted() if month_of(e.day) == month_of(self.today)]
        return (
            len(on_day) < (TIGHT.daily_runs or 0)
            and _sum(on_day) + BUDGET <= (TIGHT.daily_units or 0)
            and _sum(in_month) + BUDGET <= (TIGHT.monthly_units or 0)
            and len(self.in_state(*HOLDING)) < (TIGHT.concurrent_runs or 0)
        )

    def counted(self) -> list[Entry]:
        """Entries whose hold is open or was settled."""
        return [e for e in self.entries.values() if e.run.state in HOLDING or e.settled is not None]

    def of_days(self, days: Iterable[str]) -> list[Entry]:
        """Those of them that count on these days."""
        return [entry for entry in self.counted() if entry.day in set(days)]


def charged(entry: Entry) -> int:
    """Milli-units that count against the caps."""
    return held(entry) if entry.settled is None else entry.settled


def held(entry: Entry) -> int:
    """Milli-units of an open hold: its amount, or what the run has used if that is more."""
    return max(entry.amount, entry.run.used)


def _sum(entries: Iterable[Entry]) -> int:
    return sum(charged(entry) for entry in entries)


def expected_sums(reference: ReferenceModel) -> dict[Cap, tuple[int, int]]:
    """Held and spent of each cap according to the reference model."""
    on_day = reference.of_days([reference.today])
    in_month = [e for e in reference.counted() if month_of(e.day) == month_of(reference.today)]
    return {
        Cap.DAILY_RUNS: (sum(e.settled is None for e in on_day), sum(e.settled is not None for e in on_day)),
        Cap.DAILY_UNITS: _split(on_day),
        Cap.MONTHLY_UNITS: _split(in_month),
        Cap.CONCURRENT_RUNS: (len(reference.in_state(*HOLDING)), 0),
    }


def _split(entries: list[Entry]) -> tuple[int, int]:
    return (
        sum(held(entry) for entry in entries if entry.settled is None),
        sum(entry.settled for entry in entries if entry.settled is not None),
    )


def overshoot(entries: Iterable[Entry]) -> int:
    """Milli-units that were used beyond their holds."""
    return sum(max(0, charged(entry) - entry.amount) for entry in entries)


def blocks_for_good(outcome: Outcome | None) -> bool:
    """True where a plain launch of the key is answered with a skip or a refusal."""
    return outcome is not None and outcome not in KEY_FREEING_OUTCOMES
