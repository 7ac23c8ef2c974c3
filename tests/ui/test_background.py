"""Operations run in the background, are reported, and are not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from console.engine.errors import OperationRefused
from console.ui.spans import Span, Tone
from console.ui.state.background import BackgroundWork, CoalescedWork


def no_hold() -> Callable[[], None]:
    return lambda: None


async def test_the_result_of_an_operation_is_shown_and_its_error_too() -> None:
    told: list[Span] = []
    background = BackgroundWork(told.append, no_hold)

    async def good() -> Span:
        return Span("done")

    async def bad() -> Span:
        raise OperationRefused("not now\x1b[2J")

    async def silent() -> None:
        return None

    for work in (good(), bad(), silent()):
        background.start(work, name="act")
    await background.wait()
    assert told == [Span("done"), Span("not now␛[2J", Tone.BAD)]


async def test_waiting_for_operations_ends_and_stops_none() -> None:
    background = BackgroundWork(lambda _: None, no_hold)
    answered, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        await answered.wait()
        ended.set()

    background.start(slow(), name="slow")
    await background.wait(within=0.01)
    assert not ended.is_set()
    answered.set()
    await background.wait()
    assert ended.is_set()


async def test_asked_many_times_while_it_runs_it_runs_once_more() -> None:
    background = BackgroundWork(lambda _: None, no_hold)
    go, runs = asyncio.Event(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        await go.wait()

    soon = CoalescedWork(work, background, name="work")
    for _ in range(5):
        soon()
        await asyncio.sleep(0)
    go.set()
    await background.wait()
    assert runs == 2
    soon()
    await background.wait()
    assert runs == 3
