"""Facts of events reach people as units, times and words, whatever form they are stored in."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from console.domain.fact_text import facts_text, value_text, words_of

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("hold", 50_000, "50 units"),
        ("used", 53_250, "53.2 units"),
        ("hold", "50.0", "50.0 units"),
        ("deadline_ms", 1_795_404_000_000, "2026-11-23 04:20:00 CET"),
        ("waited_ms", 90_000, "90 s"),
        ("gone", 1, "yes"),
        ("gone", 0, "no"),
        ("reason", "kill_switch", "kill switch"),
        ("ruling", "not_launched", "not launched"),
        ("owner", "e31cab31554444afbe9a8a485cf7f788", "e31cab31"),
        ("by", "e31cab31554444afbe9a8a485cf7f788", "e31cab31"),
        ("by", "ada tty=yes", "ada (terminal)"),
        ("by", "root (sudo by ada) tty=no", "root (sudo by ada; script)"),
        ("answer", "already_gone, said it", "already_gone, said it"),
    ],
)
def test_a_value_is_shown_as_people_read_it(name: str, value: object, shown: str) -> None:
    assert value_text(name, value, BERLIN) == shown


def test_a_line_of_facts_has_labels_in_words_and_leaves_out_what_means_nothing() -> None:
    facts = {"why": "lost", "expires_ms": 1_795_404_000_000, "fence": 3, "note": ""}
    assert facts_text(facts, BERLIN) == "reason: lost; expires: 2026-11-23 04:20:00 CET"


def test_only_stored_words_lose_their_underscores() -> None:
    assert words_of("taken_over") == "taken over"
    assert words_of("snake_case in a sentence") == "snake_case in a sentence"
