"""The key bar, the help and the palette are made from one list of bindings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.ui.dialogs.help import help_lines
from console.ui.spans import Tone, width
from console.ui.widgets.key_bar import Hint, bar, in_groups, key_name


def hint(key: str, label: str, *, enabled: bool = True, show: bool = True, group: str = "run") -> Hint:
    return Hint(
        keys=(key,), label=label, tooltip=f"{label} it", action=label, id=f"{group}.{label}", show=show, enabled=enabled
    )


HINTS = (hint("x", "cancel"), hint("s", "settle", enabled=False), hint("q", "quit"), hint("?", "help", group="app"))


@pytest.mark.parametrize(
    ("key", "name"),
    [("question_mark", "?"), ("ctrl+q", "ctrl+q"), ("escape", "esc"), ("X", "X"), ("colon", ":"), ("space", "space")],
)
def test_keys_are_written_as_they_are_pressed(key: str, name: str) -> None:
    assert key_name(key) == name


@pytest.mark.parametrize("cells", range(1, 80))
def test_the_bar_takes_exactly_its_cells_and_help_goes_last(cells: int) -> None:
    spans, _ = bar(HINTS, cells, "…")
    assert width(spans) == cells
    if cells >= 8:
        assert "? help" in "".join(span.text for span in spans)


def test_what_cannot_be_done_now_is_faint_and_goes_first() -> None:
    spans, places = bar(HINTS, 60, "…")
    assert [span.tone for span in spans if span.text == " settle"] == [Tone.FAINT]
    assert [action for _, _, action in places] == ["cancel", "quit", "help"]
    spans, _ = bar(HINTS, 34, "…")
    assert "settle" not in "".join(span.text for span in spans)


def test_the_places_are_where_the_hints_stand() -> None:
    spans, places = bar(HINTS, 60, "…")
    text = "".join(span.text for span in spans)
    assert [text[start:end] for start, end, _ in places] == ["x cancel", "q quit", "? help"]


def test_help_groups_and_lists_hidden_keys_too() -> None:
    lines = help_lines((*HINTS, hint("y", "copy", show=False, group="app")), 60, "…")
    text = ["".join(span.text for span in each).rstrip() for each in lines]
    assert text[0] == "run"
    assert "app" in text
    assert any("y" in each and "copy it" in each for each in text)


def test_help_wraps_what_a_key_does_and_cuts_nothing() -> None:
    told = "Marks the run, so that several can be cancelled together, after one question that names how many they are"
    lines = help_lines((replace(HINTS[0], tooltip=told),), 70, "…")
    text = ["".join(span.text for span in each) for each in lines]
    assert " ".join(" ".join(each[36:].split()) for each in text[1:]) == told
    assert all(width(each) == 70 for each in lines[1:])


def test_the_palette_begins_with_what_acts() -> None:
    moving, acting = hint("j", "down", group="table"), hint("x", "cancel")
    assert in_groups((moving, hint("?", "help", group="app"), acting)) == [
        acting,
        moving,
        hint("?", "help", group="app"),
    ]


def test_behind_the_last_hint_nothing_is_cut() -> None:
    for cells in range(30, 50):
        spans, _ = bar(HINTS, cells, "…")
        assert "…" not in "".join(span.text for span in spans)
