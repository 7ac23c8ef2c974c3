"""Random sequences of acts against the real store, compared with a reference model and held to the invariants."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from console.domain.launch import LaunchKind
from console.domain.run import IllegalTransition, Outcome, Run, State, StopReason
from console.domain.task import Task
from console.domain.timestamps import Timestamp
from console.domain.usage import Usage
from console.store.errors import StaleRun
from console.store.fleet_settings import FleetSettings
from console.store.progress import Progress
from console.store.transitions import RunResult
from tests.invariants import AgentFacts, RunFacts, Write, change_violations, facts_of, run_violations, store_violations
from tests.store.harness import BUDGET, BY, record_progress
from tests.store.reference_model import (
    DATES,
    TASKS,
    TIGHT,
    InMemory,
    OnDisk,
    OnPostgres,
    ReferenceModel,
    blocks_for_good,
    charged,
    expected_sums,
    overshoot,
)

PICK = st.integers(min_value=0, max_value=10**6)
USED = st.integers(min_value=0, max_value=2 * BUDGET)
PARTS = 4
MEANWHILE = (
    *(("passes", seconds) for seconds in (1, 59, 61, 3_600, 86_400)),
    *(("is set", days) for days in (-2, -1, 1)),
    *(("another process", 0) for _ in range(3)),
)
"""What happens between two acts: time passes, the wall clock is set, another process opens the store."""
BY_ANYBODY = Write(by_owner=True, by_person=True)
"""The rules act as owners and as persons; who may write is the subject of other tests."""
REAL_ENDINGS = (Outcome.OK, Outcome.FAILED, Outcome.INCOMPLETE, Outcome.BUDGET, Outcome.TIMEOUT, Outcome.CANCELLED)


class StoreStateMachine(RuleBasedStateMachine):
    """Every act of an engine or an operator, on runs in any order, with crashes and new days between.

    A reference model beside the store says what each act must give; the invariants are checked after each of them.
    """

    storage: type[InMemory | OnDisk | OnPostgres] = InMemory

    def __init__(self) -> None:
        super().__init__()
        self.reference = ReferenceModel(self.storage())
        self.ended: dict[str, Run] = {}
        self.facts: dict[str, RunFacts] = {}
        """The facts of each run when they were checked last."""
        self._checked = -1
        """How much had been written by then."""
        self._summed: tuple[int, Timestamp] | None = None
        """How much had been written, and the time, when the usage of the caps was checked last."""

    def teardown(self) -> None:
        """Removes the state folder."""
        self.reference.throw_away()

    def pick(self, pick: int, *states: State) -> Run | None:
        """One of the runs in these states."""
        found = self.reference.in_state(*states)
        return found[pick % len(found)].run if found else None

    @invariant()
    def cap_usages_are_those_of_the_reference_model(self) -> None:
        """Checked only where something was written since, or the time is another; the rows are compared each time."""
        reference = self.reference
        summed = (reference.storage.written(), reference.clock.now())
        if summed == self._summed:
            return
        self._summed = summed
        usages = reference.do(reference.store.ledger.cap_usages(TIGHT, reference.clock.now()))
        assert {usage.cap: (usage.held, usage.spent) for usage in usages} == expected_sums(reference)

    @invariant()
    def no_day_exceeds_its_cap_but_by_the_overshoot(self) -> None:
        for day in {entry.day for entry in self.reference.entries.values()}:
            entries = self.reference.of_days([day])
            assert sum(map(charged, entries)) <= (TIGHT.daily_units or 0) + overshoot(entries)

    @invariant()
    def rows_are_those_of_the_reference_model(self) -> None:
        reference = self.reference
        rows = reference.rows()
        assert set(rows) == set(reference.entries)
        for run_id, entry in reference.entries.items():
            row, expected = rows[run_id], entry.run
            assert (row.state, row.outcome, row.owner, row.fence, row.used) == (
                expected.state,
                expected.outcome,
                expected.owner,
                expected.fence,
                expected.used,
            )
            assert entry.ends == (row.state is State.ENDED)
            if row.state is State.ENDED:
                kept = self.ended.setdefault(run_id, row)
                assert replace(row, superseded_by=None) == replace(kept, superseded_by=None)

    @invariant()
    def no_invariant_of_a_run_is_broken(self) -> None:
        """Checked only where something was written since."""
        written = self.reference.storage.written()
        if written == self._checked:
            return
        self._checked = written
        store = self.reference.storage.evidence()
        found = list(store_violations(store))
        for run in facts_of(store):
            before = self.facts.get(run.id, run)
            found += change_violations(before, run, BY_ANYBODY)
            launched = run.tries.count("launched")
            found += run_violations(run, AgentFacts(started=launched, unproven_posts=launched))
            self.facts[run.id] = run
        assert not found, "\n".join(found)

    @rule(task=st.sampled_from(TASKS), date=st.sampled_from(DATES), rerun=st.booleans())
    def claim(self, task: Task, date: str, rerun: bool) -> None:
        reference = self.reference
        request, terms = reference.harness.launch_of(task, date=date, rerun=rerun, reason="again")
        holder, ending = reference.open_of_key(terms.key), reference.blocking(terms.key)
        room = reference.room_for(task)
        answer = reference.do(reference.store.claims.claim(request, terms, reference.clock.now()))
        if holder is not None:
            unconfirmed = holder.run.state is State.UNCONFIRMED
            assert answer.kind is (LaunchKind.REFUSED if unconfirmed else LaunchKind.SKIPPED)
        elif ending is not None and blocks_for_good(ending.run.outcome) and not rerun:
            assert answer.kind is (LaunchKind.SKIPPED if ending.run.outcome is Outcome.OK else LaunchKind.REFUSED)
        else:
            assert answer.kind is (LaunchKind.LAUNCHED if room else LaunchKind.REFUSED)
        if answer.kind is LaunchKind.LAUNCHED:
            reference.took(answer.run)

    @precondition(lambda self: self.reference.in_state(State.CLAIMED))
    @rule(pick=PICK)
    def send(self, pick: int) -> None:
        run = self.pick(pick, State.CLAIMED)
        assert run is not None
        if run.stop is None:
            self.reference.saw(
                self.reference.do(self.reference.store.runs.mark_sending(run, self.reference.clock.now()))
            )
            return
        ending = RunResult.of_nothing_sent(Outcome.CANCELLED, "stopped before")
        self.reference.closed(
            self.reference.do(self.reference.store.runs.settle(run, ending, self.reference.clock.now())), None
        )

    @precondition(lambda self: self.reference.in_state(State.SENDING))
    @rule(pick=PICK, what=st.sampled_from(["launched", "launched", "again", "not_sent", "rejected", "unknown"]))
    def answer(self, pick: int, what: str) -> None:
        run, reference = self.pick(pick, State.SENDING), self.reference
        assert run is not None
        runs, now = reference.store.runs, reference.clock.now()
        match what:
            case "launched":
                reference.saw(
                    reference.do(
                        runs.record_launched(run, remote_id=f"r-{run.id}", status="", sandbox_id=None, now=now)
                    )
                )
            case "again":
                reference.saw(reference.do(runs.record_not_sent(run, why="x", final=False, now=now)))
            case "not_sent":
                reference.closed(reference.do(runs.record_not_sent(run, why="x", final=True, now=now)), None)
            case "rejected":
                reference.closed(reference.do(runs.record_rejected(run, why="x", now=now)), None)
            case _:
                reference.saw(reference.do(runs.record_unconfirmed(run, why="x", now=now)))

    @precondition(lambda self: self.reference.in_state(State.RUNNING, State.STOPPING))
    @rule(pick=PICK, used=USED)
    def progress(self, pick: int, used: int) -> None:
        run = self.pick(pick, State.RUNNING, State.STOPPING)
        assert run is not None
        progress = Progress(usage=Usage(total=used), used=used, usage_known=True)
        seen = self.reference.do(record_progress(self.reference.store.runs, run, progress, self.reference.clock.now()))
        assert seen.used == max(run.used, used)
        self.reference.saw(seen)

    @precondition(lambda self: self.reference.in_state(*State))
    @rule(pick=PICK, reason=st.sampled_from(StopReason))
    def stop(self, pick: int, reason: StopReason) -> None:
        run = self.pick(pick, *State)
        assert run is not None
        asked = self.reference.do(
            self.reference.store.runs.request_stop(run.id, reason=reason, by=BY, now=self.reference.clock.now())
        )
        if run.stop is not None or run.state is State.ENDED:
            assert replace(asked, superseded_by=None) == replace(run, superseded_by=None)
        else:
            assert asked.stop is not None
            assert asked.stop.reason is reason
        self.reference.saw(asked)

    @precondition(lambda self: self.reference.in_state(State.RUNNING, State.STOPPING))
    @rule(pick=PICK, used=USED, outcome=st.sampled_from(REAL_ENDINGS), known=st.booleans())
    def settle(self, pick: int, used: int, outcome: Outcome, known: bool) -> None:
        run = self.pick(pick, State.RUNNING, State.STOPPING)
        assert run is not None
        ending = RunResult(outcome=outcome, usage=Usage(total=used), used=used, usage_known=known)
        ended = self.reference.do(self.reference.store.runs.settle(run, ending, self.reference.clock.now()))
        spent = used if known else max(run.used, BUDGET)
        assert ended.used == spent
        self.reference.closed(ended, spent)

    @precondition(lambda self: self.reference.in_state(State.UNCONFIRMED))
    @rule(pick=PICK, ruling=st.sampled_from(["adopt", "not_launched", "write_off"]))
    def resolve(self, pick: int, ruling: str) -> None:
        run, reference = self.pick(pick, State.UNCONFIRMED), self.reference
        assert run is not None
        runs, now = reference.store.runs, reference.clock.now()
        match ruling:
            case "adopt":
                reference.saw(reference.do(runs.adopt(run, remote_id=f"r-{run.id}", by=BY, reason="seen", now=now)))
            case "not_launched":
                reference.closed(reference.do(runs.rule_not_launched(run, by=BY, reason="looked", now=now)), None)
            case _:
                reference.closed(reference.do(runs.write_off(run, by=BY, reason="gone", now=now)), BUDGET)

    @precondition(lambda self: self.reference.in_state(State.CLAIMED))
    @rule(pick=PICK)
    def expire(self, pick: int) -> None:
        run, reference = self.pick(pick, State.CLAIMED), self.reference
        assert run is not None
        late = run.expires_ms is not None and reference.clock.now().wall_ms >= run.expires_ms
        expired = reference.do(reference.store.claims.expire(run.id, reference.clock.now()))
        assert (expired is not None) is late
        if expired is not None:
            reference.closed(expired, None)

    @precondition(lambda self: self.reference.in_state(*set(State) - {State.ENDED}))
    @rule(pick=PICK)
    def take_over(self, pick: int) -> None:
        run = self.pick(pick, *set(State) - {State.ENDED})
        assert run is not None
        taken = self.reference.do(
            self.reference.store.runs.take_over(run, owner=f"owner-{run.fence + 1}", now=self.reference.clock.now())
        )
        assert taken is not None
        self.reference.saw(taken)

    @precondition(lambda self: self.reference.stale)
    @rule(pick=PICK)
    def write_with_old_knowledge(self, pick: int) -> None:
        """A write that starts from an outdated row is refused, unless state, owner and fence are still the same."""
        reference = self.reference
        old = reference.stale[pick % len(reference.stale)]
        now_is = reference.entries[old.id].run
        if (old.state, old.owner, old.fence) == (now_is.state, now_is.owner, now_is.fence):
            return
        runs, now = reference.store.runs, reference.clock.now()
        for write in (
            runs.mark_sending(old, now),
            runs.record_unconfirmed(old, why="x", now=now),
            runs.settle(old, RunResult(outcome=Outcome.OK), now),
            record_progress(runs, old, Progress(used=1), now),
        ):
            with pytest.raises((StaleRun, IllegalTransition)):
                reference.do(write)

    @rule(what=st.sampled_from(MEANWHILE))
    def meanwhile(self, what: tuple[str, int]) -> None:
        """One rule for all of these, so that they are not three steps in four while no run is open."""
        match what:
            case ("passes", seconds):
                self.reference.clock.advance(seconds)
            case ("is set", days):
                self.reference.clock.step_wall(days * 86_400)
            case _:
                self.reference.leave()
                self.reference.open()


class OnDiskStateMachine(StoreStateMachine):
    """The same on real files, where each step costs its flushes."""

    storage = OnDisk


class OnPostgresStateMachine(StoreStateMachine):
    """The same on the database of several machines."""

    storage = OnPostgres


def _run(kind: type[StoreStateMachine], examples: int, steps: int) -> None:
    checks = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(kind, settings=checks)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_sequence_of_acts_breaks_an_invariant(part: int) -> None:
    """In parts, so that several processes share them."""
    _run(StoreStateMachine, examples=3_000 // PARTS, steps=50)


def test_no_sequence_of_acts_breaks_an_invariant_on_disk() -> None:
    _run(OnDiskStateMachine, examples=12, steps=30)


def test_no_sequence_of_acts_breaks_an_invariant_on_postgres(
    fleet: FleetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnPostgres, "fleet", fleet)
    _run(OnPostgresStateMachine, examples=10, steps=50)


@pytest.mark.soak
def test_no_sequence_of_acts_breaks_an_invariant_on_postgres_in_many_examples(
    fleet: FleetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnPostgres, "fleet", fleet)
    _run(OnPostgresStateMachine, examples=500, steps=50)


@pytest.mark.soak
def test_no_sequence_of_acts_breaks_an_invariant_on_disk_in_very_many_examples() -> None:
    _run(OnDiskStateMachine, examples=1_000, steps=50)


@pytest.mark.soak
def test_no_sequence_of_acts_breaks_an_invariant_in_very_many_examples() -> None:
    _run(StoreStateMachine, examples=100_000, steps=50)
