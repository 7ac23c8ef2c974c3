"""The figures of many runs are stored in turns, and none is lost where the store does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from console.domain.run import Run, RunId
from console.domain.timestamps import Timestamp
from console.engine.context import EngineContext
from console.engine.problems import Problems
from console.engine.run.progress import MOST_AT_ONCE, ProgressRecorder
from console.store.errors import StoreBusy
from console.store.progress import Progress, ProgressUpdate
from tests.clock import ManualClock
from tests.ui import samples


class FakeRuns:
    """Stores the figures in memory, or raises."""

    def __init__(self) -> None:
        self.rounds: list[list[RunId]] = []
        self.is_busy = False

    async def record_progress_of_many(
        self, updates: Sequence[ProgressUpdate], now: Timestamp, *, busy_ms: int | None = None
    ) -> tuple[Run, ...]:
        if self.is_busy:
            raise StoreBusy("the state store is busy")
        self.rounds.append([update.run.id for update in updates])
        return tuple(update.run for update in updates)


class Source:
    """A run with new figures as long as `has_news`."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.has_news = True

    def draft(self) -> ProgressUpdate | None:
        if not self.has_news:
            return None
        self.has_news = False
        return ProgressUpdate(run=self.run, progress=Progress())

    def stored(self, draft: ProgressUpdate, row: Run | None) -> None:
        self.has_news = self.has_news or row is None


@pytest.fixture
def runs() -> FakeRuns:
    return FakeRuns()


@pytest.fixture
def recorder(runs: FakeRuns) -> ProgressRecorder:
    context = SimpleNamespace(store=SimpleNamespace(runs=runs), clock=ManualClock(), problems=Problems(lambda: 0))
    return ProgressRecorder(cast(EngineContext, context))


def sources(recorder: ProgressRecorder, number: int) -> list[Source]:
    """Return that many sources of the recorder, all with news."""
    found = [Source(samples.run(each)) for each in range(number)]
    for source in found:
        recorder.add(source.run.id, source)
    return found


async def test_more_runs_than_fit_into_one_tick_are_stored_in_turns(recorder: ProgressRecorder, runs: FakeRuns) -> None:
    found = sources(recorder, 2 * MOST_AT_ONCE + 10)
    for _ in range(3):
        await recorder.record()
        # A run that was stored has news again, as in a process that is behind.
        for source in found:
            source.has_news = True
    assert [len(each) for each in runs.rounds] == [MOST_AT_ONCE] * 3
    assert len({run_id for each in runs.rounds[:2] for run_id in each}) == 2 * MOST_AT_ONCE
    assert {source.run.id for source in found[-10:]} <= set(runs.rounds[2])


async def test_runs_without_news_cost_the_store_nothing(recorder: ProgressRecorder, runs: FakeRuns) -> None:
    found = sources(recorder, 3)
    await recorder.record()
    found[1].has_news = True
    await recorder.record()
    await recorder.record()
    assert [len(each) for each in runs.rounds] == [3, 1]


async def test_figures_that_could_not_be_stored_are_stored_later(recorder: ProgressRecorder, runs: FakeRuns) -> None:
    sources(recorder, 3)
    runs.is_busy = True
    with pytest.raises(StoreBusy):
        await recorder.record()
    runs.is_busy = False
    await recorder.record()
    assert [len(each) for each in runs.rounds] == [3]
