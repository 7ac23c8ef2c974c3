"""The part of the engine that the console uses, as protocols. Tests implement them without an engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from console.domain.run import Run, RunId, StopReason

if TYPE_CHECKING:
    from console.domain.task import Stage
    from console.engine.models import (
        AuditEntry,
        AuditFilter,
        Cursor,
        HistoryFilter,
        KeyStatus,
        LaunchPreview,
        LaunchRequest,
        LaunchResult,
        Page,
        PauseResult,
        RunDetail,
        Snapshot,
        TaskRollout,
    )
    from console.engine.prompts import PromptComparison
    from console.engine.scheduling.agenda import Agenda
    from console.engine.scheduling.daily_demand import DailyDemand
    from console.engine.settings import EngineSettings
    from console.engine.usage import UsageQuery, UsageReport


class QueriesPort(Protocol):
    """Read operations. Each may raise StoreError."""

    async def snapshot(self) -> Snapshot:
        """The present state of all runs, caps and processes."""
        ...

    async def detail(self, run_id: RunId) -> RunDetail | None:
        """One run with its timeline and steps; None if there is no run with that id."""
        ...

    async def preview(self, request: LaunchRequest) -> LaunchPreview:
        """What a launch by hand would do. Raises LookupError for an unknown task, ValueError for an invalid date."""
        ...

    async def prompt(self, task: str) -> PromptComparison | None:
        """The prompt of a task in the config, beside that of the last approved run; None for an unknown task."""
        ...

    async def history(self, wanted: HistoryFilter, *, limit: int = 50, after: Cursor | None = None) -> Page:
        """The newest `limit` entries that match, or those after `after`. Skips and refusals are entries too."""
        ...

    async def count(self, wanted: HistoryFilter, *, at_most: int | None = None) -> int:
        """The number of entries that match; counting stops at `at_most`."""
        ...

    async def audit(self, wanted: AuditFilter, *, limit: int) -> tuple[tuple[AuditEntry, ...], bool]:
        """The newest `limit` acts of people that match, and whether there are more."""
        ...

    async def keys(self, keys: Iterable[str]) -> Mapping[str, KeyStatus]:
        """For each key: what a launch would meet now, and the number of attempts."""
        ...


class OperationsPort(Protocol):
    """Write operations. Each returns after the request is stored and logged. Each may raise StoreError."""

    async def launch(self, request: LaunchRequest) -> LaunchResult:
        """Launch, or say why not. Raises LookupError for an unknown task, ValueError for an invalid date."""
        ...

    async def stop(self, run_id: RunId, *, by: str, reason: StopReason = StopReason.OPERATOR, why: str = "") -> Run:
        """Store the request to stop and send the first cancel. `why` is the person's reason, for the record."""
        ...

    async def stop_all(self, *, by: str) -> tuple[Run, ...]:
        """Stop every live or unconfirmed run."""
        ...

    async def pause(self, *, by: str, cancel: bool = False, why: str = "") -> PauseResult:
        """Refuse all launches until `resume`; with `cancel`, also stop all runs. `why` is the person's reason."""
        ...

    async def resume(self, *, by: str, why: str = "") -> None:
        """Allow launches again. `why` is the person's reason."""
        ...

    async def approve(self, run_id: RunId, *, by: str, why: str = "") -> LaunchResult:
        """Approve a proposal and launch it. `why` is the person's reason, for the record."""
        ...

    async def decline(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """Decline a proposal."""
        ...

    async def settle_adopt(self, run_id: RunId, remote_id: str, *, by: str, reason: str) -> Run:
        """Settle an unconfirmed run: it has this id at the provider, and is monitored from now on."""
        ...

    async def settle_not_launched(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """Settle an unconfirmed run: nothing was launched; the hold is released."""
        ...

    async def settle_write_off(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """Settle a run whose end cannot be known: the whole hold counts as used."""
        ...


class RolloutPort(Protocol):
    """Stages and schedules of tasks."""

    async def tasks(self) -> tuple[TaskRollout, ...]:
        """All tasks of the config with their stages and evidence."""
        ...

    async def demand(self, name: str) -> DailyDemand | None:
        """The most that the schedule of a task can take in a day; None without a schedule."""
        ...

    async def move(self, name: str, to: Stage, *, by: str, reason: str, forced: bool = False) -> TaskRollout:
        """Promote or demote a task by one stage. Raises OperationRefused if that is not allowed."""
        ...


class UsagePort(Protocol):
    """Usage, computed from the log."""

    async def report(self, query: UsageQuery) -> UsageReport:
        """The usage of the period that ends today."""
        ...


class AgendaPort(Protocol):
    """What the schedules are going to do."""

    async def upcoming(self, hours: int) -> Agenda:
        """All scheduled times of the next `hours`, and what each will do as things stand."""
        ...


class EnginePort(Protocol):
    """The engine."""

    @property
    def settings(self) -> EngineSettings:
        """Tasks, caps and permissions of this process."""
        ...

    @property
    def queries(self) -> QueriesPort:
        """The read operations."""
        ...

    @property
    def operations(self) -> OperationsPort:
        """The write operations."""
        ...

    @property
    def rollout(self) -> RolloutPort:
        """Stages and schedules of tasks."""
        ...

    @property
    def usage(self) -> UsagePort:
        """The usage reports."""
        ...

    @property
    def agenda(self) -> AgendaPort:
        """What the schedules are going to do."""
        ...

    @property
    def guarded(self) -> frozenset[RunId]:
        """The runs that this process supervises."""
        ...
