"""Checks the invariants of a run (`tests.invariants`) in a simulated world, after every write of every process.

They are checked against the database, the log and the simulated service, never against what an engine says. Checking
after every write finds a wrong step where it is made, not where it does harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from console.domain.caps import Caps
from console.domain.log_record import parse_line
from console.domain.run import HOLDING, Outcome, RunId, State
from console.domain.task import Origin
from console.provider.contract import LaunchOrder
from tests.engine.fake_provider import TERMINAL
from tests.evidence import read_store
from tests.invariants import (
    RULED,
    AgentFacts,
    Hold,
    RunFacts,
    Write,
    cap_violations,
    change_violations,
    key_violations,
    launch_violations,
    log_violations,
    post_violations,
    run_violations,
    store_violations,
)
from tests.simulation.machine import EngineProcess, Machine, is_operator

SELECT = """
    select id, key, attempt, state, outcome, stop_reason, fingerprint, owner, fence, remote_id, sent_ms, superseded_by,
           sent_boot_ms, origin, requested_by, service, day, note, stop_alarmed, used, max_ms, sandbox_id, sandbox_own,
           sandbox_deleted_ms,
           (select state from holds where run_id = runs.id) as hold,
           (select group_concat(verdict) from (select verdict from sends where run_id = runs.id order by n)) as tries
    from runs where attempt > 0 order by seq
