"""What an operator asked for runs apart from the screen: a slow provider holds no key up, leaving loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from console.ui.context import trouble_line
from console.ui.spans import Span, Tone

Tell = Callable[[Span], None]
Hold = Callable[[], Callable[[], None]]
"""Keys wait until what it gives is called."""


class BackgroundWork:
    """Asyncio tasks of the app's own; Textual would cancel its workers at exit without waiting for them."""

    def __init__(self, post_notice: Tell, hold: Hold) -> None:
        self._post_notice = post_notice
        self._hold = hold
        self._open: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, Span | None], *, name: str, asks: bool = False) -> None:
        """Begins `work`; its span is told when it is done, an error as one line in its place.

        `asks`: it ends with a question, and keys wait for that.
        """
        task = asyncio.create_task(self._follow(work), name=f"act {name}")
        if asks:
            release = self._hold()
            task.add_done_callback(lambda _: release())
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def done(self, *, within: float | None = None) -> None:
        """Returns once nothing is under way, or after `within` seconds; what is late goes on."""
        deadline = None if within is None else asyncio.get_running_loop().time() + within
        while self._open:
            left = None if deadline is None else deadline - asyncio.get_running_loop().time()
            if left is not None and left <= 0:
                return
            await asyncio.wait(self._open, timeout=left)

    async def _follow(self, work: Coroutine[None, None, Span | None]) -> None:
        try:
            answer = await work
        except Exception as error:  # whatever it was, it must not end the screen; it is told
            answer = Span(trouble_line(error), Tone.BAD)
        if answer is not None:
            self._post_notice(answer)


class CoalescedWork:
    """Runs something apart from the screen, once at a time; asked for meanwhile, it runs once more."""

    def __init__(
        self, work: Callable[[], Coroutine[None, None, None]], background: BackgroundWork, *, name: str
    ) -> None:
        self._work = work
        self._background = background
        self._name = name
        self._runs = self._again = False

    def __call__(self) -> None:
        """Asks for it."""
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
