"""Ids that came back from the service after another host had taken the run over and found it without one.

The launch journal is on the host that sent the request. So each host looks into its own for the ids of runs that are
unconfirmed: an id of the service is proof that the run was launched, by whichever process it is supervised now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from console.domain.run import IllegalTransition, Run, RunId, State
from console.engine.context import EngineContext
from console.engine.errors import StaleRun
from console.journal.log_files import JournalError


class LateIds:
    """Adopts the ids in the launch journal of this host for runs of the fleet; one round a tick."""

    def __init__(
        self,
        context: EngineContext,
        path: Path,
        stored_runs: Callable[[], Iterable[Run]],
        notify: Callable[[Run], None],
    ) -> None:
        """`path` is that of the journal; `notify` gives a changed row to its supervisor, if that is here."""
        self._context = context
        self._path = path
        self._stored_runs = stored_runs
        self._notify = notify
        self._seen: tuple[int, int] | None = None
        """Size and time of the journal when it was read last."""
        self._ids: dict[RunId, str] = {}

    async def adopt(self) -> None:
        """Adopt what the journal knows. Raises StoreError."""
        for run in self._stored_runs():
            if run.state is not State.UNCONFIRMED or run.remote_id is not None:
                continue
            remote_id = self._read().get(run.id)
            if remote_id is not None and (adopted := await adopt_late(self._context, run, remote_id)) is not None:
                self._notify(adopted)

    def _read(self) -> dict[RunId, str]:
        """The ids by their runs; those read last where the journal cannot be read, which is reported."""
        try:
            found = os.stat(self._path)
            seen = found.st_size, found.st_mtime_ns
            if seen != self._seen:
                self._ids = self._context.launches.read()
                self._seen = seen
        except FileNotFoundError:
            return {}
        except (OSError, JournalError) as error:
            self._context.problems.report("launch.journal", str(error), source="late ids")
        else:
            self._context.problems.clear("launch.journal", "late ids")
        return self._ids


async def adopt_late(context: EngineContext, run: Run, remote_id: str) -> Run | None:
    """Attach an id that this host got for its own request to an unconfirmed run; None where another was quicker.

    Raises StoreError.
    """
    why, now = "its id came back to the host that sent the launch", context.clock.now()
    with suppress(StaleRun, IllegalTransition):
        return await context.store.runs.adopt(run, remote_id=remote_id, by="nightdesk", reason=why, now=now)
    return None
