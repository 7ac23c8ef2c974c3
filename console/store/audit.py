"""What people did, read from the events: who, from where, when, why, newest first.

Acts of the program that change what people decided are listed too, with `nightdesk` as their author: demotions by the
rules, and a pause because the clock was changed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from console.domain.run import RunId, StopReason
from console.domain.task import Stage
from console.store.events import host_of, record_from_json
from console.store.rows import damage_if_unreadable, fetch_all, int_of, text_of
from console.store.transaction import Database, Row, Transaction, Value


class AuditAct(StrEnum):
    """What can be done by a person."""

    APPROVE = "approve"
    DECLINE = "decline"
    PROMOTE = "promote"
    DEMOTE = "demote"
    RAISE = "raise"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    SETTLE = "settle"
    RERUN = "rerun"
    ACCEPT = "accept"
    """A copied state folder, or the loss of history after a backup was put back."""
    LIFT = "lift-read-only"
    """A read-only console was made writable."""
    RECOUNT = "recount"
    """What counts against the caps was added up again from the holds, after damage."""
    POLICY = "policy"
    """The config of one host was made that by which all hosts of a fleet judge launches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act. Texts are as they were stored: not sanitized."""

    at_ms: int
    act: AuditAct
    by: str
    """`alice tty=yes`, with what else is known of her in parentheses."""
    why: str = ""
    """The reason that was given; empty for none."""
    what: str = ""
    """What exactly: `semi -> unattended`, `daily_units +500`, `write_off`, `kill switch`."""
    task: str | None = None
    run: RunId | None = None
    host: str = ""
    """Where the act was recorded; empty where all processes run on one host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which acts are wanted. Empty and None do not restrict."""

    since_ms: int | None = None
    until_ms: int | None = None
    """Before this time, UTC ms."""
    by: str = ""
    """A part of the author, in any case."""
    acts: Collection[AuditAct] = ()

    def fits(self, entry: AuditEntry) -> bool:
        """True for an act that the filter lets through; times are the business of the query."""
        return (not self.acts or entry.act in self.acts) and self.by.casefold() in entry.by.casefold()


# The condition is that of the index, word by word, or the index could not be used.
SELECT_ACTS = """
    select events.id, events.run_id, at_ms, kind, detail, record, runs.task
    from events indexed by events_acts left join runs on runs.id = events.run_id
    where (
        kind in (
            'approved', 'declined', 'stop', 'stop_reason', 'pause', 'resume', 'raise', 'stage', 'ruling',
            'copy_accepted', 'loss_accepted', 'read_only_lifted', 'sums_recounted'
        )
        or (kind = 'claimed' and instr(detail, '"why":') > 0)
    )
    and at_ms >= :since and at_ms < :until and (at_ms, events.id) < (:before_ms, :before_id)
    order by at_ms desc, events.id desc
    limit :limit
"""
PAGE = 500
END_OF_TIME = 2**62
STOP_REASON = "stop_reason"
"""Kind of the event that holds the reason of a stop; it follows the stop."""

Reasons = dict[tuple[str, str], str]
"""The reasons that were read and whose stops were not yet, by run and author."""


class AuditTrail:
    """Reads the acts. Raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acts(self, wanted: AuditFilter, *, limit: int) -> tuple[tuple[AuditEntry, ...], bool]:
        """Return the newest `limit` acts that fit, newest first, and whether there are more."""
        found: list[AuditEntry] = []
        reasons: Reasons = {}
        place: dict[str, Value] = {"before_ms": END_OF_TIME, "before_id": END_OF_TIME}
        while len(found) <= limit:
            bounds: dict[str, Value] = {"since": wanted.since_ms or 0, "until": wanted.until_ms or END_OF_TIME}
            rows = await self._page({**bounds, **place})
            for row in rows:
                entry = _entry_of(row, reasons)
                if entry is not None and wanted.fits(entry):
                    found.append(entry)
            if len(rows) < PAGE:
                break
            place = {"before_ms": rows[-1]["at_ms"], "before_id": rows[-1]["id"]}
        return tuple(found[:limit]), len(found) > limit

    async def _page(self, parameters: Mapping[str, Value]) -> list[Row]:
        async def unit(tx: Transaction) -> list[Row]:
            return list(await fetch_all(tx, SELECT_ACTS, {**parameters, "limit": PAGE}))

        return await self._database.read(unit)


def _entry_of(row: Row, reasons: Reasons) -> AuditEntry | None:
    """Return the act of an event; None for a stop by a limit, and for a reason, which is kept for its stop."""
    kind, run_id = text_of(row, "kind"), row["run_id"]
    with damage_if_unreadable(f"event {row['id']}"):
        facts = _facts_of(row)
        if kind == STOP_REASON:
            reasons[run_id, facts.get("by", "")] = facts.get("why", "")
            return None
        done = _act_of(kind, facts)
    if done is None:
        return None
    by = facts.get("by", "-")
    return AuditEntry(
        at_ms=int_of(row, "at_ms"),
        act=done[0],
        by=by,
        why=reasons.pop((run_id, by), "") if kind == "stop" else facts.get("why", ""),
        what=done[1],
        task=row["task"] or facts.get("task", "").strip("-") or None,
        run=RunId(run_id) if run_id else None,
        host=host_of(row),
    )


def _facts_of(row: Row) -> dict[str, str]:
    """Return the facts of an event: what its line in the log says, and what its timeline says."""
    record = record_from_json(0, row["record"]).fields if row["record"] else {}
    facts = {**record, **{name: str(value) for name, value in json.loads(row["detail"]).items()}}
    if row["kind"] == "declined" and "by" not in facts:
        # Versions before 0.2 stored the author in the note only.
        facts["by"], _, facts["why"] = facts.get("note", "").removeprefix("declined by ").partition(": ")
    return facts


def _act_of(kind: str, facts: Mapping[str, str]) -> tuple[AuditAct, str] | None:
    """Return the act and what exactly was done; None for a stop that no person asked for. Raises ValueError."""
    match kind:
        case "stop":
            words = {StopReason.OPERATOR.value: "", StopReason.KILL_SWITCH.value: "kill switch"}
            reason = facts.get("reason", "")
            return (AuditAct.CANCEL, words[reason]) if reason in words else None
        case "stage":
            before, after = Stage.of(facts["before"]), Stage.of(facts["after"])
            forced = ", forced" if facts.get("forced") == "yes" else ""
            return AuditAct.PROMOTE if after > before else AuditAct.DEMOTE, f"{before.label} -> {after.label}{forced}"
        case "raise":
            return AuditAct.RAISE, f"{facts.get('cap')} +{facts.get('amount')} in {facts.get('window')}"
        case "ruling":
            return AuditAct.SETTLE, facts.get("ruling", "").replace("_", "-")
        case "sums_recounted":
            return AuditAct.RECOUNT, f"the sums of {facts.get('days', '').replace(' ', ', ')}"
        case "policy":
            return AuditAct.POLICY, facts.get("changes", "")
        case _:
            return PLAIN_ACTS[kind]


PLAIN_ACTS: Mapping[str, tuple[AuditAct, str]] = {
    "approved": (AuditAct.APPROVE, ""),
    "declined": (AuditAct.DECLINE, ""),
    "pause": (AuditAct.PAUSE, ""),
    "resume": (AuditAct.RESUME, ""),
    "claimed": (AuditAct.RERUN, ""),
    "copy_accepted": (AuditAct.ACCEPT, "a copied state folder"),
    "loss_accepted": (AuditAct.ACCEPT, "the loss of history"),
    "read_only_lifted": (AuditAct.LIFT, ""),
}
