"""Tasks that outlive their failures: each concern of an engine repeats in a task of its own and is restarted alone.

Whatever one concern raises is reported and the concern runs again after a wait; the others never notice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from console.engine.errors import OwnershipLost
from console.engine.problems import Problems
from console.store.errors import StaleRun, StoreError

log = logging.getLogger("nightdesk")

T = TypeVar("T")

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
"""A concern that fails runs again after 1, 2, 4 … 30 seconds."""
CANCEL_AGAIN_S = 2.0
"""Seconds after which a task that was cancelled and goes on is cancelled again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """One repeated duty of an engine."""

    name: str
    round: Callable[[], Awaitable[None]]
    """One turn. It may raise anything; it must not wait for the network."""
    every_s: float
    """Seconds between two rounds that worked."""


class ConcernRunner:
    """Runs concerns, each in its own task, until `stop`."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self._begun: dict[str, float] = {}
        self._failing: set[str] = set()
        self._store_failing: set[str] = set()
        self._stopping = False
        self.rounds: dict[str, int] = {}
        """Rounds that came to an end, also by an error, by the name of the concern."""

    def start(self, concerns: Iterable[Concern]) -> None:
        """Begin to repeat `concerns`."""
        for concern in concerns:
            self.rounds[concern.name] = 0
            self._wake[concern.name] = asyncio.Event()
            self._start(concern)

    def wake(self, name: str) -> None:
        """Run the next round of a concern now. Unknown names are ignored."""
        event = self._wake.get(name)
        if event is not None:
            event.set()

    def lagging(self, longer_than_s: float) -> tuple[str, ...]:
        """The concerns whose present round began more than `longer_than_s` seconds ago and has not ended."""
        now = asyncio.get_running_loop().time()
        return tuple(name for name, begun in self._begun.items() if now - begun > longer_than_s)

    async def stop(self) -> None:
        """End all concerns and wait for their tasks."""
        self._stopping = True
        await end_tasks(self._tasks.values())

    def _start(self, concern: Concern) -> None:
        task = asyncio.get_running_loop().create_task(self._repeat(concern), name=concern.name)
        self._tasks[concern.name] = task
        task.add_done_callback(lambda ended: self._ended(concern, ended))

    def _ended(self, concern: Concern, task: asyncio.Task[None]) -> None:
        """A concern's task never ends by itself; where it was cancelled by mistake it is started again."""
        if self._stopping:
            return
        error = None if task.cancelled() else task.exception()
        self._failing.add(concern.name)
        self._problems.report(concern.name, f"{concern.name} ended: {describe(error)}; started again", error)
        with suppress(RuntimeError):
            asyncio.get_running_loop().call_later(FIRST_WAIT_S, self._restart, concern)

    def _restart(self, concern: Concern) -> None:
        if not self._stopping:
            self._start(concern)

    async def _repeat(self, concern: Concern) -> None:
        wait = FIRST_WAIT_S
        while True:
            if await self._round(concern):
                wait, pause = FIRST_WAIT_S, concern.every_s
            elif concern.name in self._store_failing:
                # A store that does not answer is tried again at the usual pace: runs wait for it.
                pause = max(concern.every_s, FIRST_WAIT_S)
            else:
                wait, pause = min(wait * 2, LONGEST_WAIT_S), wait
            await wait_event(self._wake[concern.name], pause)
            self._wake[concern.name].clear()

    async def _round(self, concern: Concern) -> bool:
        """One round; False where it raised."""
        name = concern.name
        self._begun[name] = asyncio.get_running_loop().time()
        try:
            await concern.round()
        except StoreError as error:
            self._store_failing.add(name)
            self._problems.report("store", str(error), source=name)
            return False
        except Exception as error:
            self._failing.add(name)
            self._problems.report(name, f"{name}: {describe(error)}", error)
            return False
        finally:
            self._begun.pop(name, None)
            self.rounds[name] += 1
        if name in self._failing:
            self._failing.discard(name)
            self._problems.clear(name)
        if name in self._store_failing:
            self._store_failing.discard(name)
            self._problems.clear("store", name)
        return True


def describe(error: BaseException | None) -> str:
    """`OSError: [Errno 24] Too many open files`; `cancelled` for None. Never raises."""
    if error is None:
        return "cancelled"
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


async def wait_event(event: asyncio.Event, seconds: float) -> None:
    """Wait until `event` is set, for at most `seconds`.

    In Python 3.11 `asyncio.wait_for` swallows a cancellation that arrives together with the event: a task that was
    told to hand over would go on.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def wait_task(task: asyncio.Task[Any], seconds: float) -> bool:
    """Wait until `task` has ended, for at most `seconds`; True if it has. Otherwise it goes on.

    A cancellation of the caller does not end the task, and its error is not raised here.
    """
    await asyncio.wait({task}, timeout=seconds)
    return task.done()


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel `tasks` and wait for them; their errors are not raised.

    One that goes on all the same is cancelled again every `CANCEL_AGAIN_S`: some code takes a cancellation for an
    error that it handles, and a hand-over must not wait for it forever.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
        for task in ended:
            if not task.cancelled():
                task.exception()


class BackgroundTasks:
    """Work that nobody awaits: kept alive, its failures reported, ended together."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `work` in a task of its own."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def start_and_wait(self, work: Coroutine[Any, Any, T], name: str, seconds: float) -> asyncio.Task[T]:
        """Run `work` in a task of its own and wait for it, for at most `seconds`; it goes on where it takes longer.

        For writes to a store that may not answer, which must hold nothing else up. Return the task, done or not; an
        error of `work` is raised by its `result()` only.
        """
        task = self.start(work, name)
        await wait_task(task, seconds)
        return task

    async def stop(self) -> None:
        """Cancel what still runs and wait for it."""
        await end_tasks(self._tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, StoreError):
            self._problems.report_once("store", f"{task.get_name()}: {error}")
        elif isinstance(error, OwnershipLost | StaleRun):
            log.info("%s: another process was quicker", task.get_name())
        elif error is not None:
            self._problems.report_once(task.get_name(), f"{task.get_name()}: {describe(error)}", error)
