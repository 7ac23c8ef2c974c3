"""The invariants of a run, stated once.

The model, the simulation, the kill suites, the fault matrix and the state machine of the store all check the functions
below; each of them builds the facts from what it knows. Every function yields one line per violation and nothing where
all is well. A line begins with the number of its invariant in the protocol's list (I1 to I18, K for a crash point), or
with that of the guarantee in docs/promises.md (P5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from console.domain.log_record import LogRecord, format_line, parse_line
from console.domain.run import HOLDING, KEY_FREEING_OUTCOMES, Outcome, Run, State
from console.domain.task import Origin
from console.store.events import record_from_json
from tests.event_replay import Replay, reachable
from tests.evidence import AgentEvidence, EventRow, Evidence, HoldRow, StoreEvidence

MAY_BE_AN_AGENT = frozenset({"open", "unknown", "launched", "ruled_not_launched"})
"""Verdicts on a try of the POST after which an agent may run, or may have run."""
RULED = "ruled_not_launched"
STOP_EVENTS = frozenset({"stop", "late_stop"})
CUT_OFF_BOUND_S = 1.0
"""How long after its time a cancel may leave."""
REQUESTS = frozenset({"stop", "alarmed", "sandbox_deleted", "superseded"})
"""What a process may write to a run that it does not own."""


class Hold(StrEnum):
    """The hold of one run."""

    NONE = "none"
    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"


class RunFacts(NamedTuple):
    """One row of the runs table with its hold and its tries."""

    id: str
    key: str
    state: State
    fence: int
    owner: object = None
    outcome: Outcome | None = None
    fingerprint: str = ""
    origin: Origin = Origin.MANUAL
    rerun: bool = False
    """A person asked for this launch although the key had ended."""
    superseded: bool = False
    """A later run of the key took its place."""
    sent: bool = False
    """A POST may have left."""
    stop: str | None = None
    alarmed: bool = False
    sandbox_deleted: bool = False
    hold: Hold = Hold.NONE
    tries: tuple[str, ...] = ()
    """The verdict on each try of the POST, oldest first."""
    used: int = 0
    accepted: bool = False
    """A person ruled that it was not launched, or wrote it off: what its agent still does was accepted."""


class AgentFacts(NamedTuple):
    """What is true at the service of one run, whatever its row says."""

    unproven_posts: int = 0
    """POSTs that left, less those that provably launched nothing."""
    started: int = 0
    """Agents that carry the run's label."""
    working: int = 0
    """Agents of it that still act and spend."""
    sandbox_exists: bool = False
    """The run's own sandbox is known to exist."""
    own_sandbox: bool = True
    """It was launched into a sandbox of its own: deleting that ends its agent, and keeps a late one from starting."""
    end_shown: bool = True
    """The service has shown to somebody that the agent ended."""


class Write(NamedTuple):
    """Who changed a row."""

    by_owner: bool
    """The writer is the row's owner and holds its fence."""
    by_person: bool = False
    owner_is_alive: bool = False
    """The owner before the write holds its kernel lock."""
    is_proven: bool = False
    by_journal: bool = False
    """A host other than the owner's writes what it finds in its own launch journal."""
    """The truth at the service settles an unconfirmed run: it was launched, or nothing can be launched any more."""


def run_violations(run: RunFacts, agent: AgentFacts) -> Iterator[str]:
    """What must hold for each run after every transaction."""
    if sum(verdict in MAY_BE_AN_AGENT for verdict in run.tries) > 1:
        yield f"I1: run {run.id} was sent again after {run.tries}"
    if agent.unproven_posts > 1 or agent.started > 1:
        yield f"I1: run {run.id}: {agent.unproven_posts} POSTs that may have launched, {agent.started} agents"
    nothing_launched = run.state in (State.PROPOSED, State.CLAIMED) or run.outcome in KEY_FREEING_OUTCOMES
    if nothing_launched and agent.started and RULED not in run.tries:
        yield f"I3: run {run.id} is {run.outcome or run.state}, and an agent was launched for it"
    if run.outcome in KEY_FREEING_OUTCOMES and RULED in run.tries and agent.sandbox_exists:
        yield f"K17: run {run.id} was ruled not launched, and its sandbox exists"
    if run.hold not in _holds_allowed(run):
        yield f"I7: the hold of run {run.id}, {run.outcome or run.state}, is {run.hold}"
    if run.state is State.ENDED and run.outcome not in KEY_FREEING_OUTCOMES and not run.accepted:
        yield from _end_violations(run, agent)


