"""The one request that starts a run: on a new connection, without retries or redirects, within one deadline.

Kept apart because it is the only request whose repetition could start a second run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

from console.provider.contract import NotSent, Verdict
from console.provider.http.client import Client
from console.provider.http.clients import Bounds, ClientFactory
from console.provider.http.errors import ErrorReader
from console.provider.http.exchange import TransportFailure, exchange
from console.provider.http.verdict import ReadLaunched, RefusalRules, verdict_of_failure, verdict_of_reply


class StartCall:
    """Sends launch requests to one service and judges what they prove."""

    def __init__(self, clients: ClientFactory, bounds: Bounds, errors: ErrorReader, rules: RefusalRules) -> None:
        self._clients = clients
        self._bounds = bounds
        self._errors = errors
        self._rules = rules

    async def send(
        self,
        address: str,
        body: Callable[[], bytes],
        read_launched: ReadLaunched,
        headers: Mapping[str, str] | None = None,
    ) -> Verdict:
        """POST what `body` returns to `address` once. Never raises for a network failure.

        `body` raises ValueError for an order that cannot be written; nothing is sent then. `headers` are sent beside
        those of every request. `read_launched` reads the JSON of a successful reply.
        """
        try:
            client = self._clients.fresh(read_s=self._bounds.create_s)
            request = self._request(client, address, body(), headers or {})
        except ValueError:
            # Its text may quote the prompt.
            return NotSent(why="the order cannot be written as JSON: the prompt, a tool or the network setting")
        outcome = await exchange(client, request, deadline_s=self._bounds.create_s, limit=self._bounds.body_bytes)
        if isinstance(outcome, TransportFailure):
            return verdict_of_failure(outcome, self._errors)
        return verdict_of_reply(outcome, self._errors, self._rules, read_launched)

    @staticmethod
    def _request(client: Client, address: str, content: bytes, headers: Mapping[str, str]) -> httpx.Request:
        usual = {"content-type": "application/json", "connection": "close"}
        return client.build_request("POST", address, content=content, headers={**usual, **headers})
