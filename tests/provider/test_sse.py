"""The decoder agrees with httpx-sse on well-formed streams, and keeps what httpx-sse drops."""

from __future__ import annotations

import random

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from console.provider.http.sse import MAX_EVENT, MAX_LINE, Frame, SseDecoder
from tests.reporting import report


def decoded(*chunks: bytes) -> list[Frame]:
    decoder = SseDecoder()
    frames = [frame for chunk in chunks for frame in decoder.feed(chunk)]
    return frames + decoder.close()


SAMPLE = (
    b'\xef\xbb\xbf: a comment\n\nevent: interaction.created\ndata: {"a":1}\n\n'
    b"id: 7\nretry: 10\nevent:step.start\ndata: {\ndata:  1}\n\n"
    b'[{"error":{"code":503}}]\n'
    b"event: done\r\ndata: [DONE]\r\n\r\n"
)

FRAMES = [
    Frame(event="interaction.created", data='{"a":1}'),
    Frame(event="step.start", data="{\n 1}"),
    Frame(event="", data='[{"error":{"code":503}}]', bare=True),
    Frame(event="done", data="[DONE]"),
]


def test_a_stream_with_everything_in_it() -> None:
    assert decoded(SAMPLE) == FRAMES


def test_chunk_boundaries_do_not_matter() -> None:
    for cut in range(len(SAMPLE)):
        assert decoded(SAMPLE[:cut], SAMPLE[cut:]) == FRAMES, cut
    assert decoded(*(bytes([byte]) for byte in SAMPLE)) == FRAMES


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_each_kind_of_newline(newline: bytes) -> None:
    stream = newline.join([b"data: a", b"data: b", b"", b"data: c", b"", b""])
    expected = [Frame(event="", data="a\nb"), Frame(event="", data="c")]
    assert decoded(stream) == expected
    assert decoded(*(bytes([byte]) for byte in stream)) == expected


def test_a_line_that_ends_in_cr_is_returned_at_once() -> None:
    assert SseDecoder().feed(b"data: a\r\r") == [Frame(event="", data="a")]


def test_the_end_of_the_stream_completes_what_is_left() -> None:
    assert decoded(b"event: x\ndata: a") == [Frame(event="x", data="a")]
    assert decoded(b'{"error":{}}') == [Frame(event="", data='{"error":{}}', bare=True)]
    assert decoded(b"event: x\n\n") == []
    assert decoded() == []


def test_garbage_is_skipped() -> None:
    assert decoded(b"<html>\nfoo: bar\n\xff\xfe\x00\n\ndata: a\xff\n\n") == [Frame(event="", data="a\ufffd")]


def test_only_a_bom_at_the_start_is_one() -> None:
    assert decoded(b"data: a\n\n\xef\xbb\xbfdata: b\n\n") == [Frame(event="", data="a")]


def test_a_line_that_is_too_long_drops_only_its_event() -> None:
    huge = b"data: " + b"x" * MAX_LINE + b"\n\n"
    assert decoded(b"data: a\n\n" + huge + b"data: b\n\n") == [Frame(event="", data="a"), Frame(event="", data="b")]
    assert decoded(b"data: start\n" + huge + b"data: b\n\n") == [Frame(event="", data="b")]


def test_an_event_that_is_too_large_is_dropped() -> None:
    lines = (b"data: " + b"x" * (MAX_LINE - 10) + b"\n") * (MAX_EVENT // MAX_LINE + 1)
    assert decoded(lines + b"\ndata: b\n\n") == [Frame(event="", data="b")]


def test_a_line_without_end_takes_no_memory() -> None:
    decoder = SseDecoder()
    for _ in range(64):
        assert decoder.feed(b"x" * (1 << 20)) == []
    assert len(decoder._line) <= MAX_LINE


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_no_bytes_break_the_decoder(chunks: list[bytes]) -> None:
    assert decoded(*chunks) == decoded(b"".join(chunks))


LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0\ufeff"), max_size=12)
EVENT = st.tuples(LINE, st.lists(LINE, min_size=1, max_size=3))


@given(st.lists(EVENT, max_size=5))
def test_a_well_formed_stream_is_read_as_httpx_sse_reads_it(events: list[tuple[str, list[str]]]) -> None:
    """httpx-sse is the independent reference."""
    text = "".join(f"event: {name}\n" + "".join(f"data: {line}\n" for line in data) + "\n" for name, data in events)

    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=text.encode())
    theirs = [(event.event, event.data) for event in EventSource(response).iter_sse()]
    ours = [(frame.event or "message", frame.data) for frame in decoded(text.encode())]
    assert ours == theirs


def test_random_cuts_of_a_long_stream() -> None:
    seed = random.randrange(1 << 32)
    report(f"seed {seed}")
    chance = random.Random(seed)
    stream = SAMPLE * 50
    for _ in range(50):
        cuts = sorted(chance.randrange(len(stream)) for _ in range(20))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert len(decoded(*pieces)) == len(decoded(stream))
