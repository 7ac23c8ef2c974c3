"""`doctor --reconcile`: a person decides that a copied, restored, lost or damaged state folder may launch again.

A module of its own because it writes to the state folder; every check of `doctor` only reads.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from console.domain.run import RunId
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.errors import StoreCopied
from console.engine.restore_check import RestoreCheck
from console.journal.launch_journal import LaunchJournal
from console.journal.log_files import JournalError
from console.journal.log_reader import LogReader
from console.store.identity import ForgottenRun
from console.store.store import Store


async def reconcile(folder: Path, *, begin_empty: bool = False, by: str, now: Timestamp) -> tuple[str, ...]:
    """Accept that the folder is a copy and that its database has lost history, and add up again what counts against
    the caps; return a line for each decision.

    `begin_empty`: the folder was used and is gone; an empty one takes its place. Returns nothing if there was nothing
    to decide. Raises StoreError.
    """
    store = await Store.open(folder, now=now, create=begin_empty)
    journal = LaunchJournal(folder / "launch.journal")
    told = []
    try:
        check = RestoreCheck(store, journal, folder / "runs.log")
        # Before a decision is recorded: its event would count as history that is not lost.
        lost = await check.lost_history()
        if begin_empty:
            fields = {"by": by, "why": "the state folder was gone"}
            await store.runs.note(event="loss_accepted", fields=fields, run=None, now=now)
            told.append("an empty state folder was begun; no key that was launched before is known")
        try:
            await store.identity.require_original()
        except StoreCopied:
            await store.identity.accept_copy(by=by, now=now)
            told.append("this copy of the state folder may launch now; launch nothing from the one it was copied from")
        if lost is not None:
            kept = await store.identity.accept_lost_history(lost, _logged_runs(folder / "runs.log"), by=by, now=now)
            told.append(f"{sanitize(lost.sentence)}; launches are possible again")
            told += [f"key {sanitize(run.key)} stays taken by the lost run {run.run_id}: {run.status}" for run in kept]
            unknown = [run_id for run_id in lost.run_ids if run_id not in {run.run_id for run in kept}]
            if unknown:
                told.append("the keys of these lost runs are not known, so they are free: look for them at the service")
            remotes = journal.read()
            told += [f"lost: run {sanitize(run_id)}, {sanitize(remotes.get(run_id, 'no id'))}" for run_id in unknown]
            if lost.known_ev > lost.last_ev:
                told.append("`nightdesk log rebuild` writes runs.log anew from the database; the old file is kept")
        if days := await store.ledger.recount(by=by, now=now):
            told.append(f"what counts against the caps was added up again from the holds: {', '.join(days)}")
    finally:
        journal.close()
        await store.close()
    return tuple(told)


def _logged_runs(log: Path) -> tuple[ForgottenRun, ...]:
    """Return the runs in runs.log that may have launched an agent.

    A file that cannot be read proves nothing.
    """
    newest: dict[RunId, tuple[int, ForgottenRun]] = {}
    with suppress(JournalError), LogReader(log) as reader:
        for line in reader.read():
            ev, run = line.record.ev, ForgottenRun.of(line.record)
            if run is not None and newest.get(run.run_id, (-1, run))[0] < ev:
                newest[run.run_id] = ev, run
    return tuple(run for _, run in newest.values() if run.keeps_its_key)
