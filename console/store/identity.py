"""Tells whether a state folder is still the one in which its runs were recorded, or a copy or an older backup of it.

A copied folder has every key that was taken until then, but none that the original takes afterwards; a backup that was
put back has forgotten every key since. Launching from either can launch a key twice, so `ClaimRepository` refuses to
launch from a copy until a person has accepted it, and the engine does the same for a backup (`find_lost_history`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from console.domain.log_record import LogRecord
from console.domain.run import KEY_FREEING_OUTCOMES, NON_RUN_OUTCOMES, RunId
from console.domain.timestamps import Timestamp
from console.store.controls import SELECT_META, UPSERT_META
from console.store.errors import StoreCopied, StoreMissing
from console.store.events import note_record, write_event
from console.store.files import DATABASE, database_inode
from console.store.rows import damage_if_unreadable, fetch_all, fetch_one, int_of, text_of
from console.store.transaction import Database, Row, Transaction

PLACE = "database_place"
"""Name in the table `meta` under which the place of the database is stored as JSON."""
ACCEPTED_LOSS = "accepted_loss"
"""Name in the table `meta` under which the history that a person has given up is stored as JSON."""
MACHINE_ID = Path("/etc/machine-id")
FREE_STATUSES = frozenset(outcome.value for outcome in KEY_FREEING_OUTCOMES | NON_RUN_OUTCOMES)
"""Statuses of the log after which a key is free."""
CHUNK = 500
"""Run ids that are looked up by one statement."""

SELECT_LAST_EV = "select coalesce(max(ev), 0) as ev from events"
SELECT_KNOWN = "select id, sent_ms is not null as sent from runs where id in ({ids})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabasePlace:
    """Where the file of a database lies."""

    inode: int
    device: int
    folder: str
    """Absolute path without symbolic links."""
    machine: str
    """The machine id of the system; empty if it has none."""

    @classmethod
    def of(cls, folder: Path) -> DatabasePlace | None:
        """Return the place of the database in `folder`, or None if there is no such file."""
        found = database_inode(folder)
        if found is None:
            return None
        device, inode = found
        return cls(inode=inode, device=device, folder=str(folder.resolve()), machine=_machine_id())

    def is_same_file(self, recorded: DatabasePlace) -> bool:
        """Return whether `recorded` is this very file, and not one that this one was copied from.

        The number of a device may change when the system is started again, so a different one counts only together
        with another path or machine. A folder that was renamed on its device is the same.
        """
        if self.inode != recorded.inode:
            return False
        moved = self.folder != recorded.folder
        other_machine = bool(self.machine and recorded.machine) and self.machine != recorded.machine
        return self.device == recorded.device or not (moved or other_machine)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostHistory:
    """What other files of the state folder know, and the database does not: it is older than they are."""

    last_ev: int
    """The newest log record in the database."""
    known_ev: int
    """The newest log record in runs.log."""
    run_ids: tuple[RunId, ...]
    """Launched runs of which there is no row."""

    @property
    def sentence(self) -> str:
        """One line for the operator."""
        facts = []
        if self.known_ev > self.last_ev:
            facts.append(f"runs.log goes up to event {self.known_ev}, the database only to {self.last_ev}")
        if self.run_ids:
            facts.append(f"{len(self.run_ids)} runs of runs.log and launch.journal are missing")
        return f"the database is older than its files: {'; '.join(facts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenRun:
    """A run that the log or the launch journal knows and the database does not."""

    run_id: RunId
    key: str
    status: str
    """Its last one in runs.log: `launched`, `unconfirmed` or an outcome; `sending` in launch.journal."""

    @classmethod
    def of(cls, record: LogRecord) -> ForgottenRun | None:
        """Return the run of a line of runs.log; None for a line that is about no run."""
        if record.status == "note" or "run" not in record.fields:
            return None
        return cls(run_id=RunId(record.fields["run"]), key=record.key, status=record.status)

    @property
    def keeps_its_key(self) -> bool:
        """False where nothing was launched."""
        return self.status not in FREE_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedLoss:
    """The history that a person has given up after a restore."""

    ev: int = 0
    """The newest record of runs.log that may be missing."""
    run_ids: frozenset[str] = frozenset()
    """The runs that may be missing."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """The keys of lost runs, which stay taken, and for each the run id and the last status: `01k… ok`."""


def find_lost_history(
    *, last_ev: int, known_ev: int, missing: Iterable[RunId], accepted_ev: int = 0, accepted: Collection[str] = ()
) -> LostHistory | None:
    """Return what a database has lost, or None if it is not older than the other files.

    `last_ev` is its newest log record and `missing` are the launched runs it does not know; `known_ev` is the newest
    record in runs.log. What a person has accepted as lost does not count.
    """
    lost = tuple(sorted(run_id for run_id in missing if run_id not in accepted))
    if known_ev <= max(last_ev, accepted_ev) and not lost:
        return None
    return LostHistory(last_ev=last_ev, known_ev=known_ev, run_ids=lost)


class StoreIdentity:
    """Checks that the folder may launch, and stores a person's decision that it may. Methods raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def require_original(self) -> None:
        """Raise StoreCopied if this folder is a copy that nobody has accepted."""
        await self._database.read(lambda tx: require_original(tx, self._database))

    async def accept_copy(self, *, by: str, now: Timestamp) -> None:
        """Record this place of the database as the one that launches, and write a log note."""

        async def unit(tx: Transaction) -> None:
            place = DatabasePlace.of(self._database.folder)
            if place is None:
                raise StoreMissing(f"{self._database.folder / DATABASE} is missing")
            before = await _load_place(tx)
            await _store_place(tx, place)
            fields = {"by": by, "was": before.folder if before else "-"}
            record = note_record("copy_accepted", fields, None, now.wall_ms)
            await write_event(tx, "copy_accepted", now.wall_ms, record=record, by=by, was=fields["was"])

        await self._database.transaction(unit)

    async def lost_history(
        self, *, known_ev: int, run_ids: Iterable[RunId], launched: Collection[RunId] = ()
    ) -> LostHistory | None:
        """Return what the database has lost of the records up to `known_ev`, of the runs `run_ids` and of those that
        were `launched`: one of these whose row does not say that it was sent is lost too.
        """
        wanted = sorted({*run_ids, *launched})

        async def unit(tx: Transaction) -> LostHistory | None:
            missing = await _load_unknown(tx, wanted, launched)
            accepted = await load_accepted_loss(tx)
            return find_lost_history(
                last_ev=await _load_last_ev(tx),
                known_ev=known_ev,
                missing=missing,
                accepted_ev=accepted.ev,
                accepted=accepted.run_ids,
            )

        return await self._database.read(unit)

    async def accept_lost_history(
        self, lost: LostHistory, runs: Iterable[ForgottenRun] = (), *, by: str, now: Timestamp, why: str = ""
    ) -> tuple[ForgottenRun, ...]:
        """Store that a person gives up this history, so that it does not count as lost any more; write a log note.

        Of `runs`, those that the database does not know keep their keys; return them.
        """
        candidates = {run.run_id: run for run in runs}

        async def unit(tx: Transaction) -> tuple[ForgottenRun, ...]:
            accepted = await load_accepted_loss(tx)
            unknown = await _load_unknown(tx, candidates)
            gone = tuple(candidates[run_id] for run_id in unknown)
            value = {
                "ev": max(accepted.ev, lost.known_ev),
                "runs": sorted({*accepted.run_ids, *lost.run_ids, *unknown}),
                "keys": {**accepted.keys, **{run.key: f"{run.run_id} {run.status}" for run in gone}},
            }
            await fetch_all(tx, UPSERT_META, {"name": ACCEPTED_LOSS, "value": json.dumps(value)})
            fields = {"by": by, "up_to": str(lost.known_ev), "runs": " ".join(lost.run_ids)}
            fields.update({"why": why} if why else {})
            record = note_record("loss_accepted", fields, None, now.wall_ms)
            await write_event(tx, "loss_accepted", now.wall_ms, record=record, by=by, up_to=lost.known_ev)
            return gone

        return await self._database.transaction(unit)


