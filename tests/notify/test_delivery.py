"""A slow or dead channel delays no other one; what does not fit is dropped and counted; nothing is lost silently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from console.engine.problems import Problems
from console.notify.channels import Channel, DeliveryFailed, WebhookChannel
from console.notify.delivery import MOST_WAITING, TOPIC, Deliveries
from console.notify.message import NoticeMessage
from tests.notify.receiver import ReplyMode, receiving
from tests.notify.samples import NOON, message
from tests.waiting import until


class DeliveryHarness:
    """Deliveries, and what came of each message."""

    def __init__(self, *channels: Channel, waits_s: tuple[float, ...] = (0.01, 0.01)) -> None:
        self.problems = Problems(lambda: NOON)
        self.deliveries = Deliveries(channels, self.problems, waits_s=waits_s)
        self.done: list[NoticeMessage] = []

    def send(self, count: int = 1) -> None:
        for _ in range(count):
            self.deliveries.send(message(), self.done.append)

    @property
    def trouble(self) -> str:
        return " | ".join(each.text for each in self.problems.entries() if each.topic == TOPIC)


@asynccontextmanager
async def delivering(*channels: Channel, waits_s: tuple[float, ...] = (0.01, 0.01)) -> AsyncIterator[DeliveryHarness]:
    made = DeliveryHarness(*channels, waits_s=waits_s)
    try:
        yield made
    finally:
        await made.deliveries.close()


class Fails:
    """A channel that fails a number of times, and then takes messages."""

    def __init__(self, times: int, *, is_final: bool = False) -> None:
        self.name = "fails"
        self.left = times
        self.tries = 0
        self._is_final = is_final

    async def send(self, _message: NoticeMessage) -> None:
        self.tries += 1
        if self.left:
            self.left -= 1
            raise DeliveryFailed("no", is_final=self._is_final)


async def test_a_message_is_tried_again_until_it_is_taken() -> None:
    channel = Fails(2)
    async with delivering(channel) as here:
        here.send()
        assert await here.deliveries.drain(10)
    assert (channel.tries, len(here.done), here.trouble) == (3, 1, "")


async def test_a_message_is_given_up_after_its_tries_and_the_next_one_leaves() -> None:
    channel = Fails(3)
    async with delivering(channel) as here:
        here.send()
        assert await here.deliveries.drain(10)
        assert here.trouble == "notify: fails: no; 1 message was not delivered"
        here.send()
        assert await here.deliveries.drain(10)
        assert here.trouble == "", "what was taken ends the trouble"
    assert (channel.tries, len(here.done)) == (4, 2)


async def test_what_would_fail_alike_is_not_tried_again() -> None:
    channel = Fails(1, is_final=True)
    async with delivering(channel) as here:
        here.send()
        assert await here.deliveries.drain(10)
    assert (channel.tries, len(here.done)) == (1, 1)


async def test_a_channel_that_hangs_delays_no_other_one_and_drops_what_does_not_fit() -> None:
    async with receiving(ReplyMode.HANGS) as dead, receiving() as good:
        async with delivering(WebhookChannel(dead.url, deadline_s=60), WebhookChannel(good.url)) as here:
            here.send(MOST_WAITING)
            await until(lambda: len(good.bodies) == MOST_WAITING)
            here.send(3)
            assert here.trouble.startswith("notify: webhook 127.0.0.1:")
            assert here.trouble.endswith("it takes messages too slowly; 3 messages were not delivered")
            await until(lambda: len(good.bodies) == MOST_WAITING + 3)
            await until(lambda: len(here.done) == 3, what="those that only the good one was left to take")
            assert not await here.deliveries.drain(0.05)
            assert "canary" not in here.trouble
        assert dead.connections == 1, "one at a time"


async def test_what_is_under_way_at_the_end_is_not_done() -> None:
    async with receiving(ReplyMode.HANGS) as dead:
        async with delivering(WebhookChannel(dead.url, deadline_s=60)) as here:
            here.send(2)
            await until(lambda: dead.bodies)
        assert here.done == []


async def test_a_receiver_that_breaks_refuses_and_floods_in_turn_costs_one_message_at_most_each() -> None:
    async with (
        receiving(ReplyMode.FLOODS) as receiver,
        delivering(WebhookChannel(receiver.url, deadline_s=0.5)) as here,
    ):
        for mode in (ReplyMode.FLOODS, ReplyMode.BREAKS, ReplyMode.REFUSES, ReplyMode.CLOSES, ReplyMode.TAKES):
            receiver.mode = mode
            here.send()
            assert await here.deliveries.drain(20)
        assert len(here.done) == 5
        assert here.trouble == ""


async def test_many_waiting_messages_cost_no_time_of_the_loop() -> None:
    async with receiving(ReplyMode.HANGS) as dead, delivering(WebhookChannel(dead.url, deadline_s=60)) as here:
        loop = asyncio.get_running_loop()
        before = loop.time()
        here.send(10_000)
        assert loop.time() - before < 1
