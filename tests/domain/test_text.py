"""No character that a terminal acts on passes `sanitize`, tested for every code point."""

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.text import UNSAFE_CATEGORIES, is_blank, is_sanitized, is_unsafe, sanitize

ANY_TEXT = st.text(st.characters())


CATEGORIES = (
    *("Cc", "Cf", "Cn", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No"),
    *("Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"),
)


@cache
def by_category() -> dict[str, list[str]]:
    """Every character. Made where it is first needed: it takes as long as the import of fifty modules."""
    found: dict[str, list[str]] = defaultdict(list)
    for code in range(sys.maxunicode + 1):
        found[unicodedata.category(chr(code))].append(chr(code))
    return found


def test_the_test_knows_every_category() -> None:
    assert set(CATEGORIES) == set(by_category())
    assert set(CATEGORIES) >= UNSAFE_CATEGORIES


@pytest.mark.parametrize("category", sorted(UNSAFE_CATEGORIES))
def test_every_character_of_an_unsafe_category_is_made_visible(category: str) -> None:
    characters = by_category()[category]
    shown = sanitize("|".join(characters)).split("|")
    assert all(map(is_unsafe, characters))
    assert all(map(str.isprintable, shown))
    assert all(one != other for one, other in zip(shown, characters, strict=True))


@pytest.mark.parametrize("category", sorted(set(CATEGORIES) - UNSAFE_CATEGORIES))
def test_every_other_character_stays_as_it_is(category: str) -> None:
    for character in by_category()[category]:
        assert not is_unsafe(character)
        assert sanitize(f"a{character}b") == f"a{character}b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("a\U000e0041b", "a\\U000e0041b"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("a\x7fb", "a␡b"),
        ("one\ttwo\nthree", "one two three"),
        ("line\u2028separator", "line\\u2028separator"),
        ("größe 日本 🙂", "größe 日本 🙂"),
        ("[bold]kept[/]", "[bold]kept[/]"),
    ],
)
def test_how_hostile_text_is_shown(text: str, shown: str) -> None:
    assert sanitize(text) == shown


@pytest.mark.parametrize(
    ("text", "blank"),
    [("", True), (" \t\n\u3000", True), ("\u200b\u202e\x1b", True), ("\u200bx", False), ("。", False)],
)
def test_a_text_without_anything_to_see_is_blank(text: str, blank: bool) -> None:
    assert is_blank(text) == blank


def test_newlines_are_kept_only_on_request() -> None:
    assert sanitize("a\nb\r\nc", newlines=True) == "a\nb␍\nc"
    assert sanitize("a\nb") == "a b"
    assert is_sanitized("a\nb", newlines=True)
    assert not is_sanitized("a\nb")


@pytest.mark.parametrize("mark", ["\u0301", "\u0489", "\u0e47", "\u0ecd", "\ufe0f"])
def test_combining_marks_do_not_stack(mark: str) -> None:
    assert sanitize("a" + mark * 50 + "b") == "a" + mark * 3 + "b"
    assert sanitize(mark * 50) == mark * 3


@given(ANY_TEXT, st.booleans())
def test_sanitized_text_is_unchanged(text: str, newlines: bool) -> None:
    once = sanitize(text, newlines=newlines)
    assert sanitize(once, newlines=newlines) == once
    assert is_sanitized(once, newlines=newlines)
    assert not {unicodedata.category(c) for c in once.replace("\n", "")} & UNSAFE_CATEGORIES
    assert newlines or "\n" not in once
    assert is_sanitized(text, newlines=newlines) == (once == text)


@given(ANY_TEXT, st.integers(0, 20))
def test_a_cut_text_fits_the_limit_and_ends_in_an_ellipsis(text: str, limit: int) -> None:
    whole, cut = sanitize(text), sanitize(text, limit=limit)
    assert len(cut) <= limit
    if len(whole) <= limit:
        assert cut == whole
    elif limit:
        assert cut == whole[: limit - 1] + "…"


def test_a_limit_makes_long_texts_cheap() -> None:
    assert sanitize("\x1b" * 5_000_000, limit=10) == "␛" * 9 + "…"
    assert sanitize("a" * 5_000_000, limit=10) == "a" * 9 + "…"
