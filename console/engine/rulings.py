"""What only a person can say: what became of a run that nobody knows about. Each ruling is stored with its reason."""

from __future__ import annotations

from console.domain.run import Run, RunId, State
from console.engine.errors import ActRefused
from console.engine.parts import Parts
from console.provider.contract import ProviderError


class Rulings:
    """The part of the desk for unconfirmed runs and for stops without proof."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def settle_adopt(self, run_id: RunId, remote_id: str, *, by: str, reason: str) -> Run:
        """An unconfirmed run is `remote_id`, which must carry its label. Raises ActRefused, LookupError."""
        run = await self._unconfirmed(run_id, reason)
        try:
            remote = await self._parts.provider.get(remote_id)
        except ProviderError as error:
            raise ActRefused(f"the provider does not show {remote_id}: {error}") from error
        if remote.labels.get("nightdesk-run") != run.id:
            raise ActRefused(f"{remote_id} does not carry the label of run {run.id}: it is another launch")
        now = self._parts.clock.now()
        adopted = await self._parts.store.runs.adopt(run, remote_id=remote_id, by=by, reason=reason, now=now)
        await self._parts.scribe.flush()
        return adopted

    async def settle_not_launched(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """The operator rules that nothing runs. Its own sandbox is deleted first, so that a late packet finds none.

        Raises ActRefused where that does not work, LookupError.
        """
        run = await self._unconfirmed(run_id, reason)
        if run.sandbox_own and run.sandbox_id is not None:
            try:
                await self._parts.provider.delete_sandbox(run.sandbox_id)
            except ProviderError as error:
                raise ActRefused(f"its sandbox could not be deleted first: {error}") from error
        now = self._parts.clock.now()
        ruled = await self._parts.store.runs.rule_not_launched(run, by=by, reason=reason, now=now)
        await self._parts.scribe.flush()
        return ruled

    async def settle_write_off(self, run_id: RunId, *, by: str, reason: str) -> Run:
        """The books close at the hold. For unconfirmed runs, and for stops without proof after their alarm.

        Raises ActRefused, LookupError.
        """
        run = await self._run(run_id)
        alarmed = run.state is State.STOPPING and run.stop is not None and run.stop.alarmed
        if not alarmed:
            run = await self._unconfirmed(run_id, reason)
        needs(reason)
        now = self._parts.clock.now()
        written_off = await self._parts.store.runs.write_off(run, by=by, reason=reason, now=now)
        await self._parts.scribe.flush()
        return written_off

    async def _run(self, run_id: RunId) -> Run:
        run = await self._parts.store.runs.get(run_id)
        if run is None:
            raise LookupError(f"no run has the id {run_id}")
        return run

    async def _unconfirmed(self, run_id: RunId, reason: str) -> Run:
        needs(reason)
        run = await self._run(run_id)
        if run.state is not State.UNCONFIRMED:
            raise ActRefused(f"run {run_id} is {run.state}: only an unconfirmed run is settled by hand")
        return run


def needs(reason: str) -> None:
    """Raises ActRefused for an empty reason."""
    if not reason.strip():
        raise ActRefused("this takes a reason")
