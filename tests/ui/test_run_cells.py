"""A run as a row: every column in every state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.domain.run import Outcome, Run, State
from console.engine.models import Snapshot
from console.tables import PlacedColumn
from console.ui.glyphs import UNICODE
from console.ui.runs.cells import (
    COLUMNS,
    ColumnName,
    budget_tone,
    cell,
    cut_off,
    header,
    last_step,
    placed_columns,
    row,
    step_text,
)
from console.ui.spans import Tone, width
from console.ui.state.view_state import ViewState
from tests.ui import samples

VIEW = ViewState(snapshot=Snapshot(taken=samples.NOW, time_zone="Europe/Berlin"), now=samples.NOW)


def shown(name: ColumnName, run: Run, cells: int = 18) -> str:
    column = next(column for column in COLUMNS if column.name is name)
    return "".join(span.text for span in cell(PlacedColumn(column=column, cells=cells), run, VIEW, UNICODE))


@pytest.mark.parametrize("total", [80, 100, 120, 160, 200])
@pytest.mark.parametrize("run", [*samples.busy(), *samples.ended()], ids=lambda run: run.outcome or run.state)
def test_a_row_takes_exactly_its_cells_in_every_state(run: Run, total: int) -> None:
    placed = placed_columns(total)
    assert width(row(run, VIEW, placed, total, UNICODE)) == width(header(placed, total))


@pytest.mark.parametrize(
    ("left_s", "text", "tone"),
    [
        (600, "10:00", Tone.PLAIN),
        (91, "1:31", Tone.PLAIN),
        (90, "! 1:30", Tone.WARN),
        (1, "! 0:01", Tone.WARN),
        (0, "+0:00", Tone.BAD),
        (-75, "+1:15", Tone.BAD),
    ],
)
def test_the_countdown_warns_in_its_last_tenth_and_counts_on_past_the_deadline(
    left_s: int, text: str, tone: Tone
) -> None:
    run = replace(samples.run(1), deadline_ms=samples.moment(left_s).wall_ms)
    assert cut_off(run, VIEW, UNICODE) == (text, tone)


def test_a_run_without_a_deadline_shows_none_and_an_ended_one_shows_when_it_ended() -> None:
    assert cut_off(samples.proposal(), VIEW, UNICODE).text == UNICODE.none
    assert cut_off(samples.ended()[0], VIEW, UNICODE) == ("04:19", Tone.MUTED)


@pytest.mark.parametrize(
    ("used", "cap", "tone"), [(0, 80, Tone.BUSY), (59, 80, Tone.BUSY), (60, 80, Tone.WARN), (80, 80, Tone.BAD)]
)
def test_a_budget_warns_from_three_quarters_on(used: int, cap: int, tone: Tone) -> None:
    assert budget_tone(used, cap) is tone


def test_the_slash_of_all_budgets_is_in_one_column() -> None:
    texts = [shown(ColumnName.BUDGET, run, 20) for run in (*samples.busy(), *samples.ended())]
    assert len({text.index("/") for text in texts}) == 1


def test_figures_that_never_came_are_not_shown_as_zero() -> None:
    assert f"{UNICODE.none}/80" in shown(ColumnName.BUDGET, samples.run(1))
    assert " 0/" in shown(ColumnName.BUDGET, samples.proposal()), "nothing was sent, so nothing was used"
    assert " 0/80" in shown(ColumnName.BUDGET, replace(samples.run(1), usage_known=True))


def test_elapsed_counts_real_time_from_the_launch() -> None:
    assert shown(ColumnName.ELAPSED, samples.run(1, sent_ago=312), 8) == "    5:12"
    assert shown(ColumnName.ELAPSED, samples.proposal(), 8).strip() == UNICODE.none
    assert shown(ColumnName.ELAPSED, samples.ended()[0], 8).strip() == "6:52"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (samples.proposal(), "expires 07:32"),
        (samples.run(1, State.CLAIMED, sent_ago=None), "starting"),
        (samples.run(1, State.SENDING, sent_ago=1), "sent, no id yet"),
        (samples.unconfirmed(), "may be running: settle it"),
        (samples.stopping(), "timeout, requested 1:40 ago"),
        (replace(samples.run(1), trouble="connect timeout"), "connect timeout"),
        (replace(samples.run(1), stalled=True, last_step_ms=samples.moment(-390).wall_ms), "no new step for 6 min"),
        (samples.run(1, step="Reading"), "Reading"),
        (replace(samples.run(1, State.ENDED, outcome=Outcome.FAILED), note="gave up"), "gave up"),
    ],
)
def test_the_last_column_says_what_it_does_or_waits_for(run: Run, words: str) -> None:
    assert last_step(run, VIEW).text == words


def test_a_claimed_run_that_waits_says_how_many_launches_are_sent_before_it() -> None:
    run = samples.run(1, State.CLAIMED, sent_ago=None)
    view = replace(VIEW, snapshot=replace(VIEW.snapshot, queued={run.id: 12}))
    assert last_step(run, view).text == "queued, 12 before it"


def test_the_kind_of_a_step_is_left_out_where_there_is_a_text() -> None:
    assert step_text("code_execution_call: ls logs/") == "ls logs/"
    assert step_text("code_execution_result:") == "code result"
    assert step_text("thought") == "thought"
    assert step_text("Error: no such file") == "Error: no such file"
    assert step_text("tool: \x1b[2J") == "␛[2J"
