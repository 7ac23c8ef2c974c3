"""The policy of a fleet: by which caps, units, rollout rules and schedules its hosts launch, and who changed it.

The first launch of a fleet stores that of its host. A row is never changed; the newest one counts. A store of one
machine has none: its processes share a config.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from console.domain.caps import Refusal
from console.domain.policy import Policy, PolicyDifference, policy_refusal
from console.domain.task import canonical_json
from console.domain.timestamps import Timestamp
from console.store.events import note_record, write_event
from console.store.rows import damage_if_unreadable, fetch_all, fetch_batch, int_of, text_of
from console.store.transaction import Database, Row, Statement, Transaction

SELECT_POLICY = 'select facts, "by", reason, host, at_ms from policy order by id desc limit 1'
"""Only in a store of several hosts."""
INSERT_POLICY = """
    insert into policy (facts, "by", reason, at_ms) values (:facts, :by, :reason, :at_ms)
    returning id
"""
FIRST = "the first launch"
EVENT = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """The policy of the fleet, and where it comes from. Texts are as they were stored: not sanitized."""

    policy: Policy
    by: str
    reason: str
    host: str
    at_ms: int


class PolicyRepository:
    """Reads and replaces the policy of a fleet. Every method raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self) -> StoredPolicy | None:
        """Return the policy of the fleet; None before its first launch, and for a store of one machine."""
        if not self._database.is_shared:
            return None

        async def unit(tx: Transaction) -> StoredPolicy | None:
            return policy_of_rows(await fetch_all(tx, SELECT_POLICY, {}))

        return await self._database.read(unit)

    async def take(self, policy: Policy, *, by: str, reason: str, now: Timestamp) -> tuple[PolicyDifference, ...]:
        """Make `policy` that of the fleet; return what it changes, `here` being the new value. Recorded if anything."""

        async def unit(tx: Transaction) -> tuple[PolicyDifference, ...]:
            stored = policy_of_rows(await fetch_all(tx, SELECT_POLICY, {}))
            changes = () if stored is None else policy.differences(stored.policy)
            if stored is not None and policy.values == stored.policy.values:
                return ()
            await fetch_batch(tx, policy_statement(policy, by=by, reason=reason, at_ms=now.wall_ms))
            changed = ", ".join(f"{each.key} {each.fleet} -> {each.here}" for each in changes) or "the first policy"
            record = note_record(EVENT, {"by": by, "why": reason, "changes": changed}, None, now.wall_ms)
            await write_event(tx, EVENT, now.wall_ms, record=record)
            return changes

        return await self._database.transaction(unit)


def policy_statement(policy: Policy, *, by: str, reason: str, at_ms: int) -> Statement:
    """Return the statement that makes `policy` that of the fleet."""
    facts = canonical_json(dict(policy.values))
    return Statement(INSERT_POLICY, {"facts": facts, "by": by, "reason": reason, "at_ms": at_ms})


def policy_of_rows(rows: Sequence[Row]) -> StoredPolicy | None:
    """Return the policy that SELECT_POLICY found; None for no row. Raises StoreDamaged."""
    if not rows:
        return None
    (row,) = rows
    with damage_if_unreadable("the policy of the fleet"):
        values = {str(key): str(value) for key, value in json.loads(text_of(row, "facts")).items()}
    return StoredPolicy(
        policy=Policy(values=values),
        by=text_of(row, "by"),
        reason=text_of(row, "reason"),
        host=text_of(row, "host"),
        at_ms=int_of(row, "at_ms"),
    )


def policy_statements(database: Database, policy: Policy | None) -> tuple[Statement, ...]:
    """Return what a claim reads to judge by `policy`: nothing on one machine."""
    return (Statement(SELECT_POLICY),) if database.is_shared and policy is not None else ()


def refusal_of_rows(found: Sequence[Sequence[Row]], policy: Policy | None, *, scheduled: bool) -> Refusal | None:
    """Return why a host with `policy` may not claim; `found` is what its `policy_statements` returned."""
    stored = policy_of_rows(found[0]) if found else None
    if stored is None or policy is None:
        return None
    return policy_refusal(policy, stored.policy, scheduled=scheduled)


async def keep_first_policy(
    tx: Transaction, found: Sequence[Sequence[Row]], policy: Policy | None, *, by: str, at_ms: int
) -> None:
    """Store `policy` where its `policy_statements` found that the fleet has none yet."""
    if policy is not None and found and not found[0]:
        await fetch_batch(tx, policy_statement(policy, by=by, reason=FIRST, at_ms=at_ms))
