"""The systemd notification protocol: a datagram when the service is ready, while it works, and when it stops.

https://www.freedesktop.org/software/systemd/man/sd_notify.html. Kept apart because it is a protocol of its own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceManager:
    """The service manager that started this process. Without one, nothing is sent."""

    address: str | None = None
    """The socket: a path, or a name that begins with a NUL byte (an abstract socket)."""
    watchdog_s: float | None = None
    """Seconds within which it expects a keep-alive message; None if it expects none."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ServiceManager:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; a malformed value counts as missing."""
        named = environment.get("NOTIFY_SOCKET", "")
        address = "\0" + named[1:] if named.startswith("@") else named
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        asked = environment.get("WATCHDOG_USEC", "")
        watchdog = int(asked) / 1_000_000 if for_us and asked.isascii() and asked.isdigit() and int(asked) else None
        usable = named.startswith(("/", "@")) and len(named) > 1
        return cls(address=address if usable else None, watchdog_s=watchdog if usable else None)

    def ready(self, status: str) -> None:
        """Report that the service works. `status` is one sanitized line for `systemctl status`."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """Report that the service still works."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Report that the service is stopping."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self.address is None:
            return
        # Nothing depends on whether the manager receives it.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode("utf-8"), self.address)
