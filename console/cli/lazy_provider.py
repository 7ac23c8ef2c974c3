"""A provider that is made when it is first asked for something: most commands never talk to one.

The HTTP library, and the API key, are left alone until then. A key that cannot be read then is no crash: nothing
is sent, and the engine hears why in its own words.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from console.provider.contract import (
    CancelAnswer,
    Denied,
    LaunchOrder,
    NotSent,
    Provider,
    RemoteRun,
    StreamEvent,
    Verdict,
)


class LazyProvider:
    """The port `console.provider.contract.Provider` over one that `make` makes."""

    def __init__(self, make: Callable[[], Provider]) -> None:
        """`make` raises ValueError, in one line, where there is no usable key."""
        self._make = make
        self._made: Provider | None = None

    def ready(self) -> Provider:
        """The provider itself. Raises ValueError; for commands that are pointless without one."""
        if self._made is None:
            self._made = self._make()
        return self._made

    async def create(self, order: LaunchOrder) -> Verdict:
        try:
            provider = self._asked()
        except Denied as error:
            return NotSent(why=str(error))
        return await provider.create(order)

    async def make_sandbox(self, *, network: str | None) -> str:
        return await self._asked().make_sandbox(network=network)

    async def sandbox_exists(self, sandbox_id: str) -> bool:
        return await self._asked().sandbox_exists(sandbox_id)

    async def delete_sandbox(self, sandbox_id: str) -> None:
        await self._asked().delete_sandbox(sandbox_id)

    async def get(self, remote_id: str) -> RemoteRun:
        return await self._asked().get(remote_id)

    def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        return self._asked().follow(remote_id)

    async def cancel(self, remote_id: str) -> CancelAnswer:
        return await self._asked().cancel(remote_id)

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made.aclose()

    def _asked(self) -> Provider:
        try:
            return self.ready()
        except ValueError as error:
            raise Denied(str(error)) from None
