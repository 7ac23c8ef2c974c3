"""A bounded queue before each channel, emptied by a task of its own: a slow or dead channel delays nobody else.

What does not fit is dropped and counted; what is not taken is tried again a few times, and then given up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from console.engine.concerns import describe, end_tasks, wait_event
from console.engine.problems import Problems
from console.notify.channels import DEADLINE_S, Channel, DeliveryFailed
from console.notify.message import NoticeMessage

TOPIC = "notify"
"""Topic of the problem that messages do not leave. It is itself no reason for a message."""
WAITS_S = (5.0, 30.0, 120.0)
"""Between the tries for one message."""
MOST_WAITING = 32
"""Messages that wait for one channel; further ones are dropped."""


@dataclass(eq=False, slots=True)
class Parcel:
    """One message on its way, until every channel is done with it."""

    message: NoticeMessage
    on_done: Callable[[NoticeMessage], None]
    """Called once, after the last channel has taken it or given it up."""
    left: int
    """Channels that are not done yet."""

    def done(self) -> None:
        """One channel is done with it."""
        self.left -= 1
        if not self.left:
            self.on_done(self.message)


@dataclass(eq=False, slots=True)
class _Queue:
    channel: Channel
    waiting: deque[Parcel] = field(default_factory=deque)
    """The first one is being sent."""
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: int = 0
    """Messages lost since the last one that was taken."""


class Deliveries:
    """Sends messages through all channels, each at its own pace."""

    def __init__(
        self,
        channels: Sequence[Channel],
        problems: Problems,
        *,
        waits_s: Sequence[float] = WAITS_S,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        """Begin to send; `close` ends it. Needs a running event loop.

        `may_send` is asked before each try: what waited while this process was stopped, another one has told.
        """
        self._may_send = may_send
        self._problems = problems
        self._waits_s = waits_s
        self._queues = [_Queue(channel) for channel in channels]
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks = [
            asyncio.create_task(self._empty(queue), name=f"notify by {queue.channel.name}") for queue in self._queues
        ]

    def send(self, message: NoticeMessage, on_done: Callable[[NoticeMessage], None]) -> None:
        """Queue `message`; `on_done` is called when it was taken or given up everywhere. Never waits."""
        parcel = Parcel(message, on_done, left=len(self._queues))
        for queue in self._queues:
            if len(queue.waiting) >= MOST_WAITING:
                self._report(queue, "it takes messages too slowly")
                parcel.done()
                continue
            queue.waiting.append(parcel)
            queue.filled.set()
            self._idle.clear()

    async def drain(self, within_s: float) -> bool:
        """Wait until nothing is on its way, for at most `within_s` seconds. Return whether that is so."""
        await wait_event(self._idle, within_s)
        return self._idle.is_set()

    async def close(self) -> None:
        """Send no more. What is on its way is not done: the next process that reads what was told sends it."""
        await end_tasks(self._tasks)

    async def _empty(self, queue: _Queue) -> None:
        while True:
            await queue.filled.wait()
            while queue.waiting:
                parcel = queue.waiting[0]
                if not await self._deliver(queue, parcel.message):
                    return
                queue.waiting.popleft()
                parcel.done()
            queue.filled.clear()
            if not any(each.waiting for each in self._queues):
                self._idle.set()

    async def _deliver(self, queue: _Queue, message: NoticeMessage) -> bool:
        """Try until `message` is taken, or give it up; False where nothing may be sent any more.

        Raises only CancelledError.
        """
        for wait_s in (*self._waits_s, None):
            if not self._may_send():
                return False
            why = await attempt(queue.channel, message)
            if why is None:
                queue.dropped = 0
                self._problems.clear(TOPIC, queue.channel.name)
                return True
            if why.is_final or wait_s is None:
                self._report(queue, str(why))
                return True
            with suppress(TimeoutError):
                # Nothing ends this wait but its time.
                await wait_event(asyncio.Event(), wait_s)
        return True

    def _report(self, queue: _Queue, why: str) -> None:
        queue.dropped += 1
        lost = "1 message was not delivered" if queue.dropped == 1 else f"{queue.dropped} messages were not delivered"
        self._problems.report(
            TOPIC, f"notify: {queue.channel.name}: {why}; {lost}", source=queue.channel.name, lasting=True
        )


async def attempt(channel: Channel, message: NoticeMessage) -> DeliveryFailed | None:
    """Send `message` once; None if it was taken. Raises only CancelledError."""
    try:
        # Its own deadline comes first; this one holds for a channel that does not keep it.
        async with asyncio.timeout(DEADLINE_S + 5):
            await channel.send(message)
    except DeliveryFailed as failed:
        return failed
    except TimeoutError:
        return DeliveryFailed(f"no end after {DEADLINE_S:.0f} s")
    except Exception as error:  # whatever a channel raises ends neither its queue nor the process
        return DeliveryFailed(describe(error))
    return None
