"""Runs are found by id, by the beginning of an id, or by key."""

from __future__ import annotations

import pytest

from console.domain.run import Outcome, RunId, State
from console.store.errors import StoreError
from tests.store.harness import OPEN_STATES, StoreHarness, a_task, run_in


async def test_an_id_a_prefix_or_a_key_finds_it(harness: StoreHarness) -> None:
    run = await harness.ended(Outcome.FAILED)
    again = await harness.claimed(rerun=True, reason="again")
    await harness.claim()
    runs = harness.store.runs
    assert await runs.find(run.id) == (run,)
    assert await runs.find(f" {run.id[:20].upper()} ") == (run,)
    assert await runs.find(run.key) == (run, again)
    assert await runs.by_key(run.key) == (run, again)
    assert await runs.get(RunId("none")) is None


@pytest.mark.parametrize("text", ["", "01m", "ffffffffffffffff", "%", "'; --", "01ilou", "zzzz"])
async def test_a_selector_that_names_no_run_finds_none(harness: StoreHarness, text: str) -> None:
    await harness.claimed()
    assert await harness.store.runs.find(text) == ()


async def test_a_prefix_of_many_finds_them_for_the_caller_to_name(harness: StoreHarness) -> None:
    made = {(await harness.claimed(a_task(f"t{number}"))).id for number in range(3)}
    assert {run.id for run in await harness.store.runs.find(min(made)[:8])} == made


async def test_open_runs_are_all_that_have_not_ended_oldest_first(harness: StoreHarness) -> None:
    made = []
    for state in OPEN_STATES:
        harness.task = a_task(state.value)
        made.append((await run_in(harness, state)).id)
        await harness.ended(Outcome.OK, a_task(f"{state.value}-done"))
    harness.task = a_task("proposed")
    made.append((await harness.proposed()).id)
    found = await harness.store.runs.open_runs()
    assert [run.id for run in found] == made
    assert found[-1].state is State.PROPOSED


async def test_a_timeline_lists_a_run_from_claim_to_end(harness: StoreHarness) -> None:
    run = await harness.ended(Outcome.OK)
    events = await harness.store.runs.timeline(run.id)
    assert [event.kind for event in events] == ["claimed", "sending", "running", "ok"]
    assert events[0].detail == {"by": "tester tty=no", "day": "2026-11-23", "hold": "50.0", "owner": "owner-1"}
    assert events[2].detail == {"remote": f"remote-{run.id}"}


@pytest.mark.sqlite
async def test_a_row_this_program_cannot_have_written_is_an_error(harness: StoreHarness) -> None:
    run = await harness.claimed()
    forged = "update runs set cut_off = 'reached', note = cast(x'ff' as text) where id = :id"
    await harness.store.database.transaction(lambda tx: tx.rows(forged, {"id": run.id}))
    with pytest.raises(StoreError):
        await harness.store.runs.get(run.id)