def _end_violations(run: RunFacts, agent: AgentFacts) -> Iterator[str]:
    if agent.working or agent.unproven_posts > agent.started:
        yield f"I10: run {run.id} ended {run.outcome}, and its agent works or its POST is on its way"
    elif agent.started and not agent.end_shown:
        yield f"I10: run {run.id} ended {run.outcome}, and the service never showed an end"
    elif run.sent and not agent.started:
        yield f"I10: run {run.id} ended {run.outcome}, and the service knows no agent of it"


def _holds_allowed(run: RunFacts) -> tuple[Hold, ...]:
    if run.state is State.PROPOSED:
        return (Hold.NONE,)
    if run.state in HOLDING:
        return (Hold.OPEN,)
    if run.outcome in (Outcome.DECLINED, Outcome.EXPIRED):
        return (Hold.NONE, Hold.RELEASED)
    if run.outcome in KEY_FREEING_OUTCOMES or not run.sent:
        return (Hold.RELEASED,)
    return (Hold.SETTLED,)


def change_violations(before: RunFacts, after: RunFacts, write: Write) -> Iterator[str]:
    """What must hold for each change of one row."""
    if before.state is State.ENDED and before._replace(superseded=after.superseded) != after:
        yield f"I8: an ended run changed: {before} became {after}"
    if after.state is not before.state and after.state not in reachable(before.state):
        yield f"I8: run {after.id} went from {before.state} to {after.state}"
    if after.fence < before.fence:
        yield f"I8: the fence of run {after.id} decreased"
    if before.hold in (Hold.SETTLED, Hold.RELEASED) and after.hold is not before.hold:
        yield f"I7: the hold of run {after.id} was {before.hold} and is {after.hold}"
    ruled = write.by_person or write.is_proven
    if before.state is State.UNCONFIRMED and after.state is not before.state and not ruled:
        yield f"I4: the unconfirmed run {after.id} became {after.state} without a person"
    if after.fence > before.fence:
        is_given_back = write.by_owner and after.owner is None
        if write.owner_is_alive and not is_given_back:
            yield f"2.2: run {after.id} was taken from a living owner"
    elif not (write.by_owner or write.by_person or _is_request(before, after) or _is_late_id(before, after, write)):
        yield f"I9: a process that does not own run {after.id} changed it from {before} to {after}"


def _is_request(before: RunFacts, after: RunFacts) -> bool:
    """True where only what any process may ask for has changed. A proposal belongs to nobody."""
    if before.state is State.PROPOSED:
        return True
    changed = {name for name in RunFacts._fields if getattr(before, name) != getattr(after, name)}
    if "stop" in changed and (before.state, after.state) == (State.RUNNING, State.STOPPING):
        changed.discard("state")
    return changed <= REQUESTS


def _is_late_id(before: RunFacts, after: RunFacts, write: Write) -> bool:
    """A host other than the owner's found the id of an unconfirmed run in its own journal."""
    adopted = before.state is State.UNCONFIRMED and after.state in (State.RUNNING, State.STOPPING)
    return (
        adopted and write.by_journal and write.is_proven and (before.owner, before.fence) == (after.owner, after.fence)
    )


