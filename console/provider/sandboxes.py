"""Sandboxes made before the launch: their id is the handle that is left when the launch's answer is lost."""

from __future__ import annotations

from console.provider.calls import Calls
from console.provider.contract import Gone, ProviderError, Unavailable, Unsupported
from console.provider.order import sandbox_body
from console.provider.shape import members, opaque_id, text

COLLECTION = "environments"

GONE_STATUSES = frozenset({"expired", "deleted"})


class Sandboxes:
    """The Environments API."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def make(self, network: str | None) -> str:
        """A new sandbox's id. Tried once: a second try could leave an orphan. Raises Unsupported, ProviderError."""
        try:
            body = sandbox_body(network)
        except ValueError:
            raise ProviderError("the network setting of the sandbox is not JSON") from None
        reply = await self._calls.once("POST", f"{self._calls.root}/{COLLECTION}", body)
        self._calls.demand_route(reply)
        if reply.status == 501:
            raise Unsupported(self._calls.explained(reply))
        sandbox_id = opaque_id(members(self._calls.value(reply)).get("id"))
        if sandbox_id is None:
            raise Unavailable(f"HTTP {reply.status} without the id of a sandbox")
        return sandbox_id

    async def exists(self, sandbox_id: str) -> bool:
        """False where it is gone or expired. Raises ProviderError where the service does not say."""
        reply = await self._calls.patiently("GET", self._calls.address(COLLECTION, sandbox_id))
        self._calls.demand_route(reply)
        try:
            sandbox = members(self._calls.value(reply))
        except Gone:
            return False
        return text(sandbox.get("status"), 64).lower() not in GONE_STATUSES

    async def delete(self, sandbox_id: str) -> None:
        """Deletes it, or finds it gone. Raises ProviderError."""
        reply = await self._calls.patiently("DELETE", self._calls.address(COLLECTION, sandbox_id))
        self._calls.demand_route(reply)
        error = self._calls.error(reply)
        if not reply.is_success and not isinstance(error, Gone):
            raise error
