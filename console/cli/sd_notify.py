"""What systemd asks of a service of type notify: a word when it is ready, when it stops, and while it is alive.

One datagram each to the socket that NOTIFY_SOCKET names: https://www.freedesktop.org/software/systemd/man/sd_notify.html
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceManager:
    """Whoever started this service; nobody where the environment names none, and then nothing is sent."""

    address: str | None = None
    """A path, or a name that begins with a NUL byte: Linux's abstract sockets."""
    watchdog_s: float | None = None
    """Seconds within which it wants a sign of life; None: it asks for none."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ServiceManager:
        """As NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID have it; what is not well-formed counts as not there."""
        named = environment.get("NOTIFY_SOCKET", "")
        address = "\0" + named[1:] if named.startswith("@") else named
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        asked = environment.get("WATCHDOG_USEC", "")
        watchdog = int(asked) / 1_000_000 if for_us and asked.isascii() and asked.isdigit() and int(asked) else None
        usable = named.startswith(("/", "@")) and len(named) > 1
        return cls(address=address if usable else None, watchdog_s=watchdog if usable else None)

    def ready(self, status: str) -> None:
        """It works from here on. `status` is one cleaned line for `systemctl status`."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """It still works; to be said only by what would fall silent where it did not."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """It was told to go and is on its way."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self.address is None:
            return
        # A manager that does not listen is its own trouble: the work goes on.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode("utf-8"), self.address)