def key_violations(runs: Sequence[tuple[RunFacts, AgentFacts]]) -> Iterator[str]:
    """What must hold for all runs of one key, oldest first."""
    if sum(run.state is not State.ENDED for run, _ in runs) > 1:
        yield f"I1: two runs of key {runs[0][0].key} are open"
    if sum(agent.working > 0 and not _is_persons_word(run, agent) for run, agent in runs) > 1:
        yield f"I1: two agents of key {runs[0][0].key} work at once"
    started = [run for run, agent in runs if agent.started and RULED not in run.tries]
    for first, second in pairwise(started):
        if first.fingerprint != second.fingerprint and not second.rerun:
            yield f"I13: key {second.key} was launched with another fingerprint, and not by hand"


def _is_persons_word(run: RunFacts, agent: AgentFacts) -> bool:
    """True where a person freed the key and nothing of the run could be deleted: its agent may still come to work."""
    return run.outcome is Outcome.WRITTEN_OFF or (RULED in run.tries and not agent.own_sandbox)


def launch_violations(earlier: Iterable[RunFacts], new: RunFacts) -> Iterator[str]:
    """What must hold when a key is taken again: its runs launched nothing, or this is a retry, or a person asked."""
    for run in earlier:
        if run.state is not State.ENDED:
            yield f"I1: key {new.key} was taken while a run of it is {run.state}"
        elif run.outcome in KEY_FREEING_OUTCOMES or new.rerun or run.superseded:
            continue
        elif run.outcome is not Outcome.FAILED or new.origin is not Origin.SCHEDULE:
            yield f"I8: key {new.key}, which ended {run.outcome}, was launched again, and not by hand"
        elif run.fingerprint != new.fingerprint:
            yield f"I13: key {new.key} was tried again with another fingerprint"


def post_violations(run: RunFacts, unproven_posts: int) -> Iterator[str]:
    """What must hold at the instant in which a POST leaves: its record is stored, and no other POST may be an agent."""
    if run.state is not State.SENDING or run.tries[-1:] != ("open",):
        yield f"I2: a POST of run {run.id} left without its record: {run.state}, tries {run.tries}"
    if unproven_posts:
        yield f"I1: a second POST of run {run.id} left, and nothing proves what the first one did"


def cut_off_violations(run_id: str, *, due: float, left: float | None) -> Iterator[str]:
    """A cancel leaves within a second of its time, whatever the store, the log and the output do. Seconds."""
    if left is None:
        yield f"P5: no cancel of run {run_id} left, due at {due:.1f} s"
    elif left > due + CUT_OFF_BOUND_S:
        yield f"P5: the cancel of run {run_id} left at {left:.1f} s, {left - due:.1f} s after it was due"


def intent_violations(run_id: str, kinds: Collection[str]) -> Iterator[str]:
    """Once the store works again, the events of a run that was cancelled tell who stopped it and why.

    `kinds` are those of its events.
    """
    if not STOP_EVENTS.intersection(kinds):
        yield f"P5: run {run_id} was cancelled, and no event tells of a stop: {sorted(kinds)}"


def launch_service_violations(run_id: str, *, recorded: str | None, used: str) -> Iterator[str]:
    """A launch leaves for the service that its row names."""
    if recorded != used:
        yield f"P11: run {run_id} of {recorded} was launched at {used}"


def guardian_violations(run_id: str, *, has_key: bool, service: str | None, here: str) -> Iterator[str]:
    """A process that takes a run over can poll and cancel it."""
    if not has_key:
        yield f"P11: run {run_id} was taken by a process without a key"
    if service not in (None, here):
        yield f"P11: run {run_id} of {service} was taken by a process that is set up for {here}"


def kept_violations(run_id: str, *, kept_s: float, bound_s: float) -> Iterator[str]:
    """A run is not kept by a process whose key the service refuses, while another one can guard it."""
    if kept_s > bound_s:
        yield f"P11: run {run_id} is kept for {kept_s:.0f} s by a process whose key is refused"


def unguarded_violations(run_id: str, *, late_s: float, bound_s: float) -> Iterator[str]:
    """An agent past its limit is cancelled in time where a process that can guard it has lived all the time."""
    if late_s > bound_s:
        yield f"P11: the agent of run {run_id} works {late_s:.0f} s past its limit; a process that can guard it lives"


