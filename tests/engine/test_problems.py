"""A problem lasts until each part that reported it says that it works again."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from console.domain.run import State
from console.engine import problems
from console.engine.concerns import BackgroundTasks
from console.engine.problems import KEPT_MS, MOST, STALE_MS, TEXT_LIMIT, Problem, Problems
from console.provider.contract import RemoteRun
from console.store.errors import StoreBusy
from console.trusted_files import replace_private
from tests.engine.building import engine_harness
from tests.engine.fake_provider import FakeProvider
from tests.waiting import until


class TimedProblems:
    """Problems under a clock that tests set."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.problems = Problems(lambda: self.now_ms)

    def lasting(self) -> dict[str, str]:
        """The text of each topic that is not over."""
        return {problem.topic: problem.text for problem in self.problems.entries() if problem.over_ms is None}

    def only(self) -> Problem:
        """The one problem there is."""
        (problem,) = self.problems.entries()
        return problem


@pytest.fixture
def timed() -> TimedProblems:
    return TimedProblems()


def test_a_topic_lasts_until_each_source_of_it_has_cleared_it(timed: TimedProblems) -> None:
    timed.problems.report("store", "busy: rows", source="rows")
    timed.problems.report("store", "busy: run 1", source="run 1")
    timed.problems.clear("store", "run 1")
    assert timed.lasting() == {"store": "busy: rows"}
    timed.problems.clear("store", "run 2")
    assert timed.lasting() == {"store": "busy: rows"}, "a source that reported nothing clears nothing"
    timed.problems.clear("store", "rows")
    assert timed.problems.entries() == ()


def test_without_a_source_the_whole_topic_is_cleared(timed: TimedProblems) -> None:
    timed.problems.report("run 1", "the poll raised", source="poll")
    timed.problems.report("run 1", "the stream raised", source="stream")
    timed.problems.clear("run 1")
    assert timed.problems.entries() == ()


def test_an_unexpected_error_stays_for_a_while_as_over(timed: TimedProblems) -> None:
    timed.problems.report("rows", "rows: KeyError", KeyError("x"))
    timed.problems.clear("rows")
    assert timed.only().over_ms == timed.now_ms
    timed.now_ms += KEPT_MS + 1
    assert timed.problems.entries() == ()


def test_what_is_not_tried_again_is_shown_as_over_and_counted(timed: TimedProblems) -> None:
    timed.problems.report_once("store", "a stop is not recorded: busy")
    assert timed.only().over_ms == timed.now_ms
    timed.problems.report_once("run 1", "the launch raised", ValueError("x"))
    timed.problems.report_once("run 1", "the launch raised", ValueError("x"))
    assert [problem.count for problem in timed.problems.entries()] == [1, 2]
    assert timed.lasting() == {}
    timed.now_ms += KEPT_MS + 1
    assert timed.problems.entries() == ()


def test_what_is_not_tried_again_ends_nothing_that_lasts(timed: TimedProblems) -> None:
    timed.problems.report("store", "busy", source="rows")
    timed.problems.report_once("store", "a stop is not recorded: busy")
    assert set(timed.lasting()) == {"store"}
    timed.problems.clear("store", "rows")
    assert timed.lasting() == {}


def test_what_nobody_clears_counts_as_over_after_a_time_unless_it_is_lasting(timed: TimedProblems) -> None:
    timed.problems.report("retry of run 1", "failed")
    timed.problems.report("config", "the file is wrong", lasting=True)
    timed.now_ms += STALE_MS + 1
    assert timed.lasting() == {"config": "the file is wrong"}


def test_the_number_and_the_length_of_problems_are_bounded(timed: TimedProblems) -> None:
    for number in range(MOST + 5):
        timed.problems.report(f"run {number}", "x" * 1000)
    entries = timed.problems.entries()
    assert len(entries) == MOST
    assert {len(entry.text) for entry in entries} == {TEXT_LIMIT}
    assert entries[-1].topic == f"run {MOST + 4}"


async def test_an_error_of_work_that_nobody_awaits_is_shown_as_over(timed: TimedProblems) -> None:
    async def work() -> None:
        raise StoreBusy("the state store is busy")

    background = BackgroundTasks(timed.problems)
    task = await background.start_and_wait(work(), "stop 01k", 5.0)
    assert isinstance(task.exception(), StoreBusy)
    assert (timed.only().topic, timed.only().text) == ("store", "stop 01k: the state store is busy")
    assert timed.only().over_ms is not None


async def test_a_wait_for_background_work_is_bounded_and_leaves_it_running(timed: TimedProblems) -> None:
    go_on = asyncio.Event()
    background = BackgroundTasks(timed.problems)
    task = await background.start_and_wait(go_on.wait(), "stop 01k", 0.01)
    assert not task.done()
    go_on.set()
    assert await task


class RaisesOnce(FakeProvider):
    """The first poll raises what no adapter declares; the second waits until the test has seen that."""

    def __init__(self) -> None:
        super().__init__()
        self.polls = 0
        self.seen = asyncio.Event()

    async def get(self, remote_id: str) -> RemoteRun:
        self.polls += 1
        if self.polls == 1:
            raise ValueError("nobody expected this")
        await self.seen.wait()
        return await super().get(remote_id)


async def test_the_next_poll_that_works_ends_the_problem_of_one_that_raised(tmp_path: Path) -> None:
    provider = RaisesOnce()
    async with engine_harness(tmp_path, provider) as here:
        run_id = (await here.launch()).run.id

        def of_run() -> list[Problem]:
            return [entry for entry in here.engine.problems.entries() if entry.topic == f"run {run_id}"]

        await until(lambda: [entry.over_ms for entry in of_run()] == [None])
        assert "the poll raised ValueError: nobody expected this" in of_run()[0].text
        provider.seen.set()
        await until(lambda: all(entry.over_ms is not None for entry in of_run()))
        assert (await here.run(run_id)).state is State.RUNNING


async def test_problems_are_published_beside_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not answer must not hold up a cut-off."""
    threads = list[threading.Thread]()

    def noted(path: Path, text: str) -> None:
        threads.append(threading.current_thread())
        replace_private(path, text)

    monkeypatch.setattr(problems, "replace_private", noted)
    async with engine_harness(tmp_path, FakeProvider()) as here:
        await here.next_tick()
    assert threads
    assert threading.main_thread() not in threads
