"""Time the queries of the history screen on a store with a million runs: `python -m benchmarks.history [RUNS]`.

The rows are inserted by SQL as copies of a run that the store itself made, with the same columns and checks. Triggers
are dropped during the insertion and created again after it.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from console.domain.run import Outcome
from console.domain.task import Origin, Stage
from console.domain.timestamps import Timestamp
from console.store.history import Cursor, HistoryFilter
from console.store.store import Store
from console.ui.history.pages import COUNTED, COUNTED_WORDS
from tests.store.harness import open_harness

RUNS = 1_000_000
TASKS = 20
ROUNDS = 7
PAGE = 100
END_MS = 1_795_402_800_000
WORDS = ("summary", "errors", "draft", "invoice", "timeout", "sandbox", "merged", "reviewed")
RARER = (("retry", 20), ("audit", 100), ("needle", 100_000))
"""Each word is in one of this many runs."""
OUTCOMES = (("ok", 900), ("failed", 40), ("budget", 20), ("timeout", 15), ("cancelled", 24), ("written_off", 1))


def rows(count: int, columns: list[str], sample: dict[str, object]) -> Iterator[tuple[object, ...]]:
    """Yield copies of `sample` over three years. One in twenty is the second attempt of its key."""
    chance = random.Random(7)
    names, weights = zip(*OUTCOMES, strict=True)
    step = 3 * 365 * 86_400_000 // count
    index_of = {name: index for index, name in enumerate(columns)}
    base = [sample[name] for name in columns]
    key, attempt = "", 1
    for number in range(count):
        is_retry = number % 20 == 19
        key, attempt = (key, attempt + 1) if is_retry else (f"{number:016x}", 1)
        at = END_MS - (count - number) * step
        task = f"task-{min(int(chance.expovariate(0.25)), TASKS - 1)}"
        outcome = "ok" if is_retry else str(chance.choices(names, weights)[0])
        row = list(base)
        for name, value in {
            "seq": number + 1000,
            "id": f"01b{number:023d}",
            "key": key,
            "attempt": attempt,
            "task": task,
            "target": f"acme/{task}",
            "outcome": "failed" if number % 20 == 18 else outcome,
            "stage": chance.choices(("manual", "semi", "unattended"), (1, 9, 90))[0],
            "origin": "manual" if number % 50 == 0 else "schedule",
            "created_ms": at,
            "ended_ms": at + 60_000,
            "result": " ".join([*chance.choices(WORDS, k=12), *(word for word, each in RARER if number % each == 5)]),
        }.items():
            row[index_of[name]] = value
        yield tuple(row)


def fill(path: Path, count: int) -> None:
    """Insert `count` rows beside the one run that the database has."""
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        sample = dict(db.execute("select * from runs where outcome = 'ok'").fetchone())
        triggers = db.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
        for trigger in triggers:
            db.execute(f"drop trigger {trigger['name']}")
        columns = list(sample)
        placeholders = ", ".join("?" * len(columns))
        db.executemany(f"insert into runs ({', '.join(columns)}) values ({placeholders})", rows(count, columns, sample))
        db.execute("insert into runs_text (runs_text) values ('rebuild')")
        for trigger in triggers:
            db.execute(trigger["sql"])
        db.commit()
    db.close()


FILTERS = {
    "all, retries folded": HistoryFilter(folded=True),
    "all": HistoryFilter(),
    "task, common": HistoryFilter(tasks=("task-0",), folded=True),
    "task, rare": HistoryFilter(tasks=("task-19",), folded=True),
    "task, unknown": HistoryFilter(tasks=("nobody",), folded=True),
    "outcome, common": HistoryFilter(outcomes=(Outcome.OK,)),
    "outcome, rare": HistoryFilter(outcomes=(Outcome.WRITTEN_OFF,)),
    "outcome, none": HistoryFilter(outcomes=(Outcome.DECLINED,)),
    "two outcomes": HistoryFilter(outcomes=(Outcome.WRITTEN_OFF, Outcome.TIMEOUT)),
    "task and outcome": HistoryFilter(tasks=("task-19",), outcomes=(Outcome.WRITTEN_OFF,)),
    "stage, rare": HistoryFilter(stages=(Stage.MANUAL,)),
    "stage, common": HistoryFilter(stages=(Stage.UNATTENDED,)),
    "stage and rare outcome": HistoryFilter(stages=(Stage.MANUAL,), outcomes=(Outcome.WRITTEN_OFF,)),
    "stage and rare task": HistoryFilter(stages=(Stage.MANUAL,), tasks=("task-19",)),
    "origin": HistoryFilter(origins=(Origin.MANUAL,)),
    "origin and stage": HistoryFilter(origins=(Origin.MANUAL,), stages=(Stage.MANUAL,)),
    "two years ago": HistoryFilter(until_ms=END_MS - 2 * 365 * 86_400_000),
    "one day of it": HistoryFilter(since_ms=END_MS - 700 * 86_400_000, until_ms=END_MS - 699 * 86_400_000),
    "that day and a task": HistoryFilter(
        tasks=("task-19",), since_ms=END_MS - 700 * 86_400_000, until_ms=END_MS - 690 * 86_400_000
    ),
    "word, in most": HistoryFilter(text="errors"),
    "word, rare": HistoryFilter(text="needle"),
    "word, none": HistoryFilter(text="haystack"),
    "beginning of a word": HistoryFilter(text="err"),
    "two words": HistoryFilter(text="errors invoice"),
    "word and task": HistoryFilter(text="errors", tasks=("task-0",)),
    "word and rare task": HistoryFilter(text="errors", tasks=("task-19",)),
    "word and rare outcome": HistoryFilter(text="errors", outcomes=(Outcome.WRITTEN_OFF,)),
    "word, two years ago": HistoryFilter(text="errors", until_ms=END_MS - 2 * 365 * 86_400_000),
    "1 in 20 and an outcome": HistoryFilter(text="retry", outcomes=(Outcome.FAILED,)),
    "1 in 20, two years ago": HistoryFilter(text="retry", until_ms=END_MS - 2 * 365 * 86_400_000),
    "1 in 100 and an outcome": HistoryFilter(text="audit", outcomes=(Outcome.FAILED,)),
    "1 in 100, two years ago": HistoryFilter(text="audit", until_ms=END_MS - 2 * 365 * 86_400_000),
    "rare, two years ago": HistoryFilter(text="needle", until_ms=END_MS - 2 * 365 * 86_400_000),
}


async def timed(ask: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return the wall time and the CPU time of `ask` in milliseconds, each the median of ROUNDS."""
    clock, cpu = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter(), time.process_time()
        await ask()
        clock.append((time.perf_counter() - started[0]) * 1000)
        cpu.append((time.process_time() - started[1]) * 1000)
    return statistics.median(clock), statistics.median(cpu)