def kept_limit_violations(run_id: str, *, was: int, now: int) -> Iterator[str]:
    """The limits of a run are those with which it was claimed."""
    if was != now:
        yield f"P11: the time limit of run {run_id} was {was} ms and is {now} ms"


def config_violations(run_id: str, what: str, value: int, allowed: Collection[int]) -> Iterator[str]:
    """A launch is judged by the config in force in its process; `allowed` is what that config may lead to."""
    if value not in allowed:
        yield f"P11: run {run_id} was launched with a {what} of {value}; the config allows {sorted(allowed)}"


def copy_violations(key: str, place: str, *, may_launch: bool, before: str | None) -> Iterator[str]:
    """A POST of `key` leaves from the state folder `place`, which is not the original and which nobody has accepted.

    `before` is the folder from which the key was launched already.
    """
    if not may_launch:
        yield f"P8: key {key} was launched from a {place} that nobody accepted"
    if before is not None and before != place:
        yield f"P8: key {key} was launched from the folder {before} and again from the {place}"


def cap_violations(day: str, *, held: int, spent: int, overshoot: int, cap: int) -> Iterator[str]:
    """Held and spent milli-units never exceed the cap, but by what runs used beyond their holds."""
    if held + spent > cap + overshoot:
        yield f"I6: {held} held + {spent} spent on {day}, cap {cap}, overshoot {overshoot}"


def sum_violations(holds: Mapping[str, HoldRow], sums: Mapping[str, tuple[int, int, int, int]]) -> Iterator[str]:
    """The sums of each day are those of its holds."""
    days: dict[str, list[int]] = {}
    for hold in holds.values():
        day = days.setdefault(hold.day, [0, 0, 0, 0])
        day[0] += hold.amount * (hold.state == "open")
        day[1] += hold.settled or 0
        day[2] += hold.state == "open"
        day[3] += hold.state == "settled"
    if {day: tuple(counts) for day, counts in days.items()} != dict(sums):
        yield f"I5: the sums {dict(sums)} are not those of the holds {days}"


def log_violations(events: Iterable[EventRow], lines: Iterable[LogRecord]) -> Iterator[str]:
    """Every numbered event is a line of the log, word for word; repeated lines are equal; numbers have no gap."""
    records = {event.ev: event.record for event in events if event.ev is not None and event.record is not None}
    yield from gap_violations(records)
    written = list(lines)
    if {line.ev for line in written} != set(records):
        yield f"I12: lines {sorted({line.ev for line in written})} for the events {sorted(records)}"
    for line in written:
        text = records.get(line.ev)
        if text is not None and parse_line(format_line(record_from_json(line.ev, text))) != line:
            yield f"I12: line {line.ev} is not what its event says"


def gap_violations(numbers: Iterable[int]) -> Iterator[str]:
    """The numbers of the log begin at 1 and have no gap."""
    found = sorted(numbers)
    if found != list(range(1, len(found) + 1)):
        yield f"I12: the numbers of the log have gaps: {found}"


def journal_violations(journal: Mapping[str, str], runs: Iterable[Run]) -> Iterator[str]:
    """An id that reached the launch journal reaches its run."""
    known: dict[str, str | None] = {run.id: run.remote_id for run in runs}
    for run_id, remote_id in journal.items():
        if known.get(run_id) != remote_id:
            yield f"K8: the launch journal has {remote_id} for run {run_id}, its row {known.get(run_id)}"


def replay_violations(store: StoreEvidence, *, fences: bool = True) -> Iterator[str]:
    """The events, replayed from nothing, give each run the state of its row and each day its sums."""
    replay = Replay.of(store.events)
    for step in replay.wrong_steps:
        yield f"I8: {step}"
    if replay.sums != dict(store.sums):
        yield f"I18: the events give the sums {replay.sums}, the store has {dict(store.sums)}"
    found = replay.real_runs
    if set(found) != {run.id for run in store.runs}:
        yield f"I18: the events tell of the runs {sorted(found)}, the store has {sorted(run.id for run in store.runs)}"
    for run in store.runs:
        replayed = found.get(run.id)
        if replayed is None:
            continue
        if (replayed.state, replayed.outcome) != (run.state, run.outcome) or (fences and replayed.fence != run.fence):
            yield f"I18: run {run.id} is {run.state} {run.outcome} fence {run.fence}, its events give {replayed}"


