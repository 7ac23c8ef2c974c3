"""Runs operations in the background, so that a slow provider delays no key and leaving loses no operation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from console.ui.context import trouble_line
from console.ui.spans import Span, Tone

Tell = Callable[[Span], None]
Hold = Callable[[], Callable[[], None]]
"""Keeps keys back until the function that it returns is called."""


class BackgroundWork:
    """Runs coroutines as asyncio tasks. Textual's own workers are cancelled at exit without being awaited."""

    def __init__(self, post_notice: Tell, hold: Hold) -> None:
        self._post_notice = post_notice
        self._hold = hold
        self._open: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, Span | None], *, name: str, asks: bool = False) -> None:
        """Start `work`; post the notice that it returns, or one line about the error that it raises.

        `asks` is true for work that ends with a dialog; keys are kept back until then.
        """
        task = asyncio.create_task(self._follow(work), name=f"act {name}")
        if asks:
            release = self._hold()
            task.add_done_callback(lambda _: release())
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def wait(self, *, within: float | None = None) -> None:
        """Return once no work is running, or after `within` seconds; work that is still running goes on."""
        deadline = None if within is None else asyncio.get_running_loop().time() + within
        while self._open:
            left = None if deadline is None else deadline - asyncio.get_running_loop().time()
            if left is not None and left <= 0:
                return
            await asyncio.wait(self._open, timeout=left)

    async def _follow(self, work: Coroutine[None, None, Span | None]) -> None:
        try:
            answer = await work
        except Exception as error:  # no error of an operation may end the screen; it is shown as a notice
            answer = Span(trouble_line(error), Tone.BAD)
        if answer is not None:
            self._post_notice(answer)


class CoalescedWork:
    """Runs a coroutine function in the background; calls made while it is running are coalesced into one more run."""

    def __init__(
        self, work: Callable[[], Coroutine[None, None, None]], background: BackgroundWork, *, name: str
    ) -> None:
        self._work = work
        self._background = background
        self._name = name
        self._runs = self._again = False

    def __call__(self) -> None:
        """Schedule a run."""
        if self._runs:
            self._again = True
            return
        self._runs = True
        self._background.start(self._go(), name=self._name)

    async def _go(self) -> None:
        try:
            await self._work()
            while self._again:
                self._again = False
                await self._work()
        finally:
            self._runs = False
