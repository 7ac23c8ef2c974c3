"""Delivers keys one after the other: the next key waits until everything that the one before does is done.

Textual gives a key to the widget that has the keyboard at that instant, and looks up its binding only when the event
has come back from there. Without this queue a letter typed right behind a key that opens a dialog would be lost, or
would act on what stands behind the dialog.

Three rules protect from keys that nobody meant:

- A key that was typed before a dialog could be seen does not answer it. Each event carries the time of its arrival and
  each dialog the time from which it is visible on the terminal.
- A decisive key that was typed before the first frame of a screen was shown, into the shell for example, does nothing.
- A decisive key (one that acts at once and cannot be taken back) that arrives within a burst of other keys is taken for
  pasted text. Pastes that a terminal does not mark, or that arrive in pieces, look like that. Text that went into a
  line of a dialog does not count, so that Enter may follow it at once; text behind the Enter does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from textual import events
from textual.message import Message
from textual.message_pump import MessagePump
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.app import App

PATIENCE_S = 2.0
"""The time that a key may take before the next one is delivered all the same: the widget that had it may be gone."""
PASSES = 2
"""How often a marker follows a key through the queues of its widget; a message that the key causes comes behind the
first one."""
HELD_S = 3.0
"""The time that keys wait for a dialog that is being prepared."""
FOLLOW_S = 0.02
"""The time that a decisive key waits to see whether others follow it."""
BURSTS = ((0.02, 4), (0.25, 6))
"""So many different keys within so many seconds before or after one another are a burst; nobody types that fast. The
second finds text that arrives in pieces."""
LINE_S, LINE_KEYS = 0.02, 3
"""Fewer keys are a burst where one of them is enter: a short line of pasted text."""


@dataclass
class KeyProcessed(Message):
    """Follows a key through the message queues; when it arrives, the key has been processed."""

    number: int


@runtime_checkable
class KeyFilter(Protocol):
    """A screen that does not accept every key."""

    def accepts(self, event: events.Key | events.Paste) -> bool | None:
        """False for a key that was typed before the screen could be seen and would decide something.

        None while that is not known; the screen posts `KeyProcessed(0)` to the app when it is.
        """
        ...

    def decides(self, event: events.Key) -> bool:
        """True for a key that gives an answer."""
        ...


class KeyQueue:
    """The keys that wait, and the one that is being processed."""

    def __init__(
        self,
        app: App[Any],
        deliver: Callable[[events.Event], Awaitable[None]],
        *,
        is_decisive: Callable[[events.Key], bool],
        was_visible: Callable[[events.Key], bool],
        on_dropped: Callable[[events.Key, str], None],
    ) -> None:
        """`deliver` gives a key or pasted text to the widget that has the keyboard.

        `was_visible` is true for a key that was typed when the screen that is shown could be seen. `on_dropped` is
        called with each decisive key that was dropped, and why.
        """
        self._app = app
        self._deliver = deliver
        self._is_decisive = is_decisive
        self._was_visible = was_visible
        self._on_dropped = on_dropped
        self._waiting: deque[events.Key | events.Paste] = deque()
        self._arrivals: deque[tuple[float, str]] = deque(maxlen=64)
        self._number = 0
        """Of the last marker that was sent."""
        self._is_busy = False
        self._screen_seen: MessagePump | None = None
        self._passes = 0
        """Markers that have arrived since `_screen_seen` is shown."""
        self._holds: set[object] = set()
        self._dropped_until = float("-inf")
        """Keys that were typed up to this time are dropped, also where they arrive later."""
        self._patience: asyncio.TimerHandle | None = None
        self._follow: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """True where no key waits and none is being processed."""
        return not self._is_busy and not self._waiting

    async def put(self, event: events.Key | events.Paste) -> None:
        """Append a key that was pressed, or text that was pasted."""
        if event.time <= self._dropped_until:
            return
        self._waiting.append(event)
        if isinstance(event, events.Key):
            self._arrivals.append((event.time, event.key))
        await self.deliver_next()

    async def deliver_next(self) -> None:
        """Deliver the next key where none is being processed; drop it where the screen does not accept it.

        Does nothing once the console ends: its screens go before its last messages.
        """
        while self._waiting and not self._is_busy and not self._holds and self._app.screen_stack:
            event, screen = self._waiting[0], self._app.screen
            accepted = screen.accepts(event) if isinstance(screen, KeyFilter) else True
            if accepted is None:
                return
            decisive = isinstance(event, events.Key) and self._is_decisive(event)
            if accepted and decisive and self._waits_for_followers(event.time):
                return
            self._waiting.popleft()
            if not accepted:
                continue
            if isinstance(event, events.Key) and decisive and (why := self._distrust(event)):
                self._on_dropped(event, why)
                continue
            self._is_busy = True
            self._screen_seen, self._passes = screen, 0
            target = self._app.focused or screen
            if isinstance(event, events.Key) and _is_text(event, target):
                # Text that goes into a line is no reason to distrust the Enter behind it, however fast it comes.
                with suppress(ValueError):
                    self._arrivals.remove((event.time, event.key))
            await self._deliver(event)
            self._send_marker(target)

    async def processed(self, number: int) -> None:
        """A marker has arrived.

        A screen that the key opened or came back to gets markers of its own before the key counts as processed.
        """
        if self._is_busy and number == self._number and self._app.screen_stack:
            self._passes += 1
            if self._screen_seen is not self._app.screen:
                self._screen_seen, self._passes = self._app.screen, 0
            if self._passes < PASSES:
                self._send_marker(self._app.focused or self._app.screen)
                return
            self._is_busy = False
        await self.deliver_next()

    def forget_arrivals(self) -> None:
        """Count no key that came before as part of a burst."""
        self._arrivals.clear()

    def hold(self) -> Callable[[], None]:
        """Keep keys back for a dialog that is being prepared, until the function that is returned is called.

        Keys that waited are dropped where no dialog came, and after HELD_S, from when on keys act again on the screen
        that is shown.
        """
        screen, token = self._app.screen, object()
        self._holds.add(token)

        def end(*, dropping: bool) -> None:
            if token not in self._holds:
                return
            late.cancel()
            self._holds.discard(token)
            if dropping:
                self._waiting.clear()
                self._dropped_until = asyncio.get_running_loop().time()
            self._app.post_message(KeyProcessed(0))

        def release() -> None:
            end(dropping=self._app.is_running and self._app.screen is screen)

        late = asyncio.get_running_loop().call_later(HELD_S, lambda: end(dropping=True))
        return release

    def _waits_for_followers(self, arrived: float) -> bool:
        """True while other keys may still follow the decisive one; `deliver_next` is called again then."""
        loop = asyncio.get_running_loop()
        left = arrived + FOLLOW_S - loop.time()
        if left <= 0:
            return False
        if self._follow is not None:
            self._follow.cancel()
        self._follow = loop.call_later(left, self._app.post_message, KeyProcessed(0))
        return True

    def _distrust(self, event: events.Key) -> str:
        """Why the decisive key is dropped; empty where it is not."""
        if not self._was_visible(event):
            return "it was typed before the screen was shown"
        return "it arrived among other keys, as pasted text does" if self.is_in_burst(event) else ""

    def is_in_burst(self, event: events.Key) -> bool:
        """True for a key that arrived among so many others that they are pasted text."""
        if any(len(self._keys_near(event, seconds)) >= number for seconds, number in BURSTS):
            return True
        near = self._keys_near(event, LINE_S)
        return "enter" in near and len(near) >= LINE_KEYS

    def _keys_near(self, event: events.Key, seconds: float) -> set[str]:
        return {key for at, key in self._arrivals if abs(at - event.time) <= seconds}

    def _send_marker(self, target: MessagePump) -> None:
        self._number += 1
        marker = KeyProcessed(self._number)
        if self._patience is not None:
            self._patience.cancel()
        self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self._app.post_message, marker)
        if not target.post_message(KeyProcessed(self._number)):
            self._app.post_message(marker)


def _is_text(event: events.Key, target: MessagePump) -> bool:
    """True for a character that `target` takes as text, as a line of a form does."""
    return isinstance(target, Widget) and target.check_consume_key(event.key, event.character)
