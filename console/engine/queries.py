"""What screens and commands show, read from the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from console.domain.fact_text import facts_text, words_of
from console.domain.formatting import zone_or_utc
from console.domain.launch import oldest_live_id
from console.domain.run import Run, RunId, State
from console.domain.task import Fingerprint, Task
from console.domain.text import sanitize
from console.engine.acting_user import MAX_BY
from console.engine.context import EngineContext
from console.engine.errors import StoreDamaged
from console.engine.live_runs import UNREADABLE, by_urgency, unreadable_line
from console.engine.models import (
    LAUNCHING,
    AuditEntry,
    AuditFilter,
    LaunchPreview,
    LaunchRequest,
    Owner,
    Pause,
    RunDetail,
    RunSelector,
    Snapshot,
    TimelineEvent,
    TypicalUsage,
)
from console.engine.operations import Operations
from console.engine.ownership import Ownership
from console.engine.problems import Problem, problems_path, read_published
from console.engine.prompts import PromptComparison, Prompts
from console.engine.rollout import Rollout
from console.engine.silent_hosts import SilentHosts
from console.provider.contract import shown_end
from console.store.history import Cursor, HistoryFilter, KeyStatus, Page
from console.store.rows import RunListing

RECENT = 50
OTHER_CONFIG = "other config"
"""Topic of the problem that another process judges by another config."""


class Queries:
    """Reads of the state folder for screens and commands. Each raises StoreError where the store does not answer."""

    def __init__(
        self, context: EngineContext, operations: Operations, rollout: Rollout, ownership: Ownership, folder: Path
    ) -> None:
        """`folder` is the state folder."""
        self._context = context
        self._operations = operations
        self._rollout = rollout
        self._ownership = ownership
        self._folder = folder
        self._prompts = Prompts(context.store.history)
        self._silent_hosts = SilentHosts()

    async def snapshot(self) -> Snapshot:
        """The state folder now."""
        self._prompts.remember(self._context.settings)
        store, settings, now = self._context.store, self._context.settings, self._context.clock.now()
        pause = await store.controls.paused()
        listing = await store.runs.list_open()
        owners = await self._known_owners()
        scheduler = owners.get(self._ownership.scheduler() or "")
        scheduler = scheduler if scheduler and scheduler.alive else None
        live, stages = by_urgency(listing.runs), await store.stages.all()
        unconfirmed = {run.task for run in live if run.state is State.UNCONFIRMED}
        return Snapshot(
            taken=now,
            live=live,
            recent=await store.history.recent(RECENT),
            cap_usages=await store.ledger.cap_usages(settings.caps, now),
            paused=Pause(since_ms=pause.since_ms, by=sanitize(pause.by, limit=MAX_BY)) if pause else None,
            owners=owners,
            scheduler=scheduler,
            schedules=scheduler is None and settings.schedules and self._context.has_some_key(),
            next_launch=self._rollout.next_launch(stages, unconfirmed),
            stages=stages,
            time_zone=settings.caps.time_zone,
            problems=(
                *self._unreadable(listing),
                *self._context.problems.entries(),
                *self._problems_of_others(owners),
                *self._silent_hosts.problems(
                    owners.values(), live, now_ms=now.wall_ms, time_zone=settings.caps.time_zone
                ),
            ),
            read_only=settings.read_only,
            round_trip_ms=self._ownership.round_trip_ms,
            queued=self._context.launch_queue.positions,
        )

    def _unreadable(self, listing: RunListing) -> tuple[Problem, ...]:
        """One problem for the rows of open runs that cannot be read: these runs are in no list."""
        if not listing.unreadable:
            return ()
        now_ms = self._context.clock.now().wall_ms
        text = unreadable_line([row.why for row in listing.unreadable])
        return (Problem(topic=UNREADABLE, text=text, since_ms=now_ms, last_ms=now_ms, count=1),)

    def _problems_of_others(self, owners: Mapping[str, Owner]) -> tuple[Problem, ...]:
        """What the other living processes of this state folder report."""
        found: list[Problem] = []
        here, now_ms = self._context.settings.fingerprint, self._context.clock.now().wall_ms
        for owner in owners.values():
            if not owner.alive or owner.mine:
                continue
            published = read_published(problems_path(self._folder, owner.id))
            found += published.problems
            if owner.kind in LAUNCHING and self._context.settings.tasks and published.config not in ("", here):
                text = f"this {owner.kind} uses another version of the config: restart it"
                found.append(
                    Problem(topic=OTHER_CONFIG, text=text, since_ms=now_ms, last_ms=now_ms, count=1, pid=owner.pid)
                )
        return tuple(found)

    async def _known_owners(self) -> dict[str, Owner]:
        mine = self._context.owner
        await self._ownership.refresh()
        return {
            row.id: Owner(
                id=row.id,
                kind=row.kind,
                pid=row.pid,
                alive=row.id == mine or self._ownership.is_alive(row.id),
                mine=row.id == mine,
                host=sanitize(self._ownership.host_of(row.id), limit=MAX_BY),
                beat_ms=row.beat_ms,
            )
            for row in await self._context.store.controls.owners()
        }

    async def find(self, selector: RunSelector) -> tuple[Run, ...]:
        """The runs that a run id, a unique prefix of one, or a key means; empty for none."""
        return await self._context.store.runs.find(selector)

    async def of_task(self, name: str) -> tuple[Run, ...]:
        """The open runs of a task, else its latest run; empty where it has none."""
        runs = tuple(run for run in await self._context.store.runs.open_runs() if run.task == name)
        if runs:
            return runs
        page = await self._context.store.history.page(HistoryFilter(tasks=(name,)), limit=RECENT)
        return tuple(run for run in page.runs if run.attempt)[:1]

    async def detail(self, run_id: RunId) -> RunDetail | None:
        """One run with its timeline, steps and attempts; None where there is none of that id."""
        store = self._context.store
        run = await store.runs.get(run_id)
        if run is None:
            return None
        price, zone = self._context.settings.price_of(run), zone_or_utc(self._context.settings.caps.time_zone)
        units = self._context.settings.units_of(run)
        return RunDetail(
            run=run,
            timeline=tuple(
                TimelineEvent(
                    at_ms=row.at_ms,
                    kind=words_of(row.kind),
                    text=sanitize(facts_text(row.detail, zone), limit=400),
                    facts={name: sanitize(str(value), limit=400) for name, value in row.detail.items()},
                )
                for row in await store.runs.timeline(run_id)
            ),
            steps=await store.runs.steps(run_id),
            attempts=await store.runs.by_key(run.key),
            changed_since=self._changed_since(run),
            worst_case_micro=price.worst_case(run.limits.budget, units, max_ms=run.limits.max_ms) if price else None,
            currency=price.currency if price else None,
            prepared=self._context.traits_of(run).prepares.value,
            evidence=await store.evidence.of(run.task) if run.state is State.PROPOSED else None,
        )

    async def prompt(self, task: str) -> PromptComparison | None:
        """The prompt of a task in the config, beside that of the last approved run; None for an unknown task."""
        settings = self._context.settings
        self._prompts.remember(settings)
        found = settings.task(task)
        return await self._prompts.compare(found) if found is not None else None

    def _changed_since(self, run: Run) -> tuple[str, ...]:
        task = self._context.settings.task(run.task)
        if task is None:
            return ("the task is no longer in the config",)
        return run.fingerprint.differences(Fingerprint.of(task))

    async def end_at_service(self, run: Run) -> str | None:
        """The final status that the service shows for a run, cleaned; None where it shows none or cannot be asked."""
        if run.remote_id is None or not self._context.settings.serves(run):
            return None
        return await shown_end(self._context.provider_of(run), run.remote_id)

    async def unrecorded_launches(self) -> tuple[RunId, ...]:
        """Launched runs of launch.journal without a row that can be read: nobody supervises them.

        Only runs that may still be live. Raises JournalError, StoreError.
        """
        oldest = oldest_live_id(self._context.settings.tasks, self._context.clock.now().wall_ms)
        found = []
        for run_id in self._context.launches.read():
            if run_id >= oldest:
                try:
                    known = await self._context.store.runs.get(run_id) is not None
                except StoreDamaged:
                    known = False
                if not known:
                    found.append(run_id)
        return tuple(found)

    async def preview(self, request: LaunchRequest) -> LaunchPreview:
        """What a launch of `request` would be now; nothing is written. Raises LookupError, ValueError."""
        settings, now = self._context.settings, self._context.clock.now()
        terms = self._operations.terms(request)
        decision = await self._context.store.claims.preview(request, terms, now)
        price = settings.prices.get(terms.task.model)
        stage = await self._context.store.stages.stage(terms.task.name)
        return LaunchPreview(
            task=terms.task,
            target=terms.task.target,
            date=terms.date,
            key=terms.key,
            stage=stage,
            limits=terms.limits,
            typical=await self.typical(terms.task),
            worst_case_micro=price.worst_case(terms.limits.budget, settings.units, max_ms=terms.limits.max_ms)
            if price
            else None,
            currency=price.currency if price else None,
            cap_usages=decision.cap_usages,
            answer=decision.kind,
            refusal=decision.refusal,
            holder=decision.key.holder,
            differences=decision.key.differences,
        )

    async def history(self, wanted: HistoryFilter, *, limit: int = 50, after: Cursor | None = None) -> Page:
        """The newest `limit` entries that fit, skips and refusals too, or those after `after`."""
        return await self._context.store.history.page(wanted, limit=limit, after=after)

    async def count(self, wanted: HistoryFilter, *, at_most: int | None = None) -> int:
        """How many entries fit; counting ends at `at_most`."""
        return await self._context.store.history.count(wanted, at_most=at_most)

    async def keys(self, keys: Iterable[str]) -> Mapping[str, KeyStatus]:
        """What a launch of each key would meet, and how many attempts it had."""
        return await self._context.store.history.keys(keys)

    async def audit(self, wanted: AuditFilter, *, limit: int) -> tuple[tuple[AuditEntry, ...], bool]:
        """The newest `limit` acts of people that fit, newest first and sanitized, and whether there are more."""
        entries, has_more = await self._context.store.audit.acts(wanted, limit=limit)
        cleaned = (
            replace(
                entry,
                by=sanitize(entry.by, limit=MAX_BY),
                why=sanitize(entry.why, limit=400),
                what=sanitize(entry.what, limit=200),
                host=sanitize(entry.host, limit=MAX_BY),
            )
            for entry in entries
        )
        return tuple(cleaned), has_more

    async def typical(self, task: Task) -> TypicalUsage | None:
        """What the past runs of `task` that ended ok used; None while there are none."""
        return await self._context.store.history.typical(task.name)
