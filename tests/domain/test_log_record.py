"""One event is one ASCII line that round-trips and that no value can forge or break."""

from __future__ import annotations

import random
import sys
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.domain.log_record import (
    HEAD,
    MAX_LINE,
    MAX_VALUE,
    RESERVED,
    LogParseError,
    LogRecord,
    format_line,
    parse_fields,
    parse_line,
)
from console.domain.text import sanitize
from console.domain.timestamps import parse_iso_ms

SEED = 20_261_123
HOSTILE = ['" end=00000000', "a\nts=2026-01-01T00:00:00.000Z key=x status=ok", "\\", '\\"', "=", " ev=9", "\u2028", ""]

texts = st.text(st.characters(), max_size=60) | st.sampled_from(HOSTILE)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name not in RESERVED)
records = st.builds(
    LogRecord,
    ev=st.integers(0, 10**15),
    at_ms=st.integers(0, 253_402_300_799_999),
    key=texts,
    status=texts,
    elapsed_ms=st.integers(0, 10**11),
    units=st.integers(0, 10**15),
    fields=st.dictionaries(names, texts, max_size=6),
)


def cleaned(record: LogRecord) -> LogRecord:
    """Return what of `record` survives in a line."""
    return replace(
        record,
        key=sanitize(record.key, limit=MAX_VALUE),
        status=sanitize(record.status, limit=MAX_VALUE),
        elapsed_ms=(record.elapsed_ms + 50) // 100 * 100,
        fields={name: sanitize(value, limit=MAX_VALUE) for name, value in record.fields.items()},
    )


def check_round_trip(record: LogRecord) -> None:
    line = format_line(record)
    assert parse_line(line) == cleaned(record)
    assert parse_line(line.removesuffix(b"\n")) == cleaned(record)
    assert line.isascii()
    assert line.decode("ascii").splitlines(keepends=True) == [line.decode("ascii")]
    assert all(byte >= 0x20 for byte in line[:-1])
    assert tuple(parse_fields(line))[:5] == HEAD


@given(records)
def test_a_record_round_trips_sanitized_on_one_line(record: LogRecord) -> None:
    check_round_trip(record)


@pytest.mark.parametrize("strings", [2_000, pytest.param(20_000, marks=pytest.mark.proofs)])
def test_random_strings_round_trip(strings: int) -> None:
    source = random.Random(SEED)
    for number in range(strings):
        code_points = (
            source.choice((source.randrange(0x100), source.randrange(0xD800, 0xE000), source.randrange(sys.maxunicode)))
            for _ in range(source.randrange(40))
        )
        text = "".join(map(chr, code_points))
        record = LogRecord(ev=number, at_ms=number, key="-", status="note", fields={"event": "stall", "text": text})
        try:
            check_round_trip(record)
        except AssertionError as error:
            raise AssertionError(f"seed {SEED}, string {number}: {text!r}") from error


def test_the_documented_line() -> None:
    record = LogRecord(
        ev=1042,
        at_ms=parse_iso_ms("2026-11-23T03:06:52.114Z"),
        key="9f2c51ab03de7714",
        status="ok",
        elapsed_ms=412_310,
        units=38_200,
        fields={"task": "nightly-report", "reason": "-", "day": "2026-11-23", "cost": "0.91", "note": "two words"},
    )
    body = (
        "ts=2026-11-23T03:06:52.114Z key=9f2c51ab03de7714 status=ok elapsed=412.3s units=38.2 task=nightly-report "
        'reason=- day=2026-11-23 cost=0.91 note="two words" ev=1042'
    )
    assert format_line(record) == f"{body} end={zlib.crc32(body.encode()):08x}\n".encode()


def test_figures_default_to_zero() -> None:
    line = format_line(LogRecord(ev=1, at_ms=0, key="-", status="skipped", fields={"reason": "done"}))
    assert b" elapsed=0.0s units=0.0 reason=done ev=1 end=" in line