def store_violations(store: StoreEvidence) -> Iterator[str]:
    """Everything that the database alone must show."""
    facts = facts_of(store)
    yield from sum_violations(store.holds, store.sums)
    yield from replay_violations(store)
    yield from gap_violations(event.ev for event in store.events if event.ev is not None)
    for run in store.runs:
        hold = store.holds.get(run.id)
        if hold is not None and hold.state == "settled" and hold.settled != run.used:
            yield f"I5: run {run.id} used {run.used}, its hold is {hold}"
    for runs in by_key(facts).values():
        yield from key_violations([(run, AgentFacts()) for run in runs])


def violations(found: Evidence) -> list[str]:
    """Everything that the database, the files and the service must show together, once the processes have ended."""
    return list(_violations(found))


def _violations(found: Evidence) -> Iterator[str]:
    store = found.store
    yield from store_violations(store)
    yield from log_violations(store.events, found.lines)
    yield from journal_violations(found.journal, store.runs)
    tries = sum(map(len, store.tries.values()))
    if found.posts > tries:
        yield f"I2: {found.posts} POSTs arrived, {tries} were recorded before they left"
    if found.most_working > 1 and not any(RULED in verdicts for verdicts in store.tries.values()):
        yield f"I1: {found.most_working} agents of one key worked at one time"
    agents = defaultdict(list)
    for agent in found.agents:
        agents[agent.run_id].append(agent)
    if unknown := agents.keys() - {run.id for run in store.runs}:
        yield f"I3: agents carry the labels of runs that do not exist: {unknown}"
    rulings = {event.run_id for event in store.events if event.kind == "ruling"}
    for run, row in zip(facts_of(store), store.runs, strict=True):
        yield from run_violations(run, _agent_facts(row, agents[run.id]))
        was_unconfirmed = any(event.run_id == run.id and event.kind == "unconfirmed" for event in store.events)
        if was_unconfirmed and run.state is not State.UNCONFIRMED and run.id not in rulings:
            yield f"I4: run {run.id} is {run.state}; it was unconfirmed, and nobody ruled on it"


def _agent_facts(run: Run, agents: Sequence[AgentEvidence]) -> AgentFacts:
    return AgentFacts(
        started=len(agents),
        unproven_posts=len(agents),
        working=sum(agent.may_spend for agent in agents),
        sandbox_exists=any(agent.may_spend and agent.sandbox_id == run.sandbox_id for agent in agents),
    )


def facts_of(store: StoreEvidence) -> list[RunFacts]:
    """The facts of every run, oldest first."""
    return [_facts_of(run, store.tries.get(run.id, ()), store.holds.get(run.id)) for run in store.runs]


def _facts_of(run: Run, tries: tuple[str, ...], hold: HoldRow | None) -> RunFacts:
    return RunFacts(
        id=run.id,
        key=run.key,
        state=run.state,
        fence=run.fence,
        owner=run.owner,
        outcome=run.outcome,
        fingerprint=str(run.fingerprint),
        origin=run.origin,
        superseded=run.superseded_by is not None,
        sent=run.sent is not None,
        stop=run.stop.reason if run.stop else None,
        alarmed=run.stop is not None and run.stop.alarmed,
        sandbox_deleted=run.sandbox_deleted_ms is not None,
        hold=Hold(hold.state) if hold else Hold.NONE,
        tries=tries,
        used=run.used,
        accepted=run.outcome is Outcome.WRITTEN_OFF or RULED in tries,
    )


def by_key(runs: Iterable[RunFacts]) -> dict[str, list[RunFacts]]:
    """The runs of each key, in their order."""
    found: dict[str, list[RunFacts]] = {}
    for run in runs:
        found.setdefault(run.key, []).append(run)
    return found
