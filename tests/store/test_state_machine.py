"""Random lives of runs against the real store: the books stay right, holds end once, nothing ended ever changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from console.domain.launch import LaunchKind
from console.domain.run import IllegalTransition, Outcome, Run, State, StopReason
from console.domain.task import Task
from console.domain.usage import Usage
from console.store.errors import StaleRun
from console.store.rows import Progress, RunResult
from tests.store.harness import BUDGET, BY
from tests.store.reference_model import (
    DATES,
    TASKS,
    TIGHT,
    InMemory,
    OnDisk,
    ReferenceModel,
    blocks_for_good,
    charged,
    expected_sums,
    overshoot,
)
from tests.store.replay import as_kept, replayed

PICK = st.integers(min_value=0, max_value=10**6)
USED = st.integers(min_value=0, max_value=2 * BUDGET)
PARTS = 4
MEANWHILE = (
    *(("passes", seconds) for seconds in (1, 59, 61, 3_600, 86_400)),
    *(("is set", days) for days in (-2, -1, 1)),
    *(("another process", 0) for _ in range(3)),
)
"""What time, the wall clock and the process do between two acts."""
NOTHING_CAME = ("not_sent", "rejected")
"""Verdicts of tries after which no agent can be there."""
REAL_ENDINGS = (Outcome.OK, Outcome.FAILED, Outcome.INCOMPLETE, Outcome.BUDGET, Outcome.TIMEOUT, Outcome.CANCELLED)


class Audited(RuleBasedStateMachine):
    """A store beside its second books, and what must hold after every act."""

    shelf: type[InMemory | OnDisk] = InMemory

    def __init__(self) -> None:
        super().__init__()
        self.reference = ReferenceModel(self.shelf())
        self.ended: dict[str, Run] = {}
        self.fences: dict[str, int] = {}
        self._judged = -1
        """How much had been written when what the store alone tells was judged last."""

    def teardown(self) -> None:
        """Throws the state folder away."""
        self.reference.throw_away()

    def pick(self, pick: int, *states: State) -> Run | None:
        """One of the runs in these states."""
        found = self.reference.in_state(*states)
        return found[pick % len(found)].run if found else None

    @invariant()
    def held_and_spent_are_what_the_runs_say(self) -> None:
        reference = self.reference
        cap_usages = reference.do(reference.store.ledger.cap_usages(TIGHT, reference.clock.now()))
        assert {cap_usage.cap: (cap_usage.held, cap_usage.spent) for cap_usage in cap_usages} == expected_sums(
            reference
        )

    @invariant()
    def no_day_passes_its_cap_but_by_what_was_noted(self) -> None:
        for day in {entry.day for entry in self.reference.entries.values()}:
            entries = self.reference.of_days([day])
            assert sum(map(charged, entries)) <= (TIGHT.daily_units or 0) + overshoot(entries)

    @invariant()
    def rows_are_as_told_and_nothing_ended_changes(self) -> None:
        reference = self.reference
        rows = reference.rows()
        assert set(rows) == set(reference.entries)
        for run_id, entry in reference.entries.items():
            row = rows[run_id]
            assert (row.state, row.outcome, row.owner, row.fence, row.used) == (
                entry.run.state,
                entry.run.outcome,
                entry.run.owner,
                entry.run.fence,
                entry.run.used,
            )
            assert entry.ends == (row.state is State.ENDED)
            assert row.fence >= self.fences.get(run_id, 1)
            self.fences[run_id] = row.fence
            if row.state is State.ENDED:
                kept = self.ended.setdefault(run_id, row)
                assert replace(row, superseded_by=None) == replace(kept, superseded_by=None)

    @invariant()
    def the_store_alone_tells_a_whole_story(self) -> None:
        """Of what was judged already, and has not been written to, nothing is asked again."""
        written = self.reference.shelf.written()
        if written == self._judged:
            return
        self._judged = written
        self._each_key_has_one_open_run_and_one_try_that_may_be_an_agent()
        self._the_events_alone_give_the_same_books_and_states()
        self._log_records_have_no_gap()

    def _each_key_has_one_open_run_and_one_try_that_may_be_an_agent(self) -> None:
        reference = self.reference
        keys = [run.key for run in reference.do(reference.store.runs.open_runs())]
        assert len(keys) == len(set(keys))
        tried = Counter(run_id for run_id, verdict in reference.verdicts() if verdict not in NOTHING_CAME)
        assert all(tries <= 1 for tries in tried.values())

    def _the_events_alone_give_the_same_books_and_states(self) -> None:
        store = self.reference.store
        assert self.reference.do(replayed(store)) == self.reference.do(as_kept(store))

    def _log_records_have_no_gap(self) -> None:
        records = self.reference.do(self.reference.harness.records())
        assert [record.ev for record in records] == list(range(1, len(records) + 1))


class Lives(Audited):
    """Every act an engine or an operator can do, on runs in any order, with crashes and new days between."""

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
        seen = self.reference.do(self.reference.store.runs.record_progress(run, progress, self.reference.clock.now()))
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
        spent = used if known else run.used if run.usage_known else BUDGET
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
        """Somebody who missed what happened since: refused, unless nothing that he believes has changed."""
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
            runs.record_progress(old, Progress(used=1), now),
        ):
            with pytest.raises((StaleRun, IllegalTransition)):
                reference.do(write)

    @rule(what=st.sampled_from(MEANWHILE))
    def meanwhile(self, what: tuple[str, int]) -> None:
        """One rule, so that three steps in four are not of this kind while nothing is under way."""
        match what:
            case ("passes", seconds):
                self.reference.clock.advance(seconds)
            case ("is set", days):
                self.reference.clock.step_wall(days * 86_400)
            case _:
                self.reference.leave()
                self.reference.open()


class LivesOnDisk(Lives):
    """The same on real files, where each step costs its flushes."""

    shelf = OnDisk


def _lives(kind: type[Lives], examples: int, steps: int) -> None:
    checks = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(kind, settings=checks)


@pytest.mark.parametrize("part", range(PARTS))
def test_the_books_are_right_through_any_life(part: int) -> None:
    """In parts, so that several processes share them."""
    _lives(Lives, examples=3_000 // PARTS, steps=50)


def test_the_books_are_right_on_disk() -> None:
    _lives(LivesOnDisk, examples=12, steps=30)


@pytest.mark.soak
def test_the_books_are_right_on_disk_through_very_many_lives() -> None:
    _lives(LivesOnDisk, examples=1_000, steps=50)


@pytest.mark.soak
def test_the_books_are_right_through_very_many_lives() -> None:
    _lives(Lives, examples=100_000, steps=50)