def formatted(took: tuple[float, float]) -> str:
    """Format times like `  12.3 ms ( 11.9 CPU)`."""
    return f"{took[0]:7.1f} ms ({took[1]:6.1f} CPU)"


async def measure(store: Store, count: int) -> None:
    """Print a line for each filter: the time of a page, and of a count that stops where the screen's does."""
    history = store.history
    worst = (0.0, 0.0)
    await history.page(FILTERS["all"], limit=PAGE)
    for name, wanted in FILTERS.items():

        async def page(wanted: HistoryFilter = wanted) -> object:
            return await history.page(wanted, limit=PAGE)

        async def counted(wanted: HistoryFilter = wanted) -> object:
            return await history.count(wanted, at_most=(COUNTED_WORDS if wanted.text else COUNTED) + 1)

        first, number = await timed(page), await timed(counted)
        worst = max(worst, first, number, key=lambda took: took[1])
        print(f"{name:24} page {formatted(first)}   count {formatted(number)}")
    middle = Cursor(place=END_MS - 3 * 365 * 43_200_000, seq=count // 2)
    deep = await timed(lambda: history.page(FILTERS["all, retries folded"], limit=PAGE, after=middle))
    print(f"{'page from the middle':24} page {formatted(deep)}")
    keys = [run.key for run in (await history.page(FILTERS["all"], limit=PAGE)).runs]
    states = await timed(lambda: history.keys(keys))
    print(f"{'states of the keys':24}      {formatted(states)}")
    print(f"the slowest: {formatted(max(worst, deep, states, key=lambda took: took[1]))}; 50 ms are allowed")


async def main(count: int) -> None:
    """Create and fill a store, and time the queries."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "state"
        harness = await open_harness(folder)
        await harness.ended(Outcome.OK)
        await harness.store.close()
        started = time.perf_counter()
        fill(folder / "nightdesk.db", count)
        size = (folder / "nightdesk.db").stat().st_size
        print(f"{count:,} runs, {size / 1e6:.0f} MB, created in {time.perf_counter() - started:.0f} s")
        store = await Store.open(folder, now=Timestamp(wall_ms=END_MS, boot_ms=1, boot_id="boot"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await measure(store, count)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(f"memory grew by {grown / 1024:.1f} MB during the queries")
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
