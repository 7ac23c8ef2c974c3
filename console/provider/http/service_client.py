"""Calls that are safe to repeat: their deadline, their retries, and the errors they raise."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import lru_cache

import httpx

from console.provider.contract import CancelAnswer, NotFound, ProviderError, Unavailable
from console.provider.http.address import escaped
from console.provider.http.client import Client
from console.provider.http.clients import Bounds, ClientFactory
from console.provider.http.errors import ErrorReader, TransientError
from console.provider.http.exchange import Reply, TransportFailure, exchange, opened_stream, read_reply
from console.provider.http.json_narrowing import parsed

ERROR_BODY_BYTES = 1 << 16
"""Bytes read of an error reply to a stream request."""

NO_ANSWERS = frozenset({401, 402, 403, 408, 425, 429, 499})
"""4xx statuses that say nothing about the run to be cancelled."""

STREAM_HEADERS = {"accept": "text/event-stream", "accept-encoding": "identity", "cache-control": "no-store"}


@lru_cache(maxsize=4096)
def _url(address: str) -> httpx.URL:
    """Parse an address once: a run is polled again and again."""
    return httpx.URL(address)


class ServiceClient:
    """Sends requests to one service over a bounded number of connections of its own.

    A request that finds all of them busy waits within its deadline, in the order of asking. Each call raises
    ProviderError if there is no reply.
    """

    def __init__(
        self, root: str, clients: ClientFactory, bounds: Bounds, errors: ErrorReader, *, connections: int
    ) -> None:
        self.root = root
        self._clients = clients
        self._bounds = bounds
        self.errors = errors
        self._connections = connections
        self._slots: asyncio.Semaphore | None = None
        self._idle: list[Client] = []
        """Clients of one connection each: a pool of many looks through all of them at every request."""

    def address(self, collection: str, opaque_id: str) -> str:
        """Return the URL of one resource. Raises NotFound for what cannot be an id."""
        try:
            return f"{self.root}/{collection}/{escaped(opaque_id)}"
        except ValueError as error:
            raise NotFound(str(error)) from None

    async def once(
        self, method: str, address: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request, with `headers` beside those of every request. A reply with any HTTP status is returned."""
        return await self._answer(method, address, content, self._bounds.call_s, headers)

    async def with_retry(self, method: str, address: str) -> Reply:
        """Send a request as `once` does, and repeat it after a broken connection or a 5xx without a requested wait.

        All attempts and pauses share one deadline; the last error is raised.
        """
        loop, pause_s = asyncio.get_running_loop(), self._bounds.pause_s
        end = loop.time() + self._bounds.call_s
        for doublings in range(self._bounds.attempts - 1):
            try:
                return await self._steady(method, address, end)
            except TransientError:
                wait_s = min(pause_s * 2**doublings + random.uniform(0.0, 2 * pause_s), 10 * pause_s)
                if loop.time() + wait_s >= end:
                    raise
            await asyncio.sleep(wait_s)
        return await self._steady(method, address, end)

    async def _steady(self, method: str, address: str, end: float) -> Reply:
        reply = await self._answer(method, address, None, end - asyncio.get_running_loop().time())
        if not reply.is_success and isinstance(error := self.errors.exception(reply), TransientError):
            raise error
        return reply

    async def _answer(
        self,
        method: str,
        address: str,
        content: bytes | None,
        deadline_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        if self._slots is None:
            self._slots = asyncio.Semaphore(self._connections)
        slots = self._slots
        end = asyncio.get_running_loop().time() + deadline_s
        with suppress(TimeoutError):
            async with asyncio.timeout_at(end) as waiting:
                await slots.acquire()
        if waiting.expired():
            raise Unavailable(f"all {self._connections} connections were busy for {deadline_s:.3g} s")
        client = self._idle.pop() if self._idle else self._clients.kept()
        try:
            typed = {} if content is None else {"content-type": "application/json"}
            request = client.build_request(method, _url(address), content=content, headers={**typed, **(headers or {})})
            left_s = end - asyncio.get_running_loop().time()
            outcome = await exchange(nullcontext(client), request, deadline_s=left_s, limit=self._bounds.body_bytes)
        finally:
            slots.release()
            if self._slots is slots:
                self._idle.append(client)
            else:
                await client.aclose()
        if isinstance(outcome, TransportFailure):
            raise self.errors.failure_exception(outcome)
        return outcome

    @asynccontextmanager
    async def stream(self, address: str) -> AsyncIterator[httpx.Response]:
        """Open an event stream on its own connection; it is closed after the block. Raises ProviderError."""
        client = self._clients.fresh(read_s=self._bounds.silence_s)
        request = client.build_request("GET", address, headers=STREAM_HEADERS)
        async with opened_stream(client, request, deadline_s=self._bounds.call_s) as opened:
            if isinstance(opened, TransportFailure):
                raise self.errors.failure_exception(opened)
            if opened.status_code != httpx.codes.OK:
                raise await self._refused_stream(opened)
            yield opened

    async def _refused_stream(self, response: httpx.Response) -> ProviderError:
        try:
            reply = await read_reply(response, ERROR_BODY_BYTES)
        except Exception:  # the status is known, whatever is wrong with the body
            reply = Reply(status=response.status_code, headers={}, body=b"")
        return self.errors.exception(reply)

    def value(self, reply: Reply) -> object:
        """Return the JSON of a successful reply. Raises ProviderError for any other."""
        if not reply.is_success:
            raise self.errors.exception(reply)
        try:
            return parsed(reply.body)
        except ValueError:
            raise Unavailable(f"HTTP {reply.status} without readable JSON") from None

    def cancel_answer(self, reply: Reply, said: Callable[[Reply], str]) -> CancelAnswer:
        """Return what a reply to a cancel request says of the run; `said` is the line for an accepted one.

        Raises ProviderError for a reply that says nothing about the run.
        """
        wait = self.errors.retry_after(reply)
        if reply.is_success:
            return CancelAnswer(accepted=True, said=said(reply), retry_after_s=wait)
        if not 400 <= reply.status < 500 or reply.status in NO_ANSWERS:
            raise self.errors.exception(reply)
        return CancelAnswer(accepted=False, said=self.errors.explain(reply), retry_after_s=wait)

    async def aclose(self) -> None:
        """Close the kept connections."""
        idle, self._idle, self._slots = self._idle, [], None
        for client in idle:
            await client.aclose()
