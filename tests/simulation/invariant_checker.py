"""What must hold in every world, judged by the service's truth, the rows and the log, never by the engine's word.

The numbers are those of the list of invariants. Rows are looked at after every write of every process, so that a
wrong step is found where it is made and not where it hurts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from console.domain.limits import Caps
from console.domain.log_record import LogRecord, parse_line
from console.domain.run import HOLDING, KEY_FREEING_OUTCOMES, NEXT, RunId, State
from console.provider.contract import LaunchOrder
from console.store.log_records import from_json
from tests.simulation.machine import EngineProcess, Machine, is_operator
from tests.simulation.service import TERMINAL, Agent

SELECT = """
    select id, key, attempt, state, outcome, stop_reason, fingerprint, owner, fence, remote_id, sent_ms, superseded_by,
           sent_boot_ms, origin, note, stop_alarmed, used, max_ms, sandbox_id, sandbox_own
    from runs where attempt > 0 order by seq
"""
UNLAUNCHED = {str(outcome) for outcome in KEY_FREEING_OUTCOMES}
BY_STOP = {"cancelled", "timeout", "budget"}
ANY_HAND = {"stop_reason", "stop_alarmed", "sandbox_deleted_ms", "superseded_by"}
"""What any process may write to a row of another."""
TWO_STEPS = {("sending", "stopping"), ("unconfirmed", "stopping")}
"""Through `running`, in one transaction, where a stop was stored before the id came."""


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
    note: str
    stop_alarmed: int
    used: int
    max_ms: int
    sandbox_id: str | None
    sandbox_own: int


class InvariantChecker:
    """Watches one machine."""

    def __init__(self, machine: Machine, caps: Caps) -> None:
        self._machine = machine
        self._caps = caps
        self._rows: dict[str, Row] = {}
        self._changes = -1
        self.broken: Broken | None = None
        """The first one: the engine may take the exception for trouble of its own, and go on."""
        self._sent: dict[str, float] = {}
        """The instant from which each run counts, in seconds of the world."""
        self.ruled: set[str] = set()
        """Runs that an operator ruled on or wrote off: what they still do was accepted by a person."""
        machine.on_write = self.after_write
        machine.on_post = self.before_post

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken = self.broken or Broken(what)
            raise self.broken

    @property
    def rows(self) -> Iterable[Row]:
        """Every run."""
        return self._rows.values()

    def before_post(self, process: EngineProcess, order: LaunchOrder) -> None:
        """I2: the record of the intent is there, of a try that is open. I1: nothing else of the run may be an agent."""
        run_id = order.labels["nightdesk-run"]
        tries = self._machine.connection.execute(
            "select verdict from sends where run_id = ? order by n", (run_id,)
        ).fetchall()
        self._must(bool(tries) and tries[-1][0] == "open", f"I2: a POST of {run_id} left without its record: {tries}")
        self._must(self._rows[run_id].state == "sending", f"I2: a POST of {run_id} left as {self._rows[run_id].state}")
        posts = self._machine.service.posts[run_id, order.labels["nightdesk-attempt"]]
        self._must(posts == 0, f"I1: a second POST of {run_id} left, and nothing proves what the first one did")

    def after_write(self, process: EngineProcess) -> None:
        """Compares every row with what it was."""
        changes = self._machine.connection.total_changes
        if changes == self._changes:
            return
        self._changes = changes
        for values in self._machine.connection.execute(SELECT):
            row = Row(*values)
            before = self._rows.get(row.id)
            if before == row:
                continue
            self._rows[row.id] = row
            if before is None:
                self._launched(row)
            else:
                self._changed(before, row, process)
            if row.state == "claimed" and (before is None or before.state == "proposed"):
                self._has_room()
            self._true(row)

    def _launched(self, new: Row) -> None:
        """I8, I13: a key is taken again only after an ending that launched nothing, a retry, or by hand."""
        by_hand = new.note != ""
        earlier = [row for row in self._rows.values() if row.key == new.key and row.id != new.id]
        self._must(all(row.state == "ended" for row in earlier), f"I1: {new.key} was taken while a run of it is open")
        for row in earlier:
            if row.outcome in UNLAUNCHED or by_hand or row.superseded_by is not None:
                continue
            retry = row.outcome == "failed" and new.origin == "schedule"
            self._must(retry, f"I8: {new.key} was launched again after {row.outcome}, and not by hand")
            self._must(row.fingerprint == new.fingerprint, f"I13: {new.key} was launched with another fingerprint")

    def _changed(self, before: Row, after: Row, process: EngineProcess) -> None:
        if before.state == "ended":
            same = before._replace(superseded_by=after.superseded_by)
            self._must(same == after, f"I8: an ended run changed: {before} became {after}")
        if before.state != after.state:
            edge = State(after.state) in NEXT[State(before.state)] or (before.state, after.state) in TWO_STEPS
            self._must(edge, f"I8: {before.state} became {after.state}")
            if before.state == "unconfirmed":
                self._must(is_operator(), f"I4: an unconfirmed run became {after.state} by itself")
                self._ruled(after)
            if after.state == "sending" and after.sent_boot_ms is not None:
                self._sent[after.id] = self._machine.clock.world_time(after.sent_boot_ms)
            if after.outcome == "written_off":
                self.ruled.add(after.id)
        if after.stop_reason == "timeout" != before.stop_reason:
            self._timed_out(after)
        self._must(after.fence >= before.fence, "I8: a fence decreased")
        if after.fence > before.fence:
            self._taken_over(before, process)
        elif process.owner != before.owner:
            self._by_another(before, after)

    def _ruled(self, row: Row) -> None:
        """An operator may rule that nothing runs only once nothing can: a late packet finds no sandbox."""
        self.ruled.add(row.id)
        if row.outcome == "not_sent" and row.sandbox_own:
            there = row.sandbox_id in self._machine.service.boxes
            self._must(not there, f"K17: {row.id} was ruled not launched, and its sandbox is there")

    def _timed_out(self, row: Row) -> None:
        """Limits count real seconds, whatever the wall clock shows."""
        ran = self._machine.loop.time() - self._sent[row.id]
        early = ran < row.max_ms / 1000 - 0.5
        self._must(not (early and self._machine.clock.is_honest), f"2.3: {row.id} was cut off after {ran:.1f} s")

    def _taken_over(self, before: Row, process: EngineProcess) -> None:
        owners = [other for other in self._machine.processes if other.owner == before.owner]
        robbed = any(owner.holds_its_lock() for owner in owners)
        self._must(not robbed, f"2.2: {process} robbed {before.owner}, which lives")

    def _by_another(self, before: Row, after: Row) -> None:
        """I9: what a process writes that does not own the run is a request, or an operator's act."""
        if is_operator() or before.state == "proposed":
            return
        different = {name for name in Row._fields if getattr(before, name) != getattr(after, name)}
        if "stop_reason" in different and (before.state, after.state) == ("running", "stopping"):
            different.discard("state")
        self._must(
            different <= ANY_HAND, f"I9: a process that does not own {before.id} changed its {sorted(different)}"
        )

    def _true(self, row: Row) -> None:
        """I3, I10: what the row says of the service is so."""
        service = self._machine.service
        agents = service.of_run(RunId(row.id))
        self._must(len(agents) <= 1, f"I1: {len(agents)} agents carry the label of {row.id}")
        if row.id in self.ruled:
            return
        nothing = row.state == "claimed" or row.outcome in UNLAUNCHED
        self._must(not (nothing and agents), f"I3: {row.id} is {row.outcome or row.state}, and an agent was launched")
        if row.outcome in BY_STOP and row.sent_ms is None:
            self._must(
                service.posts[row.id, str(row.attempt)] == 0, f"I10: {row.id} is {row.outcome}, a POST is on its way"
            )
        elif row.state == "ended" and row.outcome not in UNLAUNCHED:
            self._proven(row, agents)

    def _proven(self, row: Row, agents: list[Agent]) -> None:
        agent = next((agent for agent in agents if agent.remote_id == row.remote_id), None)
        if agent is None:
            self._must(False, f"I10: {row.id} ended {row.outcome}, and its agent is unknown")
            return
        ends = agent.shown & (TERMINAL | {"requires_action"})
        self._must(bool(ends), f"I10: {row.id} ended {row.outcome}, and the service never showed an end: {agent.shown}")
        self._must(
            not agent.is_working(self._machine.service.now), f"I10: {row.id} ended {row.outcome}, and its agent works"
        )

    def no_two_work(self) -> None:
        """I1: of one key one agent works at a time, but for those that a person has ruled on."""
        now, working = self._machine.service.now, set[str]()
        for agent in self._machine.service.agents.values():
            if agent.run_id not in self.ruled and agent.is_working(now):
                self._must(agent.key not in working, f"I1: two agents of {agent.key} work at once")
                working.add(agent.key)

    def _has_room(self) -> None:
        """I6: at no instant is more held and spent than the cap, or more runs open than there are slots."""
        for day, held, spent in self._machine.connection.execute(SUMS):
            over = sum(used - amount for used, amount in self._machine.connection.execute(OVERSHOT, (day,)))
            cap = (self._caps.daily_units or 0) + over
            self._must(held + spent <= cap, f"I6: {held} held + {spent} spent on {day}, cap {cap}")
        holding = sum(State(row.state) in HOLDING for row in self.rows)
        slots = self._caps.concurrent_runs or 0
        self._must(holding <= slots, f"I6: {holding} runs in {slots} slots")

    def books(self) -> None:
        """I5, I7: the sums are those of the holds, and the holds those of the runs."""
        connection = self._machine.connection
        holds = {run: (day, amount, state, settled) for run, day, amount, state, settled in connection.execute(HOLDS)}
        for row in self.rows:
            held = holds.get(row.id)
            state = held[2] if held else None
            expected = _hold_of(row)
            self._must(state in expected, f"I7: the hold of {row.id}, {row.outcome or row.state}, is {state}")
        sums = {day: (held, spent) for day, held, spent in connection.execute(SUMS)}
        for day, (held, spent) in sums.items():
            of_day = [hold for hold in holds.values() if hold[0] == day]
            open_ones = sum(amount for _, amount, state, _ in of_day if state == "open")
            settled = [(amount, used) for _, amount, state, used in of_day if state == "settled"]
            self._must(
                (held, spent) == (open_ones, sum(used for _, used in settled)), f"I5: the sums of {day} are wrong"
            )

    def unlogged(self) -> bool:
        """Are there events that are no lines yet?"""
        return self._machine.connection.execute(UNLOGGED).fetchone() is not None

    def log(self) -> None:
        """I12: every event is a line, every line an event, and numbers have no gap."""
        stored: dict[int, LogRecord] = {
            ev: from_json(ev, record) for ev, record in self._machine.connection.execute(EVENTS)
        }
        written = [parse_line(line) for line in self._machine.papers.lines]
        self._must(sorted(stored) == list(range(1, len(stored) + 1)), "I12: the numbers of events have gaps")
        self._must({record.ev for record in written} == set(stored), "I12: the log and the events differ")
        for record in written:
            told = stored[record.ev]
            self._must(
                (record.key, record.status) == (told.key, told.status), f"I12: line {record.ev} is of another event"
            )

    def all_over(self) -> None:
        """I11: every run has ended, or an alarm says that a person is needed."""
        for row in self.rows:
            loud = row.state == "unconfirmed" or (row.state == "stopping" and bool(row.stop_alarmed))
            self._must(row.state in ("ended", "proposed") or loud, f"I11: {row.id} is still {row.state}: {row}")


HOLDS = "select run_id, day, amount, state, settled from holds"
SUMS = "select day, sum(held), sum(spent) from day_sums group by day"
OVERSHOT = "select settled, amount from holds where day = ? and settled > amount"
UNLOGGED = "select 1 from events where ev is not null and logged = 0"
EVENTS = "select ev, record from events where ev is not null"


def _hold_of(row: Row) -> tuple[str | None, ...]:
    """What state its hold may be in; None: none was ever taken."""
    if row.state == "proposed":
        return (None,)
    if row.state != "ended":
        return ("open",)
    if row.outcome in ("not_sent", "rejected"):
        return ("released",)
    if row.outcome in ("declined", "expired"):
        return (None, "released")
    return ("settled", "released") if row.sent_ms is None else ("settled",)
