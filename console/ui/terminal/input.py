"""Turns the bytes that a terminal sends into Textual's events.

The stream is cut into characters and whole control sequences before Textual's parser sees it. That parser waits for
the rest of whatever it does not know, and takes every key that follows for that rest; here a sequence that is complete
and unknown is dropped at once, and one that stays incomplete is dropped after a short silence. Such bytes arrive by
themselves: late answers to questions that a shell prompt or the program before asked, and function keys without a name.

Relies on `XTermParser` of Textual 8.2.8: one whole sequence goes in, its events come out. A test holds that.
"""

from __future__ import annotations

import time
from codecs import getincrementaldecoder

from textual import constants, events
from textual._xterm_parser import XTermParser
from textual.message import Message

ESC = "\x1b"
PASTE_START, PASTE_END = "\x1b[200~", "\x1b[201~"

SEQUENCE_SILENCE_S = 0.5
"""An incomplete sequence is dropped when nothing has come for this long. A slow line may pause within a sequence."""
PASTE_SILENCE_S = 0.5
PASTE_LONGEST_S = 10.0
"""A paste without an end ends after this silence, or this long after its start while keys go on coming."""

MAX_SEQUENCE = 64
"""Characters of a control sequence; a longer one is dropped."""
MAX_STRING = 8_192
"""Characters of a string that a terminal sends (OSC, DCS and the like); a longer one is dropped."""
MAX_PASTE = 1_000_000
"""Characters of one paste that are kept."""

_STRINGS = "]PX^_"
"""Behind an escape these begin a string that ends with BEL or ST: OSC, DCS, SOS, PM, APC."""


class InputReader:
    """Keeps what is incomplete between two reads."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")(errors="replace")
        self._parser = XTermParser()
        self._pending = ""
        """The beginning of a sequence; starts with ESC, except inside a paste."""
        self._paste: list[str] | None = None
        self._paste_started = 0.0

    @property
    def patience_s(self) -> float | None:
        """Seconds of silence after which `silence` is to be called; None where nothing is incomplete."""
        if self._paste is not None:
            return max(0.0, min(PASTE_SILENCE_S, self._paste_started + PASTE_LONGEST_S - time.monotonic()))
        if not self._pending:
            return None
        return constants.ESCAPE_DELAY if len(self._pending) <= 2 else SEQUENCE_SILENCE_S

    def feed(self, data: bytes) -> list[Message]:
        """The events that these bytes complete."""
        self._pending += self._decoder.decode(data)
        found: list[Message] = []
        while self._pending:
            if self._paste is not None:
                if not self._collect_paste(found):
                    break
            elif self._pending[0] == ESC:
                length = sequence_length(self._pending)
                if not length:
                    break
                sequence, self._pending = self._pending[:length], self._pending[length:]
                found.extend(self._events_of(sequence))
            else:
                text, escape, rest = self._pending.partition(ESC)
                self._pending = escape + rest
                found.extend(self._parser.feed(text))
        return found

    def silence(self) -> list[Message]:
        """Nothing came for `patience_s`: the events of what was incomplete, which is over now."""
        pending, self._pending = self._pending, ""
        if self._paste is not None:
            text, self._paste = "".join([*self._paste, pending]), None
            return [events.Paste(_pasted(text))]
        if pending == ESC:
            return [events.Key("escape", ESC)]
        return self._alt(pending[1]) if len(pending) == 2 else []

    def _collect_paste(self, found: list[Message]) -> bool:
        """Moves pasted text out of what is pending; True where the paste has ended."""
        assert self._paste is not None
        text, end, rest = self._pending.partition(PASTE_END)
        # The marker of the end may be split over two reads.
        kept = 0 if end else next((n for n in range(len(PASTE_END) - 1, 0, -1) if text.endswith(PASTE_END[:n])), 0)
        piece = text[: len(text) - kept]
        if sum(map(len, self._paste)) < MAX_PASTE:
            self._paste.append(piece)
        self._pending = rest if end else text[len(text) - kept :]
        if end:
            found.append(events.Paste(_pasted("".join(self._paste))))
            self._paste = None
        return bool(end)

    def _events_of(self, sequence: str) -> list[Message]:
        if sequence == PASTE_START:
            self._paste, self._paste_started = [], time.monotonic()
            return []
        if sequence == ESC:
            return [events.Key("escape", ESC)]
        if len(sequence) == 2:
            return self._alt(sequence[1])
        if sequence[1] in _STRINGS or sequence == PASTE_END:
            return []
        found = list(self._parser.feed(sequence))
        if not found:
            # Unknown to Textual's parser, which now waits for the rest of it.
            self._parser = XTermParser()
        if sequence[1] == "[" and sequence[-1] != "u":
            # The parser would take the number of a function key that it does not know for a character.
            found = [event for event in found if not (isinstance(event, events.Key) and len(event.key) == 1)]
        return found

    def _alt(self, character: str) -> list[Message]:
        """The events of a key pressed together with Alt, which terminals send behind an escape."""
        if character.isprintable() and character.isascii():
            modifiers = 4 if character.isupper() else 3
            return list(self._parser.feed(f"{ESC}[{ord(character.lower())};{modifiers}u"))
        return [events.Key("escape", ESC), *self._parser.feed(character)]


def sequence_length(text: str) -> int:
    """Characters of the control sequence at the start of `text`, which begins with ESC; 0 while it is incomplete.

    A sequence that is broken or too long counts up to where it breaks; what follows is not part of it.
    """
    kind = text[1:2]
    if not kind:
        return 0
    if kind == ESC:
        return 1
    if kind == "[":
        return _control_length(text)
    if kind == "O":
        return 3 if len(text) >= 3 else 0
    return _string_length(text) if kind in _STRINGS else 2


def _control_length(text: str) -> int:
    """Of a sequence that starts with CSI: parameters, then one final character."""
    if text[2:3] == "M":
        # A click as terminals report it that know no better: three characters follow.
        return 6 if len(text) >= 6 else 0
    if text[2:3] == "[":
        # A function key of the Linux console.
        return 4 if len(text) >= 4 else 0
    for at, character in enumerate(text[2 : MAX_SEQUENCE + 1], 2):
        if "@" <= character <= "~":
            return at + 1
        if not " " <= character <= "?":
            return at
    return MAX_SEQUENCE if len(text) > MAX_SEQUENCE else 0


def _string_length(text: str) -> int:
    """Of a string: up to BEL or ST; another escape, CAN or SUB breaks it off."""
    for at, character in enumerate(text[2 : MAX_STRING + 1], 2):
        if character in "\x07\x9c\x18\x1a":
            return at + 1
        if character == ESC:
            if at + 1 == len(text):
                return 0
            return at + 2 if text[at + 1] == "\\" else at
    return MAX_STRING if len(text) > MAX_STRING else 0


def _pasted(text: str) -> str:
    return text[:MAX_PASTE].replace("\x00", "")
