"""The bytes of a terminal as events: no input blocks later keys, and no unknown input acts as a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events, messages
from textual.message import Message

from console.ui.terminal import input as terminal_input
from console.ui.terminal.input import InputReader

UNKNOWN = {
    "device attributes": b"\x1b[?62;22c",
    "secondary attributes": b"\x1b[>41;354;0c",
    "kitty keyboard": b"\x1b[?0u",
    "colour scheme": b"\x1b[?997;1n",
    "unknown function key": b"\x1b[99~",
    "a number that is a letter": b"\x1b[120~",
    "window size": b"\x1b[4;600;800t",
    "mode report": b"\x1b[?2048;0$y",
    "background colour": b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\",
    "palette entry, ended by BEL": b"\x1b]4;1;rgb:cc/00/00\x07",
    "terminal version": b"\x1bP>|xterm(390)\x1b\\",
    "termcap answer": b"\x1bP1+r544e=787465726d\x1b\\",
    "graphics answer": b"\x1b_Gi=31;OK\x1b\\",
    "end of a paste without its start": b"\x1b[201~",
}


def keys(found: list[Message]) -> list[str]:
    return [event.key for event in found if isinstance(event, events.Key)]


def pastes(found: list[Message]) -> list[str]:
    return [event.text for event in found if isinstance(event, events.Paste)]


@pytest.mark.parametrize("sequence", UNKNOWN.values(), ids=UNKNOWN)
def test_a_complete_sequence_that_is_unknown_is_dropped_at_once(sequence: bytes) -> None:
    reader = InputReader()
    assert keys(reader.feed(sequence)) == []
    assert reader.patience_s is None
    assert keys(reader.feed(b"3")) == ["3"]


@pytest.mark.parametrize("sequence", UNKNOWN.values(), ids=UNKNOWN)
def test_it_is_dropped_also_where_it_arrives_byte_by_byte(sequence: bytes) -> None:
    reader = InputReader()
    assert [key for byte in sequence for key in keys(reader.feed(bytes([byte])))] == []
    assert keys(reader.feed(b"x")) == ["x"]


@pytest.mark.parametrize("beginning", [b"\x1b[", b"\x1b[?62;2", b"\x1b]11;rgb:1e", b"\x1bP1+r54", b"\x1bO", b"\x1b[M "])
def test_an_incomplete_sequence_ends_with_a_short_silence(beginning: bytes) -> None:
    reader = InputReader()
    assert reader.feed(beginning) == []
    assert reader.patience_s is not None
    assert reader.patience_s <= 0.5
    assert "x" not in keys(reader.silence())
    assert reader.patience_s is None
    assert keys(reader.feed(b"x")) == ["x"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x1b[A", ["up"]),
        (b"\x1bOB", ["down"]),
        (b"\x1b[5~", ["pageup"]),
        (b"\x1b[27u", ["escape"]),
        (b"\x1b[[A", ["f1"]),
        (b"\x1b[1;5C", ["ctrl+right"]),
        (b"\x1bx", ["alt+x"]),
        (b"\x1bX\x1b\\", []),
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"\r\x03j", ["enter", "ctrl+c", "j"]),
        ("é".encode(), ["é"]),
    ],
)
def test_keys_are_what_textual_reads(data: bytes, expected: list[str]) -> None:
    reader = InputReader()
    assert keys(reader.feed(data)) == expected
    reader = InputReader()
    assert [key for byte in data for key in keys(reader.feed(bytes([byte])))] == expected


def test_a_lone_escape_is_the_key_after_its_delay() -> None:
    reader = InputReader()
    assert reader.feed(b"\x1b") == []
    assert keys(reader.silence()) == ["escape"]


def test_clicks_and_the_answer_about_whole_frames_come_through() -> None:
    found = InputReader().feed(b"\x1b[<0;12;3M\x1b[<0;12;3m\x1b[?2026;2$y")
    assert [type(event) for event in found] == [
        events.MouseDown,
        events.MouseUp,
        messages.TerminalSupportsSynchronizedOutput,
    ]


def test_a_click_in_the_old_form_is_no_three_keys() -> None:
    assert keys(InputReader().feed(b"\x1b[M x!")) == []


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_paste_is_one_event_however_it_is_split(size: int) -> None:
    reader, data = InputReader(), b"\x1b[200~xq\x1b[A X\x1b[201~j"
    found = [event for at in range(0, len(data), size) for event in reader.feed(data[at : at + size])]
    assert pastes(found) == ["xq\x1b[A X"]
    assert keys(found) == ["j"]


def test_a_paste_without_an_end_ends_with_silence() -> None:
    reader = InputReader()
    assert reader.feed(b"\x1b[200~secret\x1b[20") == []
    assert reader.patience_s is not None
    assert pastes(reader.silence()) == ["secret\x1b[20"]
    assert keys(reader.feed(b"x")) == ["x"]


def test_a_paste_without_an_end_ends_also_while_keys_go_on_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("console.ui.terminal.input.time.monotonic", lambda: now[0])
    reader = InputReader()
    reader.feed(b"\x1b[200~")
    now[0] += terminal_input.PASTE_LONGEST_S
    assert reader.feed(b"j") == []
    assert reader.patience_s == 0


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_after_a_silence_every_key_is_heard_whatever_came_before(pieces: list[bytes]) -> None:
    reader = InputReader()
    for piece in pieces:
        reader.feed(piece)
    reader.silence()
    # The decoder may hold the beginning of a character, which takes the next byte along.
    reader.feed(b"j")
    reader.silence()
    assert keys(reader.feed(b"x")) == ["x"]
