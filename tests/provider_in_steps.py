"""A provider whose calls a test surrounds: to die before or after them, to raise, to let time pass."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from console.provider.contract import (
    CancelAnswer,
    LaunchOrder,
    LostLaunch,
    Provider,
    RemoteRun,
    Resolution,
    Unstarted,
    Verdict,
)
from console.provider.traits import Traits

T = TypeVar("T")


class Around(Protocol):
    """Awaits one call, named after its method, and does what the test wants before and after it."""

    async def __call__(self, step: str, call: Coroutine[Any, Any, T], /) -> T: ...


class ProviderInSteps:
    """Passes every call on to another provider, those that change or show a run through `around`.

    `follow` is left to subclasses: what a test does to an event stream has nothing in common.
    """

    def __init__(self, inner: Provider, around: Around) -> None:
        self._inner = inner
        self._around = around

    @property
    def traits(self) -> Traits:
        return self._inner.traits

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        return await self._inner.review(order)

    async def prepared_exists(self, prepared_id: str) -> bool:
        return await self._inner.prepared_exists(prepared_id)

    async def unstarted(self) -> tuple[Unstarted, ...]:
        return await self._inner.unstarted()

    async def resolve(self, lost: LostLaunch) -> Resolution:
        return await self._around("resolve", self._inner.resolve(lost))

    async def prepare(self, order: LaunchOrder) -> str:
        return await self._around("prepare", self._inner.prepare(order))

    async def discard(self, prepared_id: str) -> None:
        await self._around("discard", self._inner.discard(prepared_id))

    async def create(self, order: LaunchOrder) -> Verdict:
        return await self._around("create", self._inner.create(order))

    async def get(self, remote_id: str) -> RemoteRun:
        return await self._around("get", self._inner.get(remote_id))

    async def cancel(self, remote_id: str) -> CancelAnswer:
        return await self._around("cancel", self._inner.cancel(remote_id))

    async def aclose(self) -> None:
        await self._inner.aclose()
