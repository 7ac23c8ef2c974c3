"""Sends requests over one transport, with what every request carries.

In place of the client of httpx, which also follows redirects, keeps cookies, reads the environment and signs requests.
Nothing of that may happen here, and switched off it still takes a fifth of the CPU time of a poll.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpx


class Client:
    """One client; closed at the end of its `async with` block, or by `aclose`."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, *, headers: Mapping[str, str], read_s: float, connect_s: float
    ) -> None:
        """`headers` are sent with every request.

        `read_s` is the longest wait for the next bytes, `connect_s` that for a connection, in seconds.
        """
        self._transport = transport
        self._headers = {**headers, "connection": "keep-alive"}
        self._timeout = httpx.Timeout(read_s, connect=connect_s, pool=connect_s).as_dict()

    def build_request(
        self,
        method: str,
        address: str | httpx.URL,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Request:
        """Return a request; `headers` are sent beside or in place of those of every request.

        Raises httpx.InvalidURL, ValueError.
        """
        own = {name.lower(): value for name, value in (headers or {}).items()}
        return httpx.Request(
            method,
            address,
            headers={**self._headers, **own},
            content=content,
            extensions={"timeout": self._timeout},
        )

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Return the reply, whose body is still to be read, and which is to be closed. Raises the errors of httpx."""
        response = await self._transport.handle_async_request(request)
        response.request = request
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
