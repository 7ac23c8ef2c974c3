"""Keys one after the other: the next one is taken when the one before has done all that it does.

Textual hands a key to whoever has the keyboard at that instant, and looks up what it means when it has come back from
there. A letter on the heels of a key that opens a question would be lost, or act on what lies behind the question.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual import events
from textual.message import Message
from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from textual.app import App

PATIENCE_S = 0.5
"""How long a key may take until the next one is taken all the same: the widget that had it may be gone."""
LOOKS = 2
HELD_S = 3.0
"""How long keys wait for a question that is on its way."""


@dataclass
class KeyProcessed(Message):
    """Goes the way that a key has gone, behind it."""

    number: int


class KeyQueue:
    """The keys that wait, and the one that is at work."""

    def __init__(self, app: App[Any], take: Callable[[events.Event], Awaitable[None]]) -> None:
        """`take` gives a key, or what was pasted, to whoever has the keyboard."""
        self._app = app
        self._take = take
        self._waiting: deque[events.Event] = deque()
        self._number = 0
        """Of the last look after a key."""
        self._is_busy = False
        self._seen: MessagePump | None = None
        self._looks = 0
        """How often the way behind the key was gone while this screen was seen."""
        self._holds = 0
        self._patience: asyncio.TimerHandle | None = None

    async def put(self, event: events.Event) -> None:
        """A key was pressed."""
        self._waiting.append(event)
        await self.go_on()

    async def go_on(self) -> None:
        """Takes the next key, if it is its turn."""
        if self._is_busy or self._holds or not self._waiting:
            return
        self._is_busy = True
        self._seen, self._looks = self._app.screen, 0
        target = self._app.focused or self._app.screen
        await self._take(self._waiting.popleft())
        self._look_after(target)

    async def through(self, number: int) -> None:
        """What was sent behind a key has arrived.

        It goes twice, since what a key makes a widget say comes behind the first. A screen that the key opened or
        came back to is waited for as well.
        """
        if self._is_busy and number == self._number:
            self._looks += 1
            if self._seen is not self._app.screen:
                self._seen, self._looks = self._app.screen, 0
            if self._looks < LOOKS:
                self._look_after(self._app.focused or self._app.screen)
                return
            self._is_busy = False
        await self.go_on()

    def hold(self) -> Callable[[], None]:
        """A question is on its way: keys wait for it until the answer is called. Where none came they are dropped."""
        screen = self._app.screen
        self._holds += 1
        late = asyncio.get_running_loop().call_later(HELD_S, self._waiting.clear)

        def release() -> None:
            late.cancel()
            self._holds -= 1
            if self._app.is_running and self._app.screen is screen:
                self._waiting.clear()
            self._app.post_message(KeyProcessed(0))

        return release

    def _look_after(self, target: MessagePump) -> None:
        self._number += 1
        behind = KeyProcessed(self._number)
        if self._patience is not None:
            self._patience.cancel()
        self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self._app.post_message, behind)
        if not target.post_message(KeyProcessed(self._number)):
            self._app.post_message(behind)
