"""Writes while a run lives: what it used, what it does, and who guards it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from console.domain.moment import Moment
from console.domain.run import Run, RunId, State
from console.domain.usage import Usage
from console.store import records
from console.store.database import Transaction
from console.store.errors import StaleRun
from console.store.rows import Columns, Progress, StepRow, at_most, storable, usage_columns
from console.store.sending import Sending, needs
from console.store.statements import change, one, write_event

UPSERT_STEP = """
    insert into steps (run_id, n, kind, text, at_ms, units, done)
    values (:run_id, :n, :kind, :text, :at_ms, :units, :done)
    on conflict (run_id, n) do update set
        kind = excluded.kind,
        text = excluded.text,
        units = max(units, excluded.units),
        done = max(done, excluded.done)
"""

OBSERVED = "select 1 from events where run_id = :run_id and kind = 'observed' limit 1"


class Following(Sending):
    """The part of `Runs` while the provider works."""

    async def record_progress(self, run: Run, progress: Progress, now: Moment) -> Run:
        """Figures of a live run; the state stays. Cumulative ones never shrink. A stall that begins is noted."""

        async def unit(tx: Transaction) -> Run:
            needs(run, State.RUNNING, State.STOPPING)
            changed = await change(tx, run, _progress_columns(run, progress))
            if progress.stalled and not run.stalled:
                quiet = now.wall_ms - (progress.last_step_ms or (run.sent.wall_ms if run.sent else now.wall_ms))
                record = records.note("stall", {"quiet": f"{max(0, quiet) // 1000}s"}, run, now.wall_ms)
                await write_event(tx, "stall", now.wall_ms, run=run, record=record)
            return changed

        return await self._database.transaction(unit)

    async def save_steps(self, run_id: RunId, steps: Sequence[StepRow], now: Moment) -> None:
        """Steps by their index, new ones and known ones again. A step's first sight and its end stay."""
        if not steps:
            return

        async def unit(tx: Transaction) -> None:
            await tx.executemany(UPSERT_STEP, [_step_columns(run_id, step) for step in steps])

        await self._database.transaction(unit)

    async def take_over(self, run: Run, *, owner: str, now: Moment) -> Run | None:
        """The run under `owner` and the next fence; None where its row is not as in `run` any more.

        Whoever held it before can write nothing from here on.
        """

        async def unit(tx: Transaction) -> Run:
            taken = await change(tx, run, {"owner": owner, "fence": run.fence + 1})
            await write_event(tx, "taken_over", now.wall_ms, run=run, owner=owner, before=run.owner, fence=taken.fence)
            return taken

        try:
            return await self._database.transaction(unit)
        except StaleRun:
            return None

    async def record_observed(self, runs: Sequence[Run], *, by: str, now: Moment) -> None:
        """A console was open while these runs were under way; evidence for their rollout. Once per run."""

        async def unit(tx: Transaction) -> None:
            for run in runs:
                if await one(tx, OBSERVED, {"run_id": run.id}) is None:
                    await write_event(tx, "observed", now.wall_ms, run=run, by=by)

        await self._database.transaction(unit)

    async def note(self, *, event: str, fields: Mapping[str, str], run: Run | None, now: Moment) -> None:
        """A line of the log for something that is no launch and no ending. Raises ValueError for a bad field name."""
        record = records.note(event, fields, run, now.wall_ms)

        async def unit(tx: Transaction) -> None:
            await write_event(tx, event, now.wall_ms, run=run, record=record, **dict(fields))

        await self._database.transaction(unit)


def figure_columns(run: Run, usage: Usage, used: int) -> Columns:
    """Usage as it will stand: the provider's figures are cumulative, so the larger one is the newer one."""
    return {**usage_columns(run.usage.highest(usage)), "used": max(run.used, at_most(used))}


def _progress_columns(run: Run, progress: Progress) -> Columns:
    return {
        **figure_columns(run, progress.usage, progress.used),
        "usage_known": int(progress.usage_known or run.usage_known),
        "largest_step": max(run.largest_step, at_most(progress.largest_step)),
        "remote_status": progress.remote_status,
        "trouble": progress.trouble,
        "stalled": int(progress.stalled),
        "polled_ms": progress.polled_ms,
        "last_step": progress.last_step,
        "last_step_ms": progress.last_step_ms,
        "steps": max(run.steps, at_most(progress.steps)),
        "cost_micro": None if progress.cost_micro is None else at_most(progress.cost_micro),
        "currency": progress.currency,
    }


def _step_columns(run_id: RunId, step: StepRow) -> Columns:
    return {
        "run_id": run_id,
        "n": step.index,
        "kind": storable(step.kind),
        "text": storable(step.text),
        "at_ms": step.at_ms,
        "units": at_most(step.units),
        "done": int(step.done),
    }