"""
SUMS = "select day, sum(held), sum(spent) from day_sums group by day"
OVERSHOT = "select settled, amount from holds where day = ? and settled > amount"
NEWEST_RECORD = "select coalesce(max(ev), 0) from events"
KINDS_OF_EVENTS = "select distinct kind from events where run_id = ?"
SHOWN_ENDS = TERMINAL | {"requires_action"}
AT_REST = ("ended", "proposed")


class Broken(AssertionError):
    """An invariant does not hold."""


class Row(NamedTuple):
    """A run as the database has it."""

    id: str
    key: str
    attempt: int
    state: str
    outcome: str | None
    stop_reason: str | None
    fingerprint: str
    owner: str | None
    fence: int
    remote_id: str | None
    sent_ms: int | None
    superseded_by: str | None
    sent_boot_ms: int | None
    origin: str
    requested_by: str
    service: str | None
    day: str
    note: str
    stop_alarmed: int
    used: int
    max_ms: int
    sandbox_id: str | None
    sandbox_own: int
    sandbox_deleted_ms: int | None
    hold: str | None
    tries: str | None


class InvariantChecker:
    """Watches one machine."""

    def __init__(self, machine: Machine, caps: Caps) -> None:
        self._machine = machine
        self._caps = caps
        self._rows: dict[str, Row] = {}
        self._facts: dict[str, RunFacts] = {}
        self._changes = -1
        self.broken: Broken | None = None
        """The first violation: an engine may handle the exception as an error of its own and go on."""
        self.sent_at: dict[str, float] = {}
        """The second of the world from which the time limit of each run counts."""
        self.on_change: Callable[[EngineProcess, str], None] = lambda process, run_id: None
        """Called after a process changed the row of a run."""
        machine.on_write = self.after_write

    def must_not(self, violations: Iterable[str]) -> None:
        """Raises Broken for the first of the violations, if there is one."""
        for violation in violations:
            self.broken = self.broken or Broken(violation)
            raise self.broken

    @property
    def rows(self) -> Iterable[Row]:
        """Every run, oldest first."""
        return self._rows.values()

    def row(self, run_id: str) -> Row:
        """The run as the database has it."""
        return self._rows[run_id]

    def event_kinds(self, run_id: str) -> set[str]:
        """The kinds of the events of a run."""
        return {kind for (kind,) in self._machine.site.connection.execute(KINDS_OF_EVENTS, (run_id,))}

    def facts(self, run_id: str) -> RunFacts:
        """The same in the words of the invariants."""
        return self._facts[run_id]

    def before_post(self, process: EngineProcess, order: LaunchOrder) -> None:
        """A POST leaves `process`, which works on the state folder that is watched."""
        run_id, attempt = order.labels["nightdesk-run"], order.labels["nightdesk-attempt"]
        self.must_not(post_violations(self._facts[run_id], self._machine.unproven_posts(run_id, attempt)))

    def after_write(self, process: EngineProcess) -> None:
        """`process` has committed a transaction: compares every row with what it was."""
        changes = self._machine.site.connection.total_changes
        if changes == self._changes:
            return
        self._changes = changes
        for values in self._machine.site.connection.execute(SELECT):
            row = Row(*values)
            before = self._rows.get(row.id)
            if before != row:
                self._rows[row.id] = row
                self._changed(before, row, process)

    def _changed(self, before: Row | None, row: Row, process: EngineProcess) -> None:
        facts, known = _facts_of(row), self._facts.get(row.id)
        if known is not None:
            facts = facts._replace(rerun=known.rerun)
        self._facts[row.id] = facts
        of_key = [run for run in self._facts.values() if run.key == row.key]
        if known is None:
            self.must_not(launch_violations([run for run in of_key if run.id != row.id], facts))
        elif known != facts:
            self.must_not(change_violations(known, facts, self._write(known, process)))
        if facts.state is State.CLAIMED and (known is None or known.state is State.PROPOSED):
            self._check_caps()
        sent_anew = before is None or (before.state, before.sent_boot_ms) != (row.state, row.sent_boot_ms)
        if facts.state is State.SENDING and row.sent_boot_ms is not None and sent_anew:
            # Read once: after a restart of the machine the boot clock of the record is another one.
            self.sent_at[row.id] = self._machine.clock.world_time(row.sent_boot_ms)
        if row.stop_reason == "timeout" and (before is None or before.stop_reason is None):
            self._check_time_limit(row)
        self.must_not(run_violations(facts, self.agent(row)))
        self.must_not(key_violations([(run, self.agent(self._rows[run.id])) for run in of_key]))
        self.on_change(process, row.id)

    def _write(self, before: RunFacts, process: EngineProcess) -> Write:
        owners = [other for other in self._machine.processes if other.owner == before.owner]
        return Write(
            by_owner=process.owner == before.owner,
            by_person=is_operator(),
            owner_is_alive=any(owner.holds_its_lock() for owner in owners),
        )

    def agent(self, row: Row) -> AgentFacts:
        """What is true of a run at the service now."""
        machine = self._machine
        agents = machine.agents_of(RunId(row.id))
        return AgentFacts(
            unproven_posts=machine.unproven_posts(row.id, row.attempt),
            started=len(agents),
            working=sum(agent.is_working(machine.service.now) for agent in agents),
            sandbox_exists=bool(row.sandbox_own)
            and any(row.sandbox_id in service.boxes for service in machine.services),
            own_sandbox=bool(row.sandbox_own),
            end_shown=any(agent.shown & SHOWN_ENDS for agent in agents if agent.remote_id == row.remote_id),
        )

    def _check_time_limit(self, row: Row) -> None:
        """2.3: limits count real seconds, whatever the wall clock shows."""
        ran = self._machine.loop.time() - self.sent_at[row.id]
        if ran < row.max_ms / 1000 - 0.5 and self._machine.clock.is_honest:
            self.must_not([f"2.3: run {row.id} was cut off after {ran:.1f} s"])

    def _check_caps(self) -> None:
        connection = self._machine.site.connection
        for day, held, spent in connection.execute(SUMS):
            overshoot = sum(used - amount for used, amount in connection.execute(OVERSHOT, (day,)))
            cap = self._caps.daily_units or 0
            self.must_not(cap_violations(day, held=held, spent=spent, overshoot=overshoot, cap=cap))
        taken, slots = sum(run.state in HOLDING for run in self._facts.values()), self._caps.concurrent_runs or 0
        if taken > slots:
            self.must_not([f"I6: {taken} runs in {slots} slots"])

    def check_keys(self) -> None:
        """Agents start and end without a write: checks every key once more."""
        keys: dict[str, list[tuple[RunFacts, AgentFacts]]] = {}
        for run in self._facts.values():
            keys.setdefault(run.key, []).append((run, self.agent(self._rows[run.id])))
        for runs in keys.values():
            self.must_not(key_violations(runs))

    def has_unlogged_events(self) -> bool:
        """True while an event has no line in the log."""
        (newest,) = self._machine.site.connection.execute(NEWEST_RECORD).fetchone()
        lines = self._machine.site.disk.lines
        return int(newest) > (parse_line(lines[-1]).ev if lines else 0)

    def check_store_and_log(self) -> None:
        """Checks the whole database and the log at the end of the world."""
        store = read_store(self._machine.site.connection)
        self.must_not(store_violations(store))
        self.must_not(log_violations(store.events, map(parse_line, self._machine.site.disk.lines)))

    def check_all_over(self) -> None:
        """I11: every run has ended, or an alarm says that a person is needed."""
        for row in self.rows:
            loud = row.state == "unconfirmed" or (row.state == "stopping" and bool(row.stop_alarmed))
            if row.state not in AT_REST and not loud:
                self.must_not([f"I11: run {row.id} is still {row.state}: {row}"])


def _facts_of(row: Row) -> RunFacts:
    tries = tuple(row.tries.split(",")) if row.tries else ()
    outcome = Outcome(row.outcome) if row.outcome else None
    return RunFacts(
        id=row.id,
        key=row.key,
        state=State(row.state),
        fence=row.fence,
        owner=row.owner,
        outcome=outcome,
        fingerprint=row.fingerprint,
        origin=Origin(row.origin),
        # A claim carries a note only where a person gave a reason for it.
        rerun=row.note != "",
        superseded=row.superseded_by is not None,
        sent=row.sent_ms is not None,
        stop=row.stop_reason,
        alarmed=bool(row.stop_alarmed),
        sandbox_deleted=row.sandbox_deleted_ms is not None,
        hold=Hold(row.hold) if row.hold else Hold.NONE,
        tries=tries,
        used=row.used,
        accepted=outcome is Outcome.WRITTEN_OFF or RULED in tries,
    )
