"""May a key be launched again? The whole table of endings, origins, reruns and fingerprints."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.caps import RefusalKind
from console.domain.key import KeyDecision, KeyDecisionKind, KeyRequest, decide_key
from console.domain.run import KEY_FREEING_OUTCOMES, Limits, Outcome, Run, RunId, State
from console.domain.server_limit import TokenLimit
from console.domain.task import CutOff, Fingerprint, Origin, Stage

SAME = Fingerprint(
    agent="a",
    model="m",
    prompt_sha256="0" * 64,
    prompt_length=1,
    sandbox="own",
    tools="[]",
    network="",
    system_sha256="",
)
OTHER = replace(SAME, model="n")
LIMITS = Limits(
    max_ms=1,
    budget=1,
    server_limit=TokenLimit(tokens=1),
    tokens_per_unit=1,
    cached_weight_milli=0,
    cut_off=CutOff.REACHED,
    stall_ms=1,
)
BY_HAND = KeyRequest(fingerprint=SAME, origin=Origin.MANUAL)
SCHEDULED = replace(BY_HAND, origin=Origin.SCHEDULE)
RERUN = replace(BY_HAND, rerun=True)
RETRY = replace(SCHEDULED, automatic_retry=True)
REQUESTS = (BY_HAND, SCHEDULED, RERUN, RETRY)
NEEDS_A_PERSON = (
    Outcome.FAILED,
    Outcome.INCOMPLETE,
    Outcome.BUDGET,
    Outcome.TIMEOUT,
    Outcome.CANCELLED,
    Outcome.WRITTEN_OFF,
)


def a_run(state: State = State.ENDED, outcome: Outcome | None = None, *, attempt: int = 1) -> Run:
    """Return a run of the key in the given state."""
    return Run(
        id=RunId(f"run-{attempt}"),
        key="0" * 16,
        task="t",
        type="t",
        target="t",
        date="2026-11-23",
        attempt=attempt,
        stage=Stage.MANUAL,
        origin=Origin.MANUAL,
        requested_by="me",
        state=state,
        outcome=outcome,
        fingerprint=SAME,
        limits=LIMITS,
        day="2026-11-23",
        created_ms=0,
    )


def kind(verdict: KeyDecision) -> RefusalKind | KeyDecisionKind:
    """Return the answer, or for a refusal its kind."""
    return verdict.refusal.kind if verdict.refusal else verdict.answer


@pytest.mark.parametrize("launch", REQUESTS)
def test_a_key_that_was_never_run_is_free(launch: KeyRequest) -> None:
    assert decide_key([], launch) == KeyDecision(answer=KeyDecisionKind.FREE, attempt=1)


@pytest.mark.parametrize("launch", REQUESTS)
@pytest.mark.parametrize("fingerprint", [SAME, OTHER])
@pytest.mark.parametrize("outcome", sorted(KEY_FREEING_OUTCOMES))
def test_an_ending_without_a_launched_agent_frees_the_key(
    outcome: Outcome, fingerprint: Fingerprint, launch: KeyRequest
) -> None:
    verdict = decide_key([a_run(outcome=outcome)], replace(launch, fingerprint=fingerprint))
    assert (verdict.answer, verdict.attempt, verdict.supersedes) == (KeyDecisionKind.FREE, 2, None)


@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        (BY_HAND, KeyDecisionKind.DONE),
        (SCHEDULED, KeyDecisionKind.DONE),
        (RETRY, KeyDecisionKind.DONE),
        (RERUN, KeyDecisionKind.FREE),
        (replace(SCHEDULED, rerun=True), KeyDecisionKind.DONE),
        (replace(BY_HAND, fingerprint=OTHER), RefusalKind.FINGERPRINT),
        (replace(SCHEDULED, fingerprint=OTHER), RefusalKind.FINGERPRINT),
        (replace(RERUN, fingerprint=OTHER), KeyDecisionKind.FREE),
    ],
)
def test_a_key_that_ended_ok_is_done_except_for_a_rerun_by_hand(
    launch: KeyRequest, expected: KeyDecisionKind | RefusalKind
) -> None:
    verdict = decide_key([a_run(outcome=Outcome.OK)], launch)
    assert kind(verdict) is expected
    assert verdict.supersedes == ("run-1" if expected is KeyDecisionKind.FREE else None)


@pytest.mark.parametrize("outcome", NEEDS_A_PERSON)
@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        (BY_HAND, RefusalKind.KEY_HELD),
        (SCHEDULED, RefusalKind.KEY_HELD),
        (RERUN, KeyDecisionKind.FREE),
        (replace(SCHEDULED, rerun=True), RefusalKind.KEY_HELD),
        (replace(BY_HAND, fingerprint=OTHER), RefusalKind.FINGERPRINT),
        (replace(RETRY, fingerprint=OTHER), RefusalKind.FINGERPRINT),
        (replace(RERUN, fingerprint=OTHER), KeyDecisionKind.FREE),
    ],
)
def test_other_endings_block_the_key_until_a_person_reruns_it(
    outcome: Outcome, launch: KeyRequest, expected: KeyDecisionKind | RefusalKind
) -> None:
    verdict = decide_key([a_run(outcome=outcome)], launch)
    assert (kind(verdict), verdict.supersedes) == (expected, None)
    if verdict.refusal:
        assert "run-1" in verdict.refusal.sentence
        assert "--rerun" in verdict.refusal.sentence


@pytest.mark.parametrize("outcome", NEEDS_A_PERSON)
def test_only_a_failed_run_is_retried_automatically(outcome: Outcome) -> None:
    expected = KeyDecisionKind.FREE if outcome is Outcome.FAILED else RefusalKind.KEY_HELD
    assert kind(decide_key([a_run(outcome=outcome)], RETRY)) is expected


LIVE = (State.CLAIMED, State.SENDING, State.RUNNING, State.STOPPING)


@pytest.mark.parametrize("launch", REQUESTS)
@pytest.mark.parametrize("state", LIVE)
def test_launches_are_skipped_while_a_run_of_the_key_is_live(state: State, launch: KeyRequest) -> None:
    assert kind(decide_key([a_run(state)], launch)) is KeyDecisionKind.RUNNING
    changed = decide_key([a_run(state)], replace(launch, fingerprint=OTHER))
    assert (kind(changed), changed.differences) == (RefusalKind.FINGERPRINT, ("model: m -> n",))


@pytest.mark.parametrize("launch", REQUESTS)
def test_an_unconfirmed_run_blocks_the_key_until_it_is_settled(launch: KeyRequest) -> None:
    verdict = decide_key([a_run(State.UNCONFIRMED)], launch)
    assert verdict.refusal is not None
    assert (verdict.refusal.kind, "settle it" in verdict.refusal.sentence) == (RefusalKind.KEY_HELD, True)
    changed = decide_key([a_run(State.UNCONFIRMED)], replace(launch, fingerprint=OTHER))
    assert kind(changed) is RefusalKind.FINGERPRINT


@pytest.mark.parametrize("fingerprint", [SAME, OTHER])
def test_a_proposal_blocks_manual_launches_until_it_is_decided(fingerprint: Fingerprint) -> None:
    runs = [a_run(State.PROPOSED)]
    assert kind(decide_key(runs, replace(SCHEDULED, fingerprint=fingerprint))) is KeyDecisionKind.RUNNING
    for launch in (BY_HAND, RERUN):
        assert kind(decide_key(runs, replace(launch, fingerprint=fingerprint))) is RefusalKind.KEY_HELD


def test_the_newest_blocking_ending_decides() -> None:
    failed, declined = a_run(outcome=Outcome.FAILED), a_run(outcome=Outcome.DECLINED, attempt=2)
    verdict = decide_key([failed, declined], BY_HAND)
    assert (verdict.holder, verdict.attempt, kind(verdict)) == (failed, 3, RefusalKind.KEY_HELD)
    assert kind(decide_key([failed, declined], RETRY)) is KeyDecisionKind.FREE


def test_a_superseded_run_is_not_superseded_again() -> None:
    """A rerun that launched nothing leaves the run as the newest one that did the work."""
    old = replace(a_run(outcome=Outcome.OK), superseded_by=RunId("run-2"))
    never_sent = a_run(outcome=Outcome.NOT_SENT, attempt=2)
    assert kind(decide_key([old, never_sent], SCHEDULED)) is KeyDecisionKind.DONE
    assert decide_key([old, never_sent], RERUN).supersedes is None


def test_skipped_and_refused_entries_are_ignored() -> None:
    entries = [a_run(outcome=outcome, attempt=0) for outcome in (Outcome.SKIPPED, Outcome.REFUSED)]
    assert decide_key(entries, BY_HAND) == KeyDecision(answer=KeyDecisionKind.FREE, attempt=1)


@given(
    st.lists(st.sampled_from([outcome for outcome in Outcome if outcome is not Outcome.OK]), max_size=6),
    st.sampled_from([*State]),
    st.sampled_from(REQUESTS),
    st.booleans(),
)
def test_no_launch_takes_the_key_of_an_open_run(
    endings: list[Outcome], last: State, launch: KeyRequest, changed: bool
) -> None:
    runs = [a_run(outcome=outcome, attempt=number + 1) for number, outcome in enumerate(endings)]
    runs.append(a_run(last, Outcome.FAILED if last is State.ENDED else None, attempt=len(runs) + 1))
    verdict = decide_key(runs, replace(launch, fingerprint=OTHER if changed else SAME))
    assert verdict.attempt == len(runs) + 1
    if last is not State.ENDED:
        assert verdict.answer is not KeyDecisionKind.FREE
        assert verdict.holder == runs[-1]
    if changed and verdict.answer is KeyDecisionKind.FREE:
        assert launch.rerun
