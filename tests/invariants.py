"""The laws that every trial is held to: what the service did, what the rows say and what the log tells must agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from console.domain.log_record import format_line, parse_line
from console.domain.run import HOLDING, NEXT, Outcome, State
from console.store.log_records import from_json
from tests.evidence import Evidence, Happened

LAUNCHED = frozenset({"unknown", "launched", "ruled_not_launched", "open"})
"""Verdicts after which an agent may run, or may have run."""
UNLAUNCHED = frozenset({Outcome.NOT_SENT, Outcome.REJECTED, Outcome.DECLINED, Outcome.EXPIRED})

Invariant = Callable[[Evidence], Iterator[str]]


def at_most_one_launch(found: Evidence) -> Iterator[str]:
    """I1, I2: each POST has its record, written before it; of each run at most one may be an agent."""
    tries = sum(len(verdicts) for verdicts in found.sends.values())
    if found.posts > tries:
        yield f"{found.posts} POSTs arrived, {tries} were recorded before they left"
    for run in found.runs:
        verdicts = found.sends.get(run.id, ())
        if sum(verdict in LAUNCHED for verdict in verdicts) > 1:
            yield f"run {run.id} was sent again after {verdicts}"
        if sum(agent.run_id == run.id for agent in found.agents) > 1:
            yield f"run {run.id} has two agents"
    if found.most_live > 1 and not _was_ruled(found):
        yield f"{found.most_live} agents of one key ran at one time"


def nothing_charged_is_free(found: Evidence) -> Iterator[str]:
    """I3: an agent that runs is running here, ended as one that ran, or unconfirmed with its key and hold kept."""
    rows = {run.id: run for run in found.runs}
    for agent in found.agents:
        run = rows.get(agent.run_id)  # type: ignore[call-overload]  # a label is a text, whatever it says
        if run is None:
            yield f"agent {agent.id} belongs to no run"
        elif run.state in (State.PROPOSED, State.CLAIMED) or run.outcome in UNLAUNCHED:
            ruled = "ruled_not_launched" in found.sends.get(run.id, ())
            if not ruled or (agent.may_spend and agent.ran_in == run.sandbox_id):
                yield f"agent {agent.id} was charged, its run is {run.state} {run.outcome}"


def unknown_is_for_a_person(found: Evidence) -> Iterator[str]:
    """I4: what is unknown moves on by a ruling, or by an id that proves it, and by nothing else."""
    for run in found.runs:
        kinds = [event.kind for event in found.events if event.run_id == run.id]
        if "unconfirmed" in kinds and run.state is not State.UNCONFIRMED and "ruling" not in kinds:
            yield f"run {run.id} left unconfirmed by itself: {kinds}"


def the_books_are_right(found: Evidence) -> Iterator[str]:
    """I5, I7: each run has one hold, open as long as it must be and settled with what was used; sums are their sums."""
    for run in found.runs:
        hold = found.holds.get(run.id)
        nothing_sent = run.state is State.ENDED and run.sent is None
        wanted = "open" if run.state in HOLDING else "settled"
        if run.state is State.ENDED and (run.outcome in UNLAUNCHED or nothing_sent):
            wanted = "released"
        if hold is None or hold.state != wanted or (hold.state == "settled" and hold.settled != run.used):
            yield f"run {run.id} is {run.state} {run.outcome}, used {run.used}; its hold is {hold}"
    days: dict[str, list[int]] = {}
    for hold in found.holds.values():
        day = days.setdefault(hold.day, [0, 0, 0, 0])
        for index, more in enumerate((hold.amount * (hold.state == "open"), hold.settled or 0)):
            day[index] += more
        day[2] += hold.state == "open"
        day[3] += hold.state == "settled"
    if {day: tuple(sums) for day, sums in days.items()} != dict(found.sums):
        yield f"the sums {found.sums} are not those of the holds {days}"


def an_end_was_shown(found: Evidence) -> Iterator[str]:
    """I10: what ended here has ended there, unless a person wrote it off."""
    for run in found.runs:
        agent = next((agent for agent in found.agents if agent.id == run.remote_id), None)
        ended = run.state is State.ENDED and run.outcome is not Outcome.WRITTEN_OFF and run.remote_id is not None
        if ended and (agent is None or agent.may_spend):
            yield f"run {run.id} is {run.outcome}, its agent is {agent}"


def each_event_is_a_line(found: Evidence) -> Iterator[str]:
    """I12: every record is in the log, word for word; doubles are equal, and no line is without its event."""
    records = {event.ev: event.record for event in found.events if event.ev is not None and event.record is not None}
    if sorted(records) != list(range(1, len(records) + 1)):
        yield f"numbers of the log have gaps: {sorted(records)}"
    told = {line.ev for line in found.lines}
    if told != set(records):
        yield f"lines {sorted(told)} for the events {sorted(records)}"
    for line in found.lines:
        text = records.get(line.ev)
        if text is not None and parse_line(format_line(from_json(line.ev, text))) != line:
            yield f"line {line.ev} is not what its event says"


def an_id_is_never_lost(found: Evidence) -> Iterator[str]:
    """K8: an id that reached the launch journal reaches its run."""
    rows = {run.id: run for run in found.runs}
    for run_id, remote_id in found.journal.items():
        run = rows.get(run_id)  # type: ignore[call-overload]  # read from a file
        if run is None or run.remote_id != remote_id:
            yield f"the journal knows {remote_id} of run {run_id}, the row {run.remote_id if run else None}"


def the_story_gives_the_rows(found: Evidence) -> Iterator[str]:
    """I8, I18: the events, replayed from nothing, take each run along edges that exist to where its row is."""
    for run in found.runs:
        story = [event for event in found.events if event.run_id == run.id]
        told = _Told()
        for event in story:
            before = told.state
            told.hear(event)
            if before is not told.state and before is not None and told.state not in _reachable(before):
                yield f"run {run.id} went from {before} to {told.state} by {event.kind}"
        if (told.state, told.outcome, told.fence) != (run.state, run.outcome, run.fence):
            yield f"run {run.id} is {run.state} {run.outcome}, its story tells {told.state} {told.outcome}"


class _Told:
    """A run as its events tell it."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.outcome: Outcome | None = None
        self.fence = 1
        self.stopped = False

    def hear(self, event: Happened) -> None:
        """The next one."""
        match event.kind:
            case "claimed" | "sending" | "running" | "unconfirmed":
                self.state = State(event.kind)
            case "not_sent" if event.record is None:
                self.state = State.CLAIMED
            case "taken_over":
                self.fence += 1
            case "stop":
                self.stopped = True
            case kind if kind in set(Outcome):
                self.state, self.outcome = State.ENDED, Outcome(kind)
            case _:
                pass
        if self.stopped and self.state is State.RUNNING:
            self.state = State.STOPPING


def _reachable(state: State) -> frozenset[State]:
    """One edge, or the two that a launch takes at once where a stop was asked meanwhile."""
    return NEXT[state] | frozenset(after for middle in NEXT[state] for after in NEXT[middle])


def _was_ruled(found: Evidence) -> bool:
    return any("ruled_not_launched" in verdicts for verdicts in found.sends.values())


INVARIANTS: tuple[Invariant, ...] = (
    at_most_one_launch,
    nothing_charged_is_free,
    unknown_is_for_a_person,
    the_books_are_right,
    an_end_was_shown,
    each_event_is_a_line,
    an_id_is_never_lost,
    the_story_gives_the_rows,
)


def violations(found: Evidence) -> list[str]:
    """Every breach, by the name of its law."""
    return [f"{law.__name__}: {breach}" for law in INVARIANTS for breach in law(found)]


def standing(found: Evidence) -> list[object]:
    """What a second recovery must leave as it is; who guards a run, and under which fence, may change."""
    return [
        (run.id, run.state, run.outcome, run.used, run.remote_id, run.stop, found.holds.get(run.id))
        for run in found.runs
    ] + [found.sends, found.journal, found.agents, found.posts]
