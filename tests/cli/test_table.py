"""Tables fit the terminal, align their columns for all scripts, and keep the text of a cell within the cell."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from console.cli.render.table import Cell, Column, Style, Tone, cells, clip, folded, render_table
from console.domain.text import is_sanitized

PLAIN = Style(enabled=False)
COLUMNS = (
    Column(title="TASK", shrink_order=2),
    Column(title="UNITS", right=True),
    Column(title="NOTE", shrink_order=3),
)


def test_columns_are_aligned_and_nothing_is_cut_when_piped() -> None:
    rows = [[Cell("a"), Cell("5"), Cell("")], [Cell("long-name"), Cell("38.2"), Cell("x" * 200)]]

    assert render_table(COLUMNS, rows, PLAIN, None) == [
        "TASK       UNITS  NOTE",
        "a              5",
        "long-name   38.2  " + "x" * 200,
    ]


def test_the_least_important_column_is_dropped_first() -> None:
    rows = [[Cell("nightly-report"), Cell("38.2"), Cell("x" * 200)]]

    head, line = render_table(COLUMNS, rows, PLAIN, 40)

    assert line == "nightly-report   38.2  " + "x" * 16 + "…"
    assert len(line) == 40
    assert head == "TASK            UNITS  NOTE"


def test_wide_characters_keep_the_columns_straight() -> None:
    rows = [[Cell("日本"), Cell("1"), Cell("")], [Cell("ab"), Cell("2"), Cell("")]]

    assert render_table(COLUMNS, rows, PLAIN, None)[1:] == ["日本      1", "ab        2"]


def test_colour_does_not_change_the_alignment() -> None:
    rows = [[Cell("a", Tone.GOOD), Cell("5", Tone.BAD), Cell("n")]]
    painted = render_table(COLUMNS, rows, Style(enabled=True), 40)

    assert "\x1b[32ma\x1b[0m" in painted[1]
    assert [re.sub(r"\x1b\[\d*m", "", line) for line in painted] == render_table(COLUMNS, rows, PLAIN, 40)


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), max_size=5), st.integers(20, 60))
def test_no_text_breaks_a_line_or_reaches_the_terminal_raw(values: list[tuple[str, str]], width: int) -> None:
    columns = (Column(title="A", shrink_order=1), Column(title="B", shrink_order=2))
    lines = render_table(columns, [[Cell(a), Cell(b)] for a, b in values], PLAIN, width)

    assert len(lines) == len(values) + 1
    assert all(is_sanitized(line) for line in lines)
    assert all(cells(line) <= width for line in lines)


@given(st.text(max_size=40), st.integers(1, 20))
def test_what_is_clipped_fits(text: str, width: int) -> None:
    assert cells(clip(text, width)) <= width or cells(text) <= width


def test_text_is_folded_at_blanks_below_its_last_column_and_never_within_a_command() -> None:
    text = "warn  schedule    no process launches 1 task; start `nightdesk --state-dir /a/b serve`, or keep it open"
    assert folded([text], None) == folded([text], len(text)) == [text]
    assert folded([text], 60) == [
        "warn  schedule    no process launches 1 task; start",
        "                  `nightdesk --state-dir /a/b serve`, or",
        "                  keep it open",
    ]
    assert folded(["  x", "", "a  " + "b" * 90], 40) == ["  x", "", "a  " + "b" * 90], "a word is never cut"


@given(st.text("ab`  日́", max_size=200), st.integers(20, 90))
def test_folding_keeps_every_word(text: str, width: int) -> None:
    pieces = folded([text], width)
    assert " ".join(" ".join(pieces).split()) == " ".join(text.split())
    for piece in pieces:
        assert cells(piece) <= width or len(piece.split()) <= 2 or "`" in piece
