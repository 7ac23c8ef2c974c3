"""Signs and gauges."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from rich.cells import cell_len

from console.domain.run import Outcome, State
from console.ui.glyphs import ASCII, UNICODE, Glyphs, gauge, state_span
from console.ui.spans import Tone, width
from tests.ui import samples

SETS = pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])


def bar(cells: int, used: int, whole: int | None, glyphs: Glyphs = UNICODE) -> str:
    return "".join(span.text for span in gauge(cells, ((used, Tone.BUSY),), whole, glyphs))


@SETS
def test_every_sign_takes_one_cell_and_every_state_has_one(glyphs: Glyphs) -> None:
    assert set(glyphs.states) == set(State)
    assert set(glyphs.outcomes) == set(Outcome)
    signs = [*glyphs.states.values(), *glyphs.outcomes.values()]
    signs += [
        getattr(glyphs, field.name) for field in fields(glyphs) if field.name not in ("states", "outcomes", "half")
    ]
    assert {cell_len(sign) for sign in signs} == {1}


@SETS
def test_open_states_differ_without_a_colour(glyphs: Glyphs) -> None:
    assert len(set(glyphs.states.values())) == len(State)
    texts = [state_span(run, glyphs).text for run in samples.busy()]
    assert len(set(texts)) == len({(run.state, run.stalled) for run in samples.busy()})


def test_the_ascii_signs_are_ascii() -> None:
    signs = [*ASCII.states.values(), *ASCII.outcomes.values(), ASCII.full, ASCII.held, ASCII.empty, ASCII.rule]
    assert all(sign.isascii() for sign in signs)


@pytest.mark.parametrize(
    ("used", "drawn"),
    [
        (0, "────────"),
        (1, "╸───────"),
        (50, "━━━━────"),
        (56, "━━━━╸───"),
        (99, "━━━━━━━╸"),
        (100, "━━━━━━━━"),
        (300, "━━━━━━━━"),
    ],
)
def test_a_gauge_starts_with_the_first_unit_and_is_full_only_at_the_cap(used: int, drawn: str) -> None:
    assert bar(8, used, 100) == drawn


@pytest.mark.parametrize(("used", "drawn"), [(0, "........"), (1, "#......."), (99, "#######."), (100, "########")])
def test_without_halves_the_same_holds(used: int, drawn: str) -> None:
    assert bar(8, used, 100, ASCII) == drawn


def test_spent_and_held_share_one_gauge() -> None:
    spans = gauge(10, ((40, Tone.BUSY), (20, Tone.HELD)), 100, UNICODE)
    assert "".join(span.text for span in spans) == "━━━━╍╍────"
    assert [span.tone for span in spans] == [Tone.BUSY, Tone.HELD, Tone.FAINT]


@SETS
@pytest.mark.parametrize("whole", [None, 0, 1, 7, 1000])
def test_a_gauge_has_its_cells_for_any_figures(glyphs: Glyphs, whole: int | None) -> None:
    for cells in range(0, 12):
        for first in range(0, 1200, 57):
            spans = gauge(cells, ((first, Tone.BUSY), (first // 3, Tone.HELD)), whole, glyphs)
            assert width(spans) == cells


def test_the_state_is_replaced_by_what_needs_a_person() -> None:
    run = samples.run(1)
    assert state_span(replace(run, stalled=True), UNICODE).text == "◍ stalled"
    assert state_span(samples.stopping(alarmed=True), UNICODE) == ("▲ no proof", Tone.LOUD)
    assert state_span(samples.unconfirmed(), UNICODE).tone is Tone.LOUD
    assert state_span(samples.run(1, State.ENDED, outcome=Outcome.NOT_SENT), UNICODE).text == "↺ not sent"
