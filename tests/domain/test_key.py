"""Keys equal `printf %s TEXT | sha256sum | cut -c1-16`; dates must exist in the calendar."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.key import check_target, day_date, is_key, key_of, parse_date, slot_date


@pytest.mark.parametrize(
    ("parts", "hashed_text", "key"),
    [
        (("task", "nightly-report", "2026-11-23"), "task:nightly-report:2026-11-23", "051cddc24cf95fec"),
        (("report", "acme/site", "2026-11-23"), "report:acme/site:2026-11-23", "88093b0207315d7b"),
        (("fix", "acme/größe", "20261123T0200Z"), "fix:acme/größe:20261123T0200Z", "d93ad6601b05742d"),
    ],
)
def test_known_keys(parts: tuple[str, str, str], hashed_text: str, key: str) -> None:
    assert ":".join(parts) == hashed_text
    assert key_of(*parts) == key


def test_a_type_with_a_colon_would_make_the_text_ambiguous() -> None:
    with pytest.raises(ValueError, match="no colon"):
        key_of("a:b", "c", "2026-11-23")


def test_a_target_that_is_no_unicode_is_reported_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"valid Unicode text, unlike 'task', '\\udcff'$"):
        key_of("task", "\udcff", "2026-11-23")


@given(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_key_has_the_form_of_a_key_and_depends_on_the_date(task_type: str, target: str) -> None:
    one, other = (key_of(task_type, target, date) for date in ("2026-11-23", "2026-11-24"))
    assert is_key(one)
    assert is_key(other)
    assert one != other
    assert one == key_of(task_type, target, "2026-11-23")


@given(st.tuples(st.from_regex(r"[a-z]{1,3}", fullmatch=True), st.text(":a", max_size=4)), st.data())
def test_a_target_with_colons_collides_with_no_other_pair(pair: tuple[str, str], data: st.DataObject) -> None:
    other = data.draw(st.tuples(st.from_regex(r"[a-z]{1,3}", fullmatch=True), st.text(":a", max_size=4)))
    same_key = key_of(*pair, "2026-11-23") == key_of(*other, "2026-11-23")
    assert same_key == (pair == other)


@pytest.mark.parametrize(
    "text", ["", "0" * 15, "0" * 17, "0" * 15 + "G", "0" * 15 + "A", "0" * 16 + "\n", "\u0660" * 16]
)
def test_what_is_not_a_key(text: str) -> None:
    assert not is_key(text)


def test_the_day_depends_on_the_zone() -> None:
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    assert day_date(late, ZoneInfo("UTC")) == "2026-11-22"
    assert day_date(late, ZoneInfo("Europe/Berlin")) == "2026-11-23"
    assert day_date(late, ZoneInfo("America/New_York")) == "2026-11-22"


def test_a_slot_is_a_minute_in_utc() -> None:
    tokyo = datetime(2026, 11, 23, 11, 0, 59, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert slot_date(tokyo) == "20261123T0200Z"


def test_the_two_minutes_of_a_doubled_hour_are_two_slots() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=berlin) for fold in (0, 1))
    assert (slot_date(first), slot_date(second)) == ("20261025T0030Z", "20261025T0130Z")


@given(st.integers(0, 7_258_118_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)))
def test_generated_dates_are_accepted(instant: datetime) -> None:
    day, slot = day_date(instant, ZoneInfo("Asia/Tokyo")), slot_date(instant)
    assert parse_date(day, "day") == day
    assert parse_date(slot, "slot") == slot


@pytest.mark.parametrize(
    "text", ["", "today", "2026-11-3", "20261123", "2026-W48-1", "2026-11-23 ", " 2026-11-23", "2026-11-23\n"]
)
def test_a_day_has_one_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not of the form 2026-11-23$"):
        parse_date(text, "day")


@pytest.mark.parametrize("text", ["", "now", "2026-11-23", "20261123T0200", "20261123T02:00Z", "20261123T0200z"])
def test_a_slot_has_one_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not of the form 20261123T0200Z$"):
        parse_date(text, "slot")


@pytest.mark.parametrize(("text", "window"), [("2026-02-30", "day"), ("0000-01-01", "day"), ("20261123T2460Z", "slot")])
def test_a_date_exists(text: str, window: str) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        parse_date(text, window)


@pytest.mark.parametrize(
    "target", ["acme/site", "a", "x" * 1024, "a b", "東京", "naïve", "https://acme.example/?q=1&r=2"]
)
def test_a_target_is_one_line_of_text(target: str) -> None:
    assert check_target(target) == target


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("", "is empty"),
        ("x" * 1025, "has 1025 characters"),
        ("site ", "starts or ends with a blank"),
        ("\u3000site", "starts or ends with a blank"),
        ("x\ny", "contains a line break"),
        ("site\n", "contains a line break"),
        ("x\x9by", "contains a line break"),
        ("x\u2028y", "contains a line break"),
        ("x\udc80", "contains a line break"),
    ],
)
def test_what_is_not_a_target(target: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_target(target)
