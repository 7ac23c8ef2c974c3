"""Polls make room while a process is late, and a process that does not keep up says so."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from console.domain.run import Outcome, RunId
from console.engine.load import (
    BEHIND,
    BEHIND_S,
    KEPT_FILES,
    LATE_S,
    LONGEST_STRETCH,
    MOST_DESCRIPTORS,
    MOST_POLLS_PER_S,
    MOST_STREAMS,
    ROUNDS,
    WAITED_S,
    LoadMeter,
    PollPace,
    streams_at_once,
)
from console.engine.problems import Problems
from console.provider.contract import StreamEvent
from tests.engine.building import a_task, engine_harness, settings
from tests.engine.fake_provider import FakeProvider
from tests.waiting import until

INTERVAL_S = 5.0


class LoopTime:
    """The time of the running event loop, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = 0.0
        loop = asyncio.get_running_loop()
        began = loop.time()
        monkeypatch.setattr(loop, "time", lambda: began + self.passed, raising=False)


@pytest.fixture
def problems() -> Problems:
    return Problems(lambda: 0)


@pytest.fixture
def pace() -> Iterator[PollPace]:
    """The pace of a process that polls a thousand runs."""
    pace = PollPace(2)
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(pace.polling())
        yield pace


def test_runs_that_were_first_polled_together_are_spread_over_the_interval(pace: PollPace) -> None:
    waits = [pace.wait_s(RunId(f"run-{number}"), INTERVAL_S, is_first=True) for number in range(1000)]
    assert all(0 <= wait <= INTERVAL_S for wait in waits)
    by_second = [sum(second <= wait < second + 1 for wait in waits) for second in range(int(INTERVAL_S))]
    assert min(by_second) > 100
    assert pace.wait_s(RunId("run-1"), INTERVAL_S, is_first=False) == INTERVAL_S


def test_the_interval_is_stretched_while_the_loop_is_late_and_relaxed_afterwards(pace: PollPace) -> None:
    for _ in range(20):
        pace.adjust(2 * LATE_S, INTERVAL_S)
    assert 1 < pace.stretch <= LONGEST_STRETCH
    assert pace.wait_s(RunId("a"), INTERVAL_S, is_first=False) == INTERVAL_S * pace.stretch
    for _ in range(40):
        pace.adjust(0.0, INTERVAL_S)
    # A thousand polls in five seconds are more than there ever are.
    assert pace.stretch == 1000 / INTERVAL_S / MOST_POLLS_PER_S == 2


@pytest.mark.parametrize(("runs", "stretch"), [(1, 1), (500, 1), (1000, 2), (3000, 6), (30_000, 60)])
def test_the_number_of_polls_per_second_is_bounded_however_many_runs_there_are(runs: int, stretch: float) -> None:
    pace = PollPace(2)
    with ExitStack() as stack:
        for _ in range(runs):
            stack.enter_context(pace.polling())
        pace.adjust(0.0, INTERVAL_S)
        assert pace.stretch == stretch
    pace.adjust(0.0, INTERVAL_S)
    assert pace.stretch == 1


def test_a_few_runs_are_polled_at_the_configured_interval_however_late_the_loop_is() -> None:
    pace = PollPace(2)
    with pace.polling():
        pace.adjust(60.0, INTERVAL_S)
    assert pace.stretch == 1


async def test_no_more_polls_than_slots_are_under_way(pace: PollPace) -> None:
    under_way, most, go_on = 0, 0, asyncio.Event()

    async def poll() -> None:
        nonlocal under_way, most
        async with pace.turn():
            under_way += 1
            most = max(most, under_way)
            await go_on.wait()
            under_way -= 1

    polls = [asyncio.create_task(poll()) for _ in range(6)]
    await asyncio.sleep(0)
    polls[3].cancel()
    go_on.set()
    await asyncio.gather(*polls, return_exceptions=True)
    assert most == 2
    assert pace.waited_s() == (0, 0.0)


async def test_a_loop_that_is_late_again_and_again_is_behind_until_it_is_not(
    pace: PollPace, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    time, meter = LoopTime(monkeypatch), LoadMeter(pace, problems)
    await meter.measure(1.0, INTERVAL_S)
    for _ in range(ROUNDS):
        assert not problems.entries(), "one late round may be a pause of the machine"
        time.passed += 1.0 + BEHIND_S
        await meter.measure(1.0, INTERVAL_S)
    (behind,) = problems.entries()
    assert behind.topic == BEHIND
    assert behind.text.startswith("behind: this process reacts 1.0 s late")
    assert pace.stretch > 1
    time.passed += 1.0
    await meter.measure(1.0, INTERVAL_S)
    assert not problems.entries()


async def test_polls_that_wait_too_long_are_behind_too(
    pace: PollPace, problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    time, meter, go_on = LoopTime(monkeypatch), LoadMeter(pace, problems), asyncio.Event()

    async def poll() -> None:
        async with pace.turn():
            await go_on.wait()

    polls = [asyncio.create_task(poll()) for _ in range(4)]
    await asyncio.sleep(0)
    time.passed += WAITED_S
    await meter.measure(1.0, INTERVAL_S)
    assert [problem.text for problem in problems.entries()] == ["behind: 2 polls wait, the oldest for 30 s"]
    go_on.set()
    await asyncio.gather(*polls)
    await meter.measure(1.0, INTERVAL_S)
    assert not problems.entries()


async def test_polls_that_come_far_less_often_than_configured_are_said_to_be_behind(problems: Problems) -> None:
    pace = PollPace(2)
    meter = LoadMeter(pace, problems)
    with ExitStack() as stack:
        for _ in range(3000):
            stack.enter_context(pace.polling())
        await meter.measure(1.0, INTERVAL_S)
        texts = [problem.text for problem in problems.entries()]
        assert texts == ["behind: each live run is polled every 30 s, not every 5 s; fewer live runs would help"]
    await meter.measure(1.0, INTERVAL_S)
    assert not problems.entries()


@pytest.mark.parametrize(
    ("limit", "streams"), [(64, 0), (KEPT_FILES + 9, 9), (65_536, MOST_STREAMS), (resource.RLIM_INFINITY, MOST_STREAMS)]
)
def test_streams_leave_descriptors_to_everything_else(
    limit: int, streams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert streams_at_once() == streams


class CountingProvider(FakeProvider):
    """Counts the streams that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open = self.most_open = 0

    async def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            async for event in super().follow(remote_id):
                yield event
        finally:
            self.open -= 1


async def test_runs_without_a_place_for_a_stream_are_polled_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = CountingProvider()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (KEPT_FILES + 2, KEPT_FILES + 2))
    async with engine_harness(tmp_path, provider, settings(*(a_task(name) for name in "abcd"))) as here:
        runs = [(await here.launch(name)).run for name in "abcd"]
        await until(lambda: (provider.open, len(provider.agents)) == (2, 4))
        for agent in provider.agents.values():
            agent.status = "completed"
        for run in runs:
            assert (await here.engine.wait(run.id)).outcome is Outcome.OK
    assert provider.most_open == 2


async def test_a_lowered_limit_of_open_files_is_raised_again(pace: PollPace, problems: Problems) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        await LoadMeter(pace, problems).measure(1.0, INTERVAL_S)
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised == (min(hard, MOST_DESCRIPTORS), hard)
