"""The terminal device: output that is not accepted is kept, and a terminal that is gone is not used again."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
import tty as raw_mode
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from console.ui.terminal.tty import Tty
from tests.waiting import until

MUCH = b"x" * 300_000


class Ends:
    """Both ends of a pseudo-terminal, and what was reported about it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        raw_mode.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.read = b""
        self.events: list[str] = []

    def open(self) -> Tty:
        return Tty(
            os.ttyname(self.slave),
            on_input=lambda data: self.events.append(data.decode()),
            on_drained=lambda: self.events.append("drained"),
            on_gone=lambda: self.events.append("gone"),
        )

    def take(self) -> bytes:
        with suppress(BlockingIOError):
            self.read += os.read(self.master, 65_536)
        return self.read


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    for descriptor in (made.master, made.slave):
        os.close(descriptor)


async def test_a_terminal_that_takes_nothing_blocks_nothing_and_gets_it_all_later(ends: Ends) -> None:
    device = ends.open()
    device.send(MUCH)
    assert device.is_busy
    await until(lambda: len(ends.take()) == len(MUCH) and not device.is_busy)
    assert ends.events == ["drained"]
    device.close()


async def test_the_last_output_waits_a_little_and_no_longer(ends: Ends) -> None:
    device = ends.open()
    device.send(MUCH)
    device.finish(b"bye", within=0.05)
    assert device.is_busy
    device.close()


async def test_keys_arrive_unchanged_and_the_mode_comes_back(ends: Ends) -> None:
    termios.tcsetattr(ends.slave, termios.TCSANOW, before := cooked(ends.slave))
    device = ends.open()
    device.raw()
    device.raw()
    device.listen()
    os.write(ends.master, b"\x03q\x1b[A")
    await until(lambda: ends.events == ["\x03q\x1b[A"])
    device.close()
    assert termios.tcgetattr(ends.slave) == before


def cooked(descriptor: int) -> list[Any]:
    mode = termios.tcgetattr(descriptor)
    mode[3] |= termios.ICANON | termios.ECHO | termios.ISIG
    termios.tcsetattr(descriptor, termios.TCSANOW, mode)
    return termios.tcgetattr(descriptor)


async def test_what_was_given_back_is_not_written_to_nor_taken_for_gone(ends: Ends) -> None:
    device = ends.open()
    device.close()
    device.send(b"late")
    device.hang_up()
    device.close()
    await asyncio.sleep(0)
    assert ends.take() == b""
    assert ends.events == []
    assert not device.is_gone


async def test_without_a_terminal_there_is_an_error(ends: Ends) -> None:
    with pytest.raises(OSError, match="No such file"):
        Tty("/dev/no-such-terminal", on_input=lambda _: None, on_drained=lambda: None, on_gone=lambda: None)