@given(records)
def test_a_line_cut_anywhere_is_refused(record: LogRecord) -> None:
    line = format_line(record).removesuffix(b"\n")
    for cut in range(len(line)):
        with pytest.raises(LogParseError):
            parse_line(line[:cut])


@given(records, records)
def test_two_lines_run_together_are_refused(one: LogRecord, other: LogRecord) -> None:
    with pytest.raises(LogParseError):
        parse_line(format_line(one).removesuffix(b"\n") + format_line(other))
    with pytest.raises(LogParseError):
        parse_line(format_line(one) + format_line(other))


@given(records, st.data())
def test_a_changed_byte_is_refused(record: LogRecord, data: st.DataObject) -> None:
    line = bytearray(format_line(record).removesuffix(b"\n"))
    position = data.draw(st.integers(0, len(line) - 1))
    line[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LogParseError):
        parse_line(bytes(line))


@given(st.binary(max_size=200))
def test_other_bytes_raise_a_parse_error_and_nothing_else(line: bytes) -> None:
    with pytest.raises(LogParseError):
        parse_line(line)


def sealed(body: str) -> bytes:
    return f"{body} end={zlib.crc32(body.encode()):08x}".encode()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "ts=2026-11-23T03:06:52.114Z key=x status=ok elapsed=0.0s units=0.0",
        "ts=2026-11-23T03:06:52.114Z key=x status=ok elapsed=0.0s units=0.0 ev=1_0",
        "ts=2026-11-23T03:06:52.114Z key=x status=ok elapsed=0.0s units=0.0 ev=-1",
        "ts=2026-11-23T03:06:52.114Z key=x status=ok elapsed=0.0 units=0.0 ev=1",
        "ts=2026-11-23T03:06:52.114Z key=x status=ok elapsed=0.0s units=1e3 ev=1",
        "ts=2026-11-23 key=x status=ok elapsed=0.0s units=0.0 ev=1",
        "key=x ts=2026-11-23T03:06:52.114Z status=ok elapsed=0.0s units=0.0 ev=1",
        "ts=2026-11-23T03:06:52.114Z key=x status=ok elapsed=0.0s units=0.0 ev=1 ev=2",
        'ts=2026-11-23T03:06:52.114Z key="\\q" status=ok elapsed=0.0s units=0.0 ev=1',
        'ts=2026-11-23T03:06:52.114Z key="a\tb" status=ok elapsed=0.0s units=0.0 ev=1',
        "ts=2026-11-23T03:06:52.114Z key=x  status=ok elapsed=0.0s units=0.0 ev=1",
        "no fields at all",
    ],
)
def test_a_line_with_a_valid_checksum_but_another_form_is_refused(body: str) -> None:
    with pytest.raises(LogParseError):
        parse_line(sealed(body))


@pytest.mark.parametrize("name", ["", "End", "9a", "a b", "a=b", "a\n", "ü", *sorted(RESERVED)])
def test_a_field_name_that_could_forge_a_field_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a field name"):
        format_line(LogRecord(ev=1, at_ms=0, key="-", status="note", fields={name: "x"}))


@pytest.mark.parametrize("character", ["x", "\x00", "\ud800", "🙂", "\U000e0041", '"'])
def test_a_line_never_exceeds_its_maximum_length(character: str) -> None:
    fields = {f"field{number}": character * 10_000 for number in range(30)}
    record = LogRecord(ev=1, at_ms=0, key=character * 9000, status="note", fields=fields)
    line = format_line(record)
    assert len(line) <= MAX_LINE
    assert parse_line(line).ev == 1
    assert set(parse_line(line).fields) == set(fields)


def test_a_value_is_cut_visibly_at_its_length() -> None:
    line = format_line(LogRecord(ev=1, at_ms=0, key="-", status="note", fields={"text": "x" * 1000, "last": "kept"}))
    assert parse_line(line).fields == {"text": "x" * (MAX_VALUE - 1) + "…", "last": "kept"}
