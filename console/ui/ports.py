"""What the screen asks of an engine, and no more: reading and acting. The engine outlives the screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from console.domain.run import Run, RunId, StopReason

if TYPE_CHECKING:
    from console.domain.task import Stage
    from console.engine.models import (
        Cursor,
        HistoryFilter,
        KeyStatus,
        LaunchPreview,
        LaunchRequest,
        LaunchResult,
        Page,
        RunDetail,
        Snapshot,
        TaskRollout,
    )
    from console.engine.settings import EngineSettings
    from console.engine.usage import UsageQuery, UsageReport


class QueriesPort(Protocol):
    """Reading. Everything may raise StoreError."""

    async def snapshot(self) -> Snapshot:
        """One look at the state folder."""
        ...

    async def detail(self, run_id: RunId) -> RunDetail | None:
        """One run whole; None where there is none of that id."""
        ...

    async def preview(self, request: LaunchRequest) -> LaunchPreview:
        """What a launch by hand would be now. Raises LookupError for an unknown task, ValueError for a bad date."""
        ...

    async def history(self, wanted: HistoryFilter, *, limit: int = 50, after: Cursor | None = None) -> Page:
        """The newest `limit` entries that fit, skips and refusals too, or those after `after`."""
        ...

    async def count(self, wanted: HistoryFilter, *, at_most: int | None = None) -> int:
        """How many entries fit; counting ends at `at_most`."""
        ...

    async def keys(self, keys: Iterable[str]) -> Mapping[str, KeyStatus]:
        """What a launch of each key would meet, and how many attempts it had."""
        ...


class OperationsPort(Protocol):
    """Acting. Each returns once what was asked is stored and in the log; everything may raise StoreError."""

    async def launch(self, request: LaunchRequest) -> LaunchResult:
        """Launches, or says why not. Raises LookupError for an unknown task, ValueError for a bad date."""
        ...

    async def stop(self, run_id: RunId, *, by: str, reason: StopReason = StopReason.OPERATOR) -> Run:
        """Stores the wish and sends the first cancel."""
        ...

    async def stop_all(self, *, by: str) -> tuple[Run, ...]:
        """The same for all that is live or unconfirmed."""
        ...

    async def pause(self, *, by: str, cancel: bool = False) -> tuple[Run, ...]:
        """The kill switch: no launch until `resume`; with `cancel` all runs are asked to stop."""
        ...

    async def resume(self, *, by: str) -> None:
        """Launches are allowed again."""
        ...

    async def approve(self, run_id: RunId, *, by: str) -> LaunchResult:
        """A person says yes to a proposal."""
        ...

    async def decline(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """A person says no to a proposal."""
        ...

    async def settle_adopt(self, run_id: RunId, remote_id: str, *, by: str, reason: str) -> Run:
        """The run is that one at the provider; it is followed from now on."""
        ...

    async def settle_not_launched(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """A person found that nothing was launched; the hold is released."""
        ...

    async def settle_write_off(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """Nobody will know; the books close at the hold."""
        ...


class RolloutPort(Protocol):
    """Stages and schedules."""

    async def tasks(self) -> tuple[TaskRollout, ...]:
        """Every task of the config."""
        ...

    async def move(self, name: str, to: Stage, *, by: str, reason: str, forced: bool = False) -> TaskRollout:
        """One rung. Raises ActRefused for a step that may not be taken."""
        ...


class UsagePort(Protocol):
    """What was used, from the log."""

    async def report(self, query: UsageQuery) -> UsageReport:
        """The period that ends today."""
        ...


class EnginePort(Protocol):
    """The facade."""

    @property
    def settings(self) -> EngineSettings:
        """Tasks, caps and what this process may do."""
        ...

    @property
    def queries(self) -> QueriesPort:
        """Reading."""
        ...

    @property
    def operations(self) -> OperationsPort:
        """Acting."""
        ...

    @property
    def rollout(self) -> RolloutPort:
        """Stages and schedules."""
        ...

    @property
    def usage(self) -> UsagePort:
        """What was used."""
        ...

    @property
    def guarded(self) -> frozenset[RunId]:
        """Runs that this process guards."""
        ...