async def require_original(tx: Transaction, database: Database, *, record: bool = False) -> None:
    """Raise StoreCopied if the folder is a copy. With `record`, a database without a place gets its present one.

    Recorded is the place of the first launch: a copy of a store that never launched holds no keys. A database that
    several machines share is no part of a folder.
    """
    if database.is_shared:
        return
    folder = database.folder
    found = database_inode(folder)
    recorded = await _load_place(tx)
    # Nothing else can be this file on this device: the path and the machine need not be read.
    if found is None or (recorded is not None and found == (recorded.device, recorded.inode)):
        return
    place = DatabasePlace.of(folder)
    if place is None:
        return
    if recorded is None:
        if record:
            await _store_place(tx, place)
    elif not place.is_same_file(recorded):
        raise StoreCopied(copy_sentence(folder, recorded))


def copy_sentence(folder: Path, recorded: DatabasePlace) -> str:
    """Return the line that tells the operator that `folder` is a copy of the recorded place."""
    return (
        f"the state folder {folder} is a copy of {recorded.folder}: nothing is launched from it until a person"
        " accepts it with `nightdesk doctor --reconcile`"
    )


def parse_place(text: str | None) -> DatabasePlace | None:
    """Return the place stored under PLACE, or None if there is none. Raises StoreDamaged."""
    if text is None:
        return None
    with damage_if_unreadable("the recorded place of the database"):
        return DatabasePlace(**json.loads(text))


