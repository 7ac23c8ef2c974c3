"""What the adapter of a service sends with: one key, one redaction, and three ways that share no connection.

A launch has a connection of its own, polls share some, and calls that stop, read or clean up share others: however
many polls wait, a cancel does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypedDict, Unpack

from console.provider.http.address import service_root
from console.provider.http.clients import Bounds, ClientFactory, Route, ServiceHeaders, TransportFactory
from console.provider.http.errors import ErrorReader, ParseError
from console.provider.http.redaction import Redactor
from console.provider.http.secret import Secret
from console.provider.http.service_client import ServiceClient
from console.provider.http.start_call import StartCall
from console.provider.http.verdict import RefusalRules


class ConnectionOptions(TypedDict, total=False):
    """What the adapters of all services may be given.

    `hidden` are prompts and system instructions to mask in texts of the service, beside those that the adapter launches
    or reads itself. Tests pass `transport` in place of the network; it is called again for every launch. `wall` returns
    Unix time in seconds; it stands in for the date of a reply that has none.
    """

    bounds: Bounds
    route: Route | None
    transport: TransportFactory
    hidden: Iterable[str]
    wall: Callable[[], float]


class ServiceConnections:
    """The connections to one host with one key. For one event loop at a time."""

    def __init__(
        self,
        base_url: str,
        version: str,
        secret: Secret,
        *,
        headers: ServiceHeaders,
        parse_error: ParseError,
        refusals: RefusalRules,
        **options: Unpack[ConnectionOptions],
    ) -> None:
        """Raises ValueError for a `base_url` that would send the key unencrypted, or an unusable CA file.

        `version` is the path below `base_url` that all calls share.
        """
        self.root = service_root(base_url, version)
        self.bounds = options.get("bounds") or Bounds()
        self.redactor = Redactor(secret, options.get("hidden", ()))
        self.errors = ErrorReader(parse_error, self.redactor)
        clients = ClientFactory(
            self.root,
            secret,
            self.bounds,
            headers=headers,
            route=options.get("route"),
            transport=options.get("transport"),
            wall=options.get("wall", time.time),
        )
        self.start = StartCall(clients, self.bounds, self.errors, refusals)
        """The one call that starts a run."""
        self.polls = self._service_client(clients, self.bounds.poll_connections)
        self.controls = self._service_client(clients, self.bounds.control_connections)
        """Calls that never wait behind polls."""

    def _service_client(self, clients: ClientFactory, connections: int) -> ServiceClient:
        return ServiceClient(self.root, clients, self.bounds, self.errors, connections=connections)

    async def aclose(self) -> None:
        """Close all of them."""
        await self.polls.aclose()
        await self.controls.aclose()
