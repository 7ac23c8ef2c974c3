"""Pages of the history are complete and in one order, with any filter and any search text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.run import Outcome, Run, RunId
from console.domain.task import Origin, Stage
from console.store import history
from console.store.history import (
    SELECT_PAGE,
    Bound,
    Cursor,
    HistoryFilter,
    HistoryOrder,
    KeyState,
    KeyStatus,
    _where,
    p95,
)
from console.store.rows import fetch_all
from tests.store.harness import StoreHarness, a_task


async def _ended(harness: StoreHarness, task: str, outcome: Outcome = Outcome.OK, **changes: Any) -> Run:
    """A run of the task that ended with these values."""
    return await harness.settle(await harness.running(a_task(task)), outcome, **changes)


BY_TIME = "runs.created_ms desc, runs.seq desc"


async def _ids(harness: StoreHarness, wanted: HistoryFilter) -> list[RunId]:
    page = await harness.store.history.page(wanted)
    assert len(page.runs) == await harness.store.history.count(wanted)
    return [run.id for run in page.runs]


async def test_pages_show_every_entry_once_newest_first_while_new_ones_come(harness: StoreHarness) -> None:
    made: list[RunId] = []
    for number in range(7):
        harness.clock.advance(number % 2)
        made.append((await harness.claimed(a_task(f"t{number}"))).id)
    seen: list[RunId] = []
    after: Cursor | None = None
    while True:
        page = await harness.store.history.page(HistoryFilter(), limit=2, after=after)
        seen += [run.id for run in page.runs]
        await harness.claim(a_task("later"))
        if (after := page.after) is None:
            break
    assert seen == made[::-1]


async def test_a_page_that_is_just_full_is_the_last(harness: StoreHarness) -> None:
    for number in range(2):
        await harness.claimed(a_task(f"t{number}"))
    assert (await harness.store.history.page(HistoryFilter(), limit=2)).after is None
    assert (await harness.store.history.page(HistoryFilter(tasks=("none",)))).runs == ()


async def test_every_filter_alone_and_together(harness: StoreHarness) -> None:
    ok = await harness.ended(Outcome.OK)
    skipped = (await harness.claim()).run
    harness.clock.advance(3_600)
    other = a_task("other")
    await harness.at_stage(Stage.UNATTENDED, other)
    failed = await harness.ended(Outcome.FAILED, other, scheduled=True)
    live = await harness.running(a_task("live"))
    assert skipped is not None
    everything = [live.id, failed.id, skipped.id, ok.id]
    assert await _ids(harness, HistoryFilter()) == everything
    assert await _ids(harness, HistoryFilter(open_too=False)) == everything[1:]
    assert await _ids(harness, HistoryFilter(tasks=("report",))) == [skipped.id, ok.id]
    assert await _ids(harness, HistoryFilter(tasks=("report", "live"))) == [live.id, skipped.id, ok.id]
    assert await _ids(harness, HistoryFilter(outcomes=(Outcome.OK, Outcome.FAILED))) == [failed.id, ok.id]
    assert await _ids(harness, HistoryFilter(stages=(Stage.UNATTENDED,))) == [failed.id]
    assert await _ids(harness, HistoryFilter(origins=(Origin.SCHEDULE,))) == [failed.id]
    assert await _ids(harness, HistoryFilter(since_ms=failed.created_ms)) == [live.id, failed.id]
    assert await _ids(harness, HistoryFilter(until_ms=failed.created_ms)) == [skipped.id, ok.id]
    both = HistoryFilter(tasks=("report",), outcomes=(Outcome.SKIPPED,), until_ms=failed.created_ms)
    assert await _ids(harness, both) == [skipped.id]


async def test_what_a_filter_excludes_is_the_rest(harness: StoreHarness) -> None:
    ok = await harness.ended(Outcome.OK)
    harness.clock.advance(1)
    failed = await _ended(harness, "other", Outcome.FAILED, note="broken pipe")
    harness.clock.advance(1)
    live = await harness.running(a_task("live"))
    excluded = HistoryFilter(outcomes=(Outcome.OK,))
    assert await _ids(harness, HistoryFilter(without=(excluded,))) == [live.id, failed.id], "one without outcome too"
    both = (excluded, HistoryFilter(tasks=("other",)))
    assert await _ids(harness, HistoryFilter(without=both)) == [live.id]
    assert await _ids(harness, HistoryFilter(without=(excluded,), outcomes=(Outcome.OK,))) == []
    assert await _ids(harness, HistoryFilter(without_text="pip")) == [live.id, ok.id]
    assert await _ids(harness, HistoryFilter(without_text="pip nothing")) == [live.id, ok.id]
    assert await _ids(harness, HistoryFilter(without_text="broken", text="report")) == [ok.id]
    assert await _ids(harness, HistoryFilter(without_text="!")) == [live.id, failed.id, ok.id]


async def test_keys_targets_and_bounds(harness: StoreHarness) -> None:
    cheap = await _ended(harness, "report", used=5_000, cost_micro=100_000)
    harness.clock.advance(1)
    dear = await _ended(harness, "other", used=50_000, cost_micro=2_000_000)
    harness.clock.advance(1)
    unknown = await _ended(harness, "third", used=70_000)
    over = Bound(least=True, value=1_000_000)
    assert await _ids(harness, HistoryFilter(costs=(over,))) == [dear.id], "what is not known is over nothing"
    assert await _ids(harness, HistoryFilter(costs=(Bound(least=False, value=100_000),))) == []
    assert await _ids(harness, HistoryFilter(costs=(Bound(least=False, value=100_000, inclusive=True),))) == [cheap.id]
    assert await _ids(harness, HistoryFilter(without=(HistoryFilter(costs=(over,)),))) == [unknown.id, cheap.id]
    between = (Bound(least=True, value=5_000), Bound(least=False, value=70_000))
    assert await _ids(harness, HistoryFilter(used=between)) == [dear.id]
    assert await _ids(harness, HistoryFilter(keys=(dear.key[:6], cheap.key))) == [dear.id, cheap.id]
    assert await _ids(harness, HistoryFilter(targets=(dear.target,), tasks=("other",))) == [dear.id]
    assert await _ids(harness, HistoryFilter(text="other", keys=(dear.key[:6],), costs=(over,))) == [dear.id]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("order", HistoryOrder)
@pytest.mark.parametrize("text", ["", "done"])
async def test_every_order_has_every_entry_once_over_all_pages(
    harness: StoreHarness, order: HistoryOrder, reverse: bool, text: str
) -> None:
    for number, (used, cost) in enumerate([(9, None), (1, 5), (9, 2), (1, 5), (4, None), (9, 7), (2, 2)]):
        harness.clock.advance(number % 3)
        name = f"t{number % 4}{number}"
        await _ended(harness, name, used=used, cost_micro=cost, elapsed_ms=10 * used, note="done")
    wanted = HistoryFilter(order=order, reverse=reverse, text=text)
    whole = (await harness.store.history.page(wanted)).runs
    values: dict[HistoryOrder, list[Any]] = {
        HistoryOrder.CREATED: [run.created_ms for run in whole],
        HistoryOrder.COST: [-1 if run.cost_micro is None else run.cost_micro for run in whole],
        HistoryOrder.UNITS: [run.used for run in whole],
        HistoryOrder.ELAPSED: [run.elapsed_ms for run in whole],
        HistoryOrder.TASK: [run.task for run in whole],
    }
    assert len({run.id for run in whole}) == 7
    assert values[order] == sorted(values[order], reverse=not wanted.ascends)
    paged: list[RunId] = []
    after: Cursor | None = None
    while True:
        page = await harness.store.history.page(wanted, limit=2, after=after)
        paged += [run.id for run in page.runs]
        if (after := page.after) is None:
            break
    assert paged == [run.id for run in whole]


@pytest.mark.parametrize("text", ["", "done"])
async def test_only_the_newest_entries_are_sorted_so_that_no_read_lasts_long(
    harness: StoreHarness, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(history, "MOST_SORTED", 3)
    made = []
    for number, used in enumerate((90, 10, 30, 20)):
        harness.clock.advance(1)
        made.append((await _ended(harness, f"t{number}", used=used, note="done")).id)
    wanted = HistoryFilter(order=HistoryOrder.UNITS, text=text)
    first = await harness.store.history.page(wanted, limit=2)
    rest = await harness.store.history.page(wanted, limit=2, after=first.after)
    assert [run.id for run in (*first.runs, *rest.runs)] == [made[2], made[3], made[1]], "the oldest is left out"


async def test_a_search_finds_words_by_their_beginning_in_every_text_of_a_run(harness: StoreHarness) -> None:
    wrote = await harness.settle(
        await harness.running(), result="Three errors in checkout.py, two fixed", note="draft 7"
    )
    other = await harness.claimed(a_task("nightly-report", target="acme/site"))
    assert await _ids(harness, HistoryFilter(text="ERR fix")) == [wrote.id]
    assert await _ids(harness, HistoryFilter(text="checkout.py draft")) == [wrote.id]
    assert await _ids(harness, HistoryFilter(text="nightly acme/si")) == [other.id]
    assert await _ids(harness, HistoryFilter(text=other.key[:8])) == [other.id]
    assert await _ids(harness, HistoryFilter(text="err", tasks=("nightly-report",))) == []
    assert await _ids(harness, HistoryFilter(text="rrors")) == []


@pytest.mark.parametrize("text", ['"', "- *", "a OR", "NEAR(", "task:x", "x' --", "\0", "^", "\u202e", "()", "\ud800"])
async def test_no_text_is_taken_for_a_query(harness: StoreHarness, text: str) -> None:
    await harness.claimed()
    assert await harness.store.history.count(HistoryFilter(text=text)) == 0


@pytest.mark.sqlite
async def test_the_index_follows_every_change(harness: StoreHarness) -> None:
    await harness.ended(Outcome.REJECTED)
    await harness.ended(Outcome.DECLINED, date="2026-11-24")
    await harness.ended(Outcome.WRITTEN_OFF, date="2026-11-25")
    await harness.ended(Outcome.OK, date="2026-11-26")
    check = "insert into runs_text (runs_text, rank) values ('integrity-check', 1)"
    await harness.store.database.transaction(lambda tx: tx.rows(check))
    assert await harness.store.history.count(HistoryFilter(text="declined")) == 1


async def test_what_ended_last_comes_first_and_skips_are_left_out(harness: StoreHarness) -> None:
    early = await harness.running(a_task("early"))
    late = await harness.running(a_task("late"))
    await harness.claim(a_task("late"))
    harness.clock.advance(1)
    await harness.settle(late)
    harness.clock.advance(1)
    await harness.settle(early)
    assert [run.id for run in await harness.store.history.recent()] == [early.id, late.id]
    assert [run.id for run in await harness.store.history.recent(1)] == [early.id]


async def test_the_standing_of_a_key_is_what_a_launch_would_meet(harness: StoreHarness) -> None:
    done = await harness.ended(Outcome.OK)
    failed = await harness.ended(Outcome.FAILED, date="2026-11-24")
    live = await harness.running(date="2026-11-25")
    free = await harness.ended(Outcome.REJECTED, date="2026-11-26")
    unknown = "0" * 16
    standings = await harness.store.history.keys([done.key, failed.key, live.key, free.key, unknown])
    assert standings == {
        done.key: KeyStatus(state=KeyState.DONE, attempts=1, holder=done),
        failed.key: KeyStatus(state=KeyState.HELD, attempts=1, holder=failed),
        live.key: KeyStatus(state=KeyState.HELD, attempts=1, holder=live),
        free.key: KeyStatus(state=KeyState.FREE, attempts=1),
        unknown: KeyStatus(state=KeyState.FREE, attempts=0),
    }


async def test_what_is_typical_comes_from_runs_that_ended_ok(harness: StoreHarness) -> None:
    assert await harness.store.history.typical("report") is None
    for number, used in enumerate((1_000, 2_000, 30_000)):
        await harness.ended(Outcome.OK, date=f"2026-12-{10 + number}", used=used)
    await harness.ended(Outcome.FAILED, date="2026-12-20", used=49_000)
    typical = await harness.store.history.typical("report")
    assert typical is not None
    assert (typical.runs, typical.median_units, typical.p95_units, typical.p95_ms) == (3, 2_000, 30_000, 5_000)


@given(st.lists(st.integers(), min_size=1))
def test_a_percentile_leaves_at_most_a_twentieth_above_it(values: list[int]) -> None:
    bound = p95(values)
    assert bound in values
    assert sum(value > bound for value in values) * 20 <= len(values)


async def test_folded_shows_the_newest_attempt_of_a_key_and_every_skip(harness: StoreHarness) -> None:
    first = await harness.ended(Outcome.FAILED)
    harness.clock.advance(1)
    second = await harness.ended(Outcome.OK, rerun=True, reason="again")
    harness.clock.advance(1)
    skipped = await harness.claim()
    assert skipped.run is not None
    history = harness.store.history
    assert [run.id for run in (await history.page(HistoryFilter())).runs] == [skipped.run.id, second.id, first.id]
    folded = HistoryFilter(folded=True)
    assert [run.id for run in (await history.page(folded)).runs] == [skipped.run.id, second.id]
    assert (await history.count(folded), await history.count(folded, at_most=1)) == (2, 1)
    standing = (await history.keys([first.key]))[first.key]
    assert (standing.attempts, standing.holder) == (2, second)
    assert await history.keys([]) == {}


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "wanted",
    [
        HistoryFilter(tasks=("a",)),
        HistoryFilter(tasks=("a",), folded=True),
        HistoryFilter(outcomes=(Outcome.FAILED,)),
        HistoryFilter(stages=(Stage.MANUAL,)),
        HistoryFilter(origins=(Origin.MANUAL,)),
        HistoryFilter(since_ms=0, until_ms=1),
        HistoryFilter(folded=True),
    ],
)
async def test_every_filter_walks_an_index_in_the_order_that_is_shown(
    harness: StoreHarness, wanted: HistoryFilter
) -> None:
    """Scanning or sorting would read a million rows to show fifty."""
    where, parameters = _where(wanted)
    sql = f"explain query plan {SELECT_PAGE.format(columns='runs.*', where=where, order=BY_TIME)}"
    plan = [
        row["detail"]
        for row in await harness.store.database.read(lambda tx: fetch_all(tx, sql, {**parameters, "limit": 9}))
    ]
    assert "USING INDEX" in plan[0]
    assert not [step for step in plan if "TEMP B-TREE" in step]
