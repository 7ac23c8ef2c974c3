"""Calls that are harmless when doubled: their deadline, their few repetitions, and the errors they end in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import httpx
import stamina

from console.provider.contract import NotFound, ProviderError, Unavailable, Unsupported
from console.provider.http.address import escaped
from console.provider.http.clients import Bounds, Clients
from console.provider.http.errors import (
    Redact,
    TransientError,
    cleaned,
    explained,
    is_unknown_route,
    provider_error,
    unreachable,
)
from console.provider.http.exchange import FailureKind, Reply, TransportFailure, exchange, opened_stream, read_reply
from console.provider.http.json_narrowing import parsed

ERROR_BODY_BYTES = 1 << 16
"""Read of an error that came instead of a stream."""

STREAM_HEADERS = {"accept": "text/event-stream", "accept-encoding": "identity", "cache-control": "no-store"}


def _keep_off_stderr(logger: logging.Logger) -> None:
    """A logger without any handler writes warnings to stderr: across the screen, and into the mails of cron."""
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


class ServiceClient:
    """Requests to one service. Each raises ProviderError, with one cleaned line, where no answer came."""

    def __init__(self, root: str, clients: Clients, bounds: Bounds, redact: Redact) -> None:
        self.root = root
        self._clients = clients
        self._bounds = bounds
        self._redact = redact
        self._shared: httpx.AsyncClient | None = None
        _keep_off_stderr(logging.getLogger("stamina"))

    def address(self, collection: str, opaque_id: str) -> str:
        """Where the thing with that id is. Raises Gone for what cannot be an id."""
        try:
            return f"{self.root}/{collection}/{escaped(opaque_id)}"
        except ValueError as error:
            raise NotFound(str(error)) from None

    async def once(self, method: str, address: str, content: bytes | None = None) -> Reply:
        """One exchange; any HTTP status is an answer."""
        return await self._answer(method, address, content, self._bounds.call_s)

    async def with_retry(self, method: str, address: str) -> Reply:
        """As `once`, tried again where the connection broke or a 5xx without a wish to wait came.

        All tries and the pauses between them share one deadline; the last error is raised.
        """
        end = asyncio.get_running_loop().time() + self._bounds.call_s
        caller = stamina.AsyncRetryingCaller(
            attempts=self._bounds.attempts,
            timeout=self._bounds.call_s,
            wait_initial=self._bounds.pause_s,
            wait_max=10 * self._bounds.pause_s,
            wait_jitter=2 * self._bounds.pause_s,
        )
        return await caller(TransientError, self._steady, method, address, end)

    async def _steady(self, method: str, address: str, end: float) -> Reply:
        reply = await self._answer(method, address, None, end - asyncio.get_running_loop().time())
        if not reply.is_success and isinstance(error := self.error(reply), TransientError):
            raise error
        return reply

    async def _answer(self, method: str, address: str, content: bytes | None, deadline_s: float) -> Reply:
        if self._shared is None:
            self._shared = self._clients.shared()
        headers = {} if content is None else {"content-type": "application/json"}
        request = self._shared.build_request(method, address, content=content, headers=headers)
        outcome = await exchange(
            nullcontext(self._shared), request, deadline_s=deadline_s, limit=self._bounds.body_bytes
        )
        if isinstance(outcome, TransportFailure):
            raise self._fault_error(outcome)
        return outcome

    @asynccontextmanager
    async def stream(self, address: str) -> AsyncIterator[httpx.Response]:
        """The open event stream, on a connection of its own; closed at the end of the block."""
        client = self._clients.fresh(read_s=self._bounds.silence_s)
        request = client.build_request("GET", address, headers=STREAM_HEADERS)
        async with opened_stream(client, request, deadline_s=self._bounds.call_s) as opened:
            if isinstance(opened, TransportFailure):
                raise self._fault_error(opened)
            if opened.status_code != httpx.codes.OK:
                raise await self._refused_stream(opened)
            yield opened

    async def _refused_stream(self, response: httpx.Response) -> ProviderError:
        try:
            reply = await read_reply(response, ERROR_BODY_BYTES)
        except Exception:  # whatever is wrong with its body, the status is known
            reply = Reply(status=response.status_code, headers={}, body=b"")
        return self.error(reply)

    def error(self, reply: Reply) -> ProviderError:
        """What to raise for an answer that is no success."""
        return provider_error(reply, self._redact)

    def explained(self, reply: Reply) -> str:
        """`HTTP 400: …`, safe to show."""
        return explained(reply, self._redact)

    def demand_route(self, reply: Reply) -> None:
        """Raises Unsupported where the service does not know the call; that is no word about the thing."""
        if is_unknown_route(reply):
            raise Unsupported(self.explained(reply))

    def value(self, reply: Reply) -> object:
        """The JSON of a success. Raises ProviderError for anything else."""
        if not reply.is_success:
            raise self.error(reply)
        try:
            return parsed(reply.body)
        except ValueError:
            raise Unavailable(f"HTTP {reply.status} without readable JSON") from None

    def _fault_error(self, fault: TransportFailure) -> ProviderError:
        why = self._redact(fault.why)
        match fault.kind:
            case FailureKind.NOT_CONNECTED:
                return unreachable(why)
            case FailureKind.SILENT | FailureKind.UNUSABLE:
                return Unavailable(cleaned(f"no usable answer: {why}"))
            case FailureKind.BROKEN:
                return TransientError(cleaned(f"no whole answer: {why}"))

    async def aclose(self) -> None:
        """Closes the connections that are kept."""
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.aclose()
