"""An event loop whose time passes only when nothing can happen, and in which whole processes die or stand still.

A process is a set of tasks with one context: when it dies none of its callbacks runs again, as if the kernel had
taken it between two instructions; nothing in it is told. A stuck one finds everything that came meanwhile, later.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from asyncio import events
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
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
        """What came while it was stuck."""
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def __repr__(self) -> str:
        return self.name

    def end(self) -> None:
        """Nothing of it runs again; files that its tasks have open are closed, as the kernel would."""
        self.is_dead = True
        self.held.clear()
        for task in list(self.tasks):
            work = task.get_coro()
            if isinstance(work, Coroutine) and not task.done():
                with suppress(RuntimeError, ValueError):
                    work.close()


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class _Owned:
    """A callback of a process: not called where it is dead, kept where it is stuck, dropped where it was cancelled."""

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


class Stuck(Exception):
    """Nothing can happen any more, and somebody still waits."""


class _Time:
    """Stands where the selector would wait for files: there are none, so it only lets time pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("nobody will ever wake anybody")
        self.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` begins at 0 and is in simulated seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Time()
        self.complaints: list[str] = []
        """Errors that nobody took."""
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Simulated seconds since the start of the world."""
        return self._selector.now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> events.Handle:
        """As ever, but the callback belongs to the process in whose context it is."""
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
        """As ever, but the callback belongs to the process in whose context it is."""
        context = contextvars.copy_context() if context is None else context
        process = context.get(PROCESS)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        owned = _Owned(process, context, callback)
        owned.handle = timer = super().call_at(when, owned, *args, context=context)
        return timer

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """As ever, but the task belongs to the process in whose context it is."""
        task = super().create_task(coro, name=name, context=context)
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.tasks.add(task)
        return task

    def resume(self, process: Process) -> None:
        """A stuck process goes on, with all that came meanwhile."""
        process.is_stuck = False
        held, process.held = process.held, []
        for owned, args in held:
            super().call_soon(owned, *args, context=owned.context)

    def start(self, process: Process | None, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of `process`; None: of nobody, so that it outlives all of them."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, process)
        return self.create_task(work, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tasks of dead processes are dropped unfinished: that is their death, and no complaint."""
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
