"""Lines of an exact width, whatever text they hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.ui.spans import Span, Tone, clip, fit, left, line, middle, right, sanitize_cell, spread, width

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cf", "Mn", "Me", "Cn", "Co")), max_size=40)


@given(TEXT, st.integers(0, 50))
def test_left_and_right_take_exactly_their_cells(text: str, cells: int) -> None:
    assert cell_len(left(text, cells)) == cells
    assert cell_len(right(text, cells)) == cells


@given(st.lists(st.tuples(TEXT, st.sampled_from(Tone)), max_size=5), st.integers(0, 60))
def test_a_fitted_line_takes_exactly_its_cells(pieces: list[tuple[str, Tone]], cells: int) -> None:
    spans = tuple(Span(text, tone) for text, tone in pieces)
    fitted = fit(spans, cells)
    assert width(fitted) == cells
    if width(spans) <= cells:
        assert "".join(span.text for span in fitted).startswith("".join(span.text for span in spans))


@given(TEXT, st.integers(0, 50))
def test_the_middle_of_an_id_goes_first(text: str, cells: int) -> None:
    assert cell_len(middle(text, cells)) <= cells


def test_what_is_cut_says_so() -> None:
    assert clip("nightly-report", 8) == "nightly…"
    assert clip("nightly", 7) == "nightly"
    assert middle("01k9zq0000004", 7) == "01k…004"
    assert left("毎晩の報告", 6) == "毎晩… "
    assert fit(line("one ", "two ", "three"), 7)[-1].text == "tw…"


def test_both_ends_of_a_line_are_kept() -> None:
    spans = spread(line("a long beginning"), line(Span("end", Tone.KEY)), 12)
    assert "".join(span.text for span in spans) == "a long b…end"
    assert width(spread(line("a"), line("much too long"), 5)) == 5


def test_bare_strings_are_plain_and_empty_ones_go() -> None:
    assert line("a", "", Span("", Tone.BAD), Span("b", Tone.OK)) == (Span("a"), Span("b", Tone.OK))


@given(st.text(max_size=60))
def test_foreign_text_is_one_harmless_line(text: str) -> None:
    assert "\n" not in sanitize_cell(text)
    assert "\x1b" not in sanitize_cell(text)
    assert "\ufe0f" not in sanitize_cell(text)
