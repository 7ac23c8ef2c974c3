"""An event loop whose time passes only when no callback is ready, and in which whole processes die or stand still.

A process is a set of tasks with one context. When it dies, none of its callbacks runs again, as if the kernel had
killed it between two instructions: no `finally`, no cancellation. A process that stands still runs the callbacks that
became due meanwhile once it goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import weakref
from asyncio import events
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Process:
    """One process of the simulated machine, as far as the loop is concerned."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.is_stuck = False
        self.held: list[tuple[_Owned, tuple[Any, ...]]] = []
        """Callbacks that became due while it stood still."""
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def __repr__(self) -> str:
        return self.name

    def end(self) -> None:
        """Nothing of it runs again. Its coroutines are closed, which closes their files as the kernel would."""
        self.is_dead = True
        self.held.clear()
        with _no_current_task():
            for task in list(self.tasks):
                work = task.get_coro()
                if isinstance(work, Coroutine) and not task.done():
                    with suppress(RuntimeError, ValueError):
                        work.close()


@contextmanager
def _no_current_task() -> Iterator[None]:
    """Code that runs while a coroutine is closed must not take the task that closes it for its own.

    A timeout that is entered then would cancel that task later. See "Extending asyncio" in the Python documentation.
    """
    loop = events._get_running_loop()
    current = None if loop is None else asyncio.current_task(loop)
    if loop is None or current is None:
        yield
        return
    asyncio.tasks._leave_task(loop, current)
    try:
        yield
    finally:
        asyncio.tasks._enter_task(loop, current)


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class _Owned:
    """A callback of a process: not called once it is dead, kept while it stands still, dropped if it was cancelled."""

    def __init__(self, process: Process, context: contextvars.Context, callback: Callable[..., object]) -> None:
        self.process = process
        self.context = context
        self.callback = callback
        self.handle: events.Handle | None = None

    def __call__(self, *args: object) -> None:
        if self.process.is_dead or (self.handle is not None and self.handle.cancelled()):
            return
        if self.process.is_stuck:
            self.process.held.append((self, args))
        else:
            self.handle = None
            self.callback(*args)


class NumberedTask(asyncio.Task[T]):
    """A task whose hash is its number, so that sets of tasks have the same order in every run of a seed."""

    number: int = 0

    def __hash__(self) -> int:
        return self.number


class NumberedTimer(events.TimerHandle):
    """A timer that comes after earlier ones of the same instant, whatever the heap did with them meanwhile."""

    number: int = 0

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, NumberedTimer):
            return NotImplemented
        return (self.when(), self.number) < (other.when(), other.number)


class Stuck(Exception):
    """No callback is ready or scheduled, and a task still waits."""


class _Time:
    """Replaces the selector: there are no files to wait for, so waiting only moves the time."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("no callback is scheduled")
        self.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` begins at 0 and counts simulated seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Time()
        self.complaints: list[str] = []
        """Errors that no code retrieved."""
        self._clock_resolution = 1e-6
        self._tasks_made = self._timers_made = 0
        self._thread_s: float | None = None
        """For how long the call in a thread that is under way is held up; None where none is."""
        self._when_writable: Callable[[int, Callable[[], object]], None] | None = None
        self._scheduled: list[events.TimerHandle]

    def time(self) -> float:
        """Simulated seconds since the start of the world."""
        return self._selector.now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> events.Handle:
        """As in `BaseEventLoop`, but the callback belongs to the process of its context."""
        context = contextvars.copy_context() if context is None else context
        process = context.get(PROCESS)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        owned = _Owned(process, context, callback)
        owned.handle = super().call_soon(owned, *args, context=context)
        return owned.handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> events.TimerHandle:
        """As in `BaseEventLoop`, but the callback belongs to the process of its context."""
        context = contextvars.copy_context() if context is None else context
        process = context.get(PROCESS)
        if process is None:
            return self._schedule(when, callback, args, context)
        owned = _Owned(process, context, callback)
        owned.handle = timer = self._schedule(when, owned, args, context)
        return timer

    def _schedule(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context
    ) -> events.TimerHandle:
        """As `BaseEventLoop.call_at`, with a timer of our own."""
        timer = NumberedTimer(when, callback, args, self, context)
        self._timers_made += 1
        timer.number = self._timers_made
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]  # the loop reads it when the timer is cancelled
        return timer

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """As in `BaseEventLoop`, but the task belongs to the process of its context."""
        task = NumberedTask(coro, loop=self, name=None if name is None else str(name), context=context)
        self._tasks_made += 1
        task.number = self._tasks_made
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.tasks.add(task)
        return task

    def run_in_executor(  # type: ignore[override]  # a future, as in the base class
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Calls `func` at once: there are no threads, whose time would not be simulated.

        Where `func` was held up, its result comes as much later; the process goes on meanwhile.
        """
        done: asyncio.Future[T] = self.create_future()
        self._thread_s = 0.0
        try:
            settle: Callable[[], None] = partial(done.set_result, func(*args))
        except Exception as error:
            settle = partial(done.set_exception, error)
        finally:
            held_up_s, self._thread_s = self._thread_s, None
        if held_up_s == 0.0:
            settle()
        else:
            self.call_later(held_up_s, lambda: None if done.done() else settle())
        return done

    def hold_up(self, process: Process | None, seconds: float) -> None:
        """The call that is under way does not return for so long: its thread waits, or the whole process does."""
        if self._thread_s is not None:
            self._thread_s += seconds
        elif process is not None and not process.is_stuck:
            process.is_stuck = True
            self.outside(seconds, partial(self.resume, process))

    def outside(self, seconds: float, callback: Callable[[], object]) -> None:
        """Calls `callback` after so many seconds, whatever becomes of the process that runs now."""
        self._schedule(self.time() + seconds, callback, (), contextvars.Context())

    def lead_to(self, when_writable: Callable[[int, Callable[[], object]], None]) -> None:
        """`when_writable` calls back once the output behind a descriptor takes more."""
        self._when_writable = when_writable

    def add_writer(self, fd: Any, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """As in an event loop with files, but `callback` is called once."""
        assert self._when_writable is not None, "no descriptor of this world is written"
        self._when_writable(fd, partial(callback, *args))

    def remove_writer(self, fd: Any) -> bool:
        """Does nothing: a callback finds nothing to write."""
        return False

    def add_reader(self, fd: Any, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Does nothing: nobody types."""

    def remove_reader(self, fd: Any) -> bool:
        """Nor this."""
        return False

    def resume(self, process: Process) -> None:
        """A process that stood still goes on, with the callbacks that became due meanwhile."""
        process.is_stuck = False
        held, process.held = process.held, []
        for owned, args in held:
            super().call_soon(owned, *args, context=owned.context)

    def start(self, process: Process | None, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts a task of `process`; with None it belongs to no process and outlives all of them."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, process)
        return self.create_task(work, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Collects what asyncio complains of, but for tasks of dead processes, which are dropped unfinished."""
        if "destroyed" not in context["message"]:
            self.complaints.append(f"{context['message']}: {context.get('exception')!r}")

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no files."""

    def _write_to_self(self) -> None:
        """There are no threads that would wake this one."""

    def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        """Generators of dead processes are never finalised."""

    def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        """Nor are these."""