def parse_accepted_loss(text: str | None) -> AcceptedLoss:
    """Return what is stored under ACCEPTED_LOSS. Raises StoreDamaged."""
    if text is None:
        return AcceptedLoss()
    with damage_if_unreadable("the history that was given up"):
        loss = json.loads(text)
        # Versions before 0.2 stored no keys.
        keys = {str(key): str(value) for key, value in loss.get("keys", {}).items()}
        return AcceptedLoss(ev=int(loss["ev"]), run_ids=frozenset(map(str, loss["runs"])), keys=keys)


async def load_accepted_loss(tx: Transaction) -> AcceptedLoss:
    """Return the history that a person has given up. Raises StoreDamaged."""
    return accepted_loss_of(await fetch_all(tx, SELECT_META, {"name": ACCEPTED_LOSS}))


def accepted_loss_of(rows: Sequence[Row]) -> AcceptedLoss:
    """Return the history that a person has given up, of the rows under ACCEPTED_LOSS. Raises StoreDamaged."""
    return parse_accepted_loss(text_of(rows[0], "value") if rows else None)


async def _load_last_ev(tx: Transaction) -> int:
    row = await fetch_one(tx, SELECT_LAST_EV, {})
    return int_of(row, "ev") if row else 0


async def _load_unknown(tx: Transaction, run_ids: Iterable[RunId], launched: Collection[RunId] = ()) -> list[RunId]:
    """Return those of `run_ids` of which there is no row, in order; for the `launched`, no row that says so."""
    wanted = sorted(set(run_ids))
    found: set[str] = set()
    for first in range(0, len(wanted), CHUNK):
        names = {f"id_{number}": run_id for number, run_id in enumerate(wanted[first : first + CHUNK])}
        sql = SELECT_KNOWN.format(ids=", ".join(f":{name}" for name in names))
        rows = await fetch_all(tx, sql, names)
        found |= {row["id"] for row in rows if row["sent"] or row["id"] not in launched}
    return [run_id for run_id in wanted if run_id not in found]


async def _load_place(tx: Transaction) -> DatabasePlace | None:
    row = await fetch_one(tx, SELECT_META, {"name": PLACE})
    return parse_place(text_of(row, "value") if row else None)


async def _store_place(tx: Transaction, place: DatabasePlace) -> None:
    await fetch_all(tx, UPSERT_META, {"name": PLACE, "value": json.dumps(asdict(place), sort_keys=True)})


def _machine_id() -> str:
    try:
        return MACHINE_ID.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
