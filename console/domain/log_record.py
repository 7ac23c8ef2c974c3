"""The line format of `runs.log`: one event per line, safe against forged values and incomplete writes.

A value that matches `[A-Za-z0-9._:/+-]+` is written bare; any other value is written as an ASCII JSON string. `end=`
is the CRC-32 of everything before it, so that a torn line, or two lines run together, are recognised.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from console.domain.text import sanitize
from console.domain.timestamps import iso_ms, parse_iso_ms
from console.domain.usage import decimal, parse_decimal, units_text

MAX_VALUE = 256
"""Characters per value before quoting."""
MAX_LINE = 4000
"""Bytes per line, newline included."""

_BARE = re.compile(r"[A-Za-z0-9._:/+-]+\Z", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z", re.ASCII)
_EV = re.compile(r"\d{1,18}\Z", re.ASCII)
_FIELD = re.compile(r'([a-z][a-z0-9_]*)=("(?:[^"\\]|\\.)*"|[A-Za-z0-9._:/+-]+)(?: |\Z)', re.ASCII)
HEAD = ("ts", "key", "status", "elapsed", "units")
"""The five fields at the start of every line, in this order."""
RESERVED = frozenset({*HEAD, "ev", "end"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One line of the log."""

    ev: int
    """The line number. It has no gaps, so a lost or repeated line shows."""
    at_ms: int
    key: str
    """16 hex digits, or `-` if the event belongs to no key."""
    status: str
    elapsed_ms: int = 0
    units: int = 0
    """Milli-units."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Further fields in order; names match `[a-z][a-z0-9_]*` and are not in RESERVED."""


class LogParseError(ValueError):
    """The line is incomplete, damaged or was not written by Nightdesk."""


def is_field_name(name: str) -> bool:
    """True if a record may have a further field of that name."""
    return _NAME.match(name) is not None and name not in RESERVED


def format_line(record: LogRecord) -> bytes:
    """Return the ASCII line for `record`, newline included. Raises ValueError for a field name that is not allowed.

    Values are sanitized and cut to MAX_VALUE characters; if the line would exceed MAX_LINE bytes, the limit per value
    is halved until it fits.
    """
    for name in record.fields:
        if not is_field_name(name):
            raise ValueError(f"not a field name for the log: {name!r}")
    limit = MAX_VALUE
    while True:
        body = " ".join(f"{name}={value}" for name, value in _fields(record, limit))
        line = f"{body} end={zlib.crc32(body.encode('ascii')):08x}\n".encode("ascii")
        if len(line) <= MAX_LINE or limit < 8:
            return line
        limit //= 2


def _fields(record: LogRecord, limit: int) -> list[tuple[str, str]]:
    head = [
        ("ts", iso_ms(record.at_ms)),
        ("key", _value(record.key, limit)),
        ("status", _value(record.status, limit)),
        ("elapsed", f"{decimal((record.elapsed_ms + 50) // 100, 1)}s"),
        ("units", units_text(record.units)),
    ]
    more = [(name, _value(value, limit)) for name, value in record.fields.items()]
    return [*head, *more, ("ev", str(record.ev))]


def _value(text: str, limit: int) -> str:
    if len(text) <= limit and _BARE.match(text):
        return text
    cleaned = sanitize(text, limit=limit)
    return cleaned if _BARE.match(cleaned) else json.dumps(cleaned, ensure_ascii=True)


def parse_line(line: bytes) -> LogRecord:
    """Parse a complete line, with or without its newline. Raises LogParseError for anything else."""
    fields = parse_fields(line)
    try:
        if tuple(fields)[:5] != HEAD:
            raise LogParseError("the first five fields are not ts key status elapsed units")
        elapsed = fields["elapsed"]
        if not elapsed.endswith("s"):
            raise LogParseError("elapsed has no unit")
        if not _EV.match(fields["ev"]):
            raise LogParseError("ev is not a number")
        return LogRecord(
            ev=int(fields["ev"]),
            at_ms=parse_iso_ms(fields["ts"]),
            key=fields["key"],
            status=fields["status"],
            elapsed_ms=parse_decimal(elapsed[:-1], 1) * 100,
            units=parse_decimal(fields["units"], 3),
            fields={name: value for name, value in fields.items() if name not in RESERVED},
        )
    except (KeyError, ValueError) as error:
        raise LogParseError(str(error)) from None


def parse_fields(line: bytes) -> dict[str, str]:
    """Return every field of a complete line except `end`, as text. Raises LogParseError for any other line."""
    try:
        text = line.decode("ascii").removesuffix("\n")
    except UnicodeDecodeError:
        raise LogParseError("not ASCII") from None
    body, mark, crc = text.rpartition(" end=")
    if not mark or crc != f"{zlib.crc32(body.encode('ascii')):08x}":
        raise LogParseError("no valid end mark")
    found: list[tuple[str, str]] = _FIELD.findall(body)
    # `findall` skips what it cannot match: the line is valid only if the fields found make up the whole of it.
    fields = dict(found)
    if len(fields) != len(found) or " ".join([f"{name}={value}" for name, value in found]) != body:
        raise LogParseError("not made of fields, each once")
    return {name: _unquoted(value) for name, value in found} if '"' in body else fields


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError as error:
        raise LogParseError(f"not a quoted value: {error}") from None
