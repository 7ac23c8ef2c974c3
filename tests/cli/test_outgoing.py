"""What a process sends last leaves also where the process is over before it has loaded what sends it."""

from __future__ import annotations

import asyncio
import threading

from console.cli.outgoing import LazyPart
from tests.waiting import WITHIN_S, until


class Recorder:
    """A part that notes its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def round(self) -> None:
        self.calls.append("round")

    async def finish(self, within_s: float) -> None:
        self.calls.append(f"finish {within_s:g}")


async def test_a_part_that_is_still_being_loaded_at_the_end_is_loaded_once_and_finished() -> None:
    part, made, may_load = Recorder(), list[Recorder](), threading.Event()

    def load() -> Recorder:
        made.append(part)
        assert may_load.wait(WITHIN_S)
        return part

    lazy = LazyPart("part", lambda: True, load)
    first = asyncio.create_task(lazy.round())
    await until(lambda: made, what="the first round loads it")
    last = asyncio.create_task(lazy.finish(3))
    await asyncio.sleep(0)
    may_load.set()
    await asyncio.gather(first, last)
    assert made == [part]
    assert sorted(part.calls) == ["finish 3", "round"]


async def test_a_part_whose_first_round_never_came_is_finished_all_the_same() -> None:
    part = Recorder()
    await LazyPart("part", lambda: True, lambda: part).finish(3)
    assert part.calls == ["finish 3"]


async def test_a_part_with_nothing_to_do_is_never_loaded() -> None:
    made: list[Recorder] = []

    def load() -> Recorder:
        made.append(Recorder())
        return made[0]

    lazy = LazyPart("part", lambda: False, load)
    await lazy.round()
    await lazy.finish(3)
    assert made == []
