"""Decode server-sent events, and JSON lines that services send between them.

httpx-sse is not used: it drops everything outside the format, where services report that a stream was cut off after
600 s (a bare JSON array) or refused (a bare JSON line; discuss.ai.google.dev thread 143098, js-genai#1973). It also
insists on the content type, and keeps a line of any length in memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LINE = 1 << 20
"""Bytes per line. An event with a longer line is dropped, and the stream goes on."""

MAX_EVENT = 4 << 20
"""Bytes of all data lines of one event; a larger event is dropped."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One event, or one line of JSON outside any event."""

    event: str
    """The `event:` field; empty if there was none."""
    data: str
    bare: bool = False
    """True for a line of JSON outside any event."""


class SseDecoder:
    """Turns bytes into frames. Never raises, whatever the bytes are."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._spoiled_line = False
        self._first = True
        self._after_cr = False
        self._event = ""
        self._data: list[bytes] = []
        self._size = 0
        self._spoiled_event = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        frames: list[Frame] = []
        start = 0
        for end in _LINE_END.finditer(chunk):
            self._extend(chunk[start : end.start()])
            frames += self._end_of_line()
            start = end.end()
        self._extend(chunk[start:])
        return frames

    def close(self) -> list[Frame]:
        """Return the frames that the end of the stream completes; the last line and event need no newline."""
        return [*self._end_of_line(), *self._dispatch()]

    def _extend(self, piece: bytes) -> None:
        if self._spoiled_line or len(self._line) + len(piece) > MAX_LINE:
            self._spoiled_line = True
            self._line.clear()
        else:
            self._line += piece

    def _end_of_line(self) -> list[Frame]:
        line, spoiled = bytes(self._line), self._spoiled_line
        self._line.clear()
        self._spoiled_line = False
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if spoiled:
            self._spoiled_event = True
            return []
        if not line:
            return self._dispatch()
        if line[:1] in (b"{", b"["):
            return [Frame(event="", data=line.decode("utf-8", "replace"), bare=True)]
        self._field(line)
        return []

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"data":
            self._size += len(value)
            if self._size > MAX_EVENT:
                self._spoiled_event = True
                self._data.clear()
            else:
                self._data.append(value)

    def _dispatch(self) -> list[Frame]:
        event, data, spoiled = self._event, self._data, self._spoiled_event
        self._event, self._data, self._size, self._spoiled_event = "", [], 0, False
        if spoiled or not data:
            return []
        return [Frame(event=event, data=b"\n".join(data).decode("utf-8", "replace"))]
