"""Elapsed time is real time through suspends and clock steps, and instants round-trip as text."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.timestamps import Timestamp, iso_ms, parse_instant, parse_iso_ms
from tests.clock import ManualClock

END_OF_9999 = 253_402_300_799_999


def test_within_one_boot_the_wall_clock_is_ignored() -> None:
    clock = ManualClock()
    start = clock.now()
    clock.step_wall(-86_400)
    clock.advance(7.5)
    clock.step_wall(3 * 86_400)
    assert clock.now().since(start) == 7_500


def test_across_boots_the_wall_clock_is_used() -> None:
    clock = ManualClock()
    start = clock.now()
    clock.advance(10)
    clock.reboot(away_seconds=60)
    assert clock.now().since(start) == 70_000


def test_a_boot_clock_that_went_back_means_another_boot_whatever_its_id() -> None:
    before = Timestamp(wall_ms=1_000_000, boot_ms=500_000, boot_id="constant")
    after = Timestamp(wall_ms=1_090_000, boot_ms=3_000, boot_id="constant")
    assert after.since(before) == 90_000


@given(
    st.integers(0, END_OF_9999),
    st.integers(0, 10**12),
    st.integers(0, END_OF_9999),
    st.integers(0, 10**12),
    st.booleans(),
)
def test_time_since_is_never_negative(wall: int, boot: int, other_wall: int, other_boot: int, same: bool) -> None:
    one = Timestamp(wall_ms=wall, boot_ms=boot, boot_id="a")
    other = Timestamp(wall_ms=other_wall, boot_ms=other_boot, boot_id="a" if same else "b")
    ahead = boot - other_boot if same and boot >= other_boot else wall - other_wall
    assert one.since(other) == max(0, ahead)


@given(st.integers(0, END_OF_9999))
def test_an_instant_round_trips_to_the_millisecond(wall_ms: int) -> None:
    text = iso_ms(wall_ms)
    assert parse_iso_ms(text) == wall_ms
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(wall_ms // 1000, UTC).replace(
        microsecond=wall_ms % 1000 * 1000
    )


@given(st.lists(st.integers(0, END_OF_9999), min_size=2, max_size=2))
def test_instants_sort_as_text(pair: list[int]) -> None:
    assert sorted(map(iso_ms, pair)) == [iso_ms(wall_ms) for wall_ms in sorted(pair)]


def test_the_written_form_of_an_instant() -> None:
    assert iso_ms(1_795_403_212_114) == "2026-11-23T03:06:52.114Z"
    assert (
        Timestamp(wall_ms=1_795_403_212_114, boot_ms=0, boot_id="").utc().isoformat()
        == "2026-11-23T03:06:52.114000+00:00"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23T03:06:52Z",
        "2026-11-23T03:06:52.114",
        "2026-11-23 03:06:52.114Z",
        "2026-11-23T03:06:52.114z",
        "2026-11-23T03:06:52.+14Z",
        "2026-11-23T03:06:52. 14Z",
        "2026-11-23T03:06:52.1_4Z",
        "2026-1-023T03:06:52.114Z",
        "2026-02-30T03:06:52.114Z",
        "2026-11-23T24:06:52.114Z",
        "2026-11-23T03:06:52.114Z\n",
        "٢٠٢٦-11-23T03:06:52.114Z",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_iso_ms(text)


@pytest.mark.parametrize("day", ["2026-11-23", "20261123", "2026-W48-1", "2026W481"])
def test_every_form_of_a_day_means_the_whole_day(day: str) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    begin, end = (parse_instant(day, now_ms=0, zone=berlin, end_of_day=end) for end in (False, True))
    assert (iso_ms(begin), iso_ms(end)) == ("2026-11-22T23:00:00.000Z", "2026-11-23T23:00:00.000Z")


@pytest.mark.parametrize("text", ["20261123T0300Z", "2026-11-23T03:00Z", "2026-11-23T03:00:00+00:00"])
def test_an_instant_means_itself_at_either_end(text: str) -> None:
    for end in (False, True):
        wall_ms = parse_instant(text, now_ms=0, zone=ZoneInfo("Asia/Tokyo"), end_of_day=end)
        assert iso_ms(wall_ms) == "2026-11-23T03:00:00.000Z"


@pytest.mark.parametrize("text", ["", "tomorrow", "25:00", "monday night", "2026-13-01", "20261", "9999-12-31", "12x"])
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="not a date or time: ") as caught:
        parse_instant(text, now_ms=0, zone=ZoneInfo("Asia/Tokyo"), end_of_day=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant", "end"),
    [
        ("today", "2026-11-25T00:00", "2026-11-26T00:00"),
        ("Yesterday", "2026-11-24T00:00", "2026-11-25T00:00"),
        ("wed", "2026-11-25T00:00", "2026-11-26T00:00"),
        ("thu", "2026-11-19T00:00", "2026-11-20T00:00"),
        ("9:30", "2026-11-25T09:30", "2026-11-25T09:30"),
        ("23:30", "2026-11-24T23:30", "2026-11-24T23:30"),
    ],
)
def test_words_for_days_and_times_of_day_are_never_in_the_future(text: str, meant: str, end: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    now = datetime.fromisoformat("2026-11-25T12:00").replace(tzinfo=zone)
    now_ms = int(now.timestamp() * 1000)
    for wanted, end_of_day in ((meant, False), (end, True)):
        at = int(datetime.fromisoformat(wanted).replace(tzinfo=zone).timestamp() * 1000)
        assert parse_instant(text, now_ms=now_ms, zone=zone, end_of_day=end_of_day) == at
