"""One message as it leaves the machine: no prompt, no result, no key, and no text of an error."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from console.domain.notice import Notice
from console.domain.timestamps import iso_ms

VERSION = 1
"""Raised when a field of the body changes its meaning or goes away; new fields do not count."""
MOST_LINES = 10
"""Notices that are named one by one; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSource:
    """Which Nightdesk speaks."""

    host: str
    """The name of the host, ASCII."""
    ledger: str = ""
    """The name of the ledger in the config; empty for none."""

    @property
    def name(self) -> str:
        """`nightdesk prod@web1`."""
        return f"nightdesk {self.ledger}@{self.host}" if self.ledger else f"nightdesk {self.host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeMessage:
    """What is sent at once."""

    source: NoticeSource
    kind: str
    """The kind of its most urgent notice, or `summary` or `test`."""
    at_ms: int
    """Wall clock, UTC."""
    lines: tuple[str, ...]
    """One sanitized sentence each; at least one."""
    notices: tuple[Notice, ...] = ()
    """The most urgent first."""

    @property
    def title(self) -> str:
        """`nightdesk prod@web1: cut off`."""
        return f"{self.source.name}: {self.kind.replace('_', ' ')}"

    @property
    def text(self) -> str:
        """The sentences, one a line; of many the first ones and a count."""
        shown = self.lines[:MOST_LINES]
        more = len(self.lines) - len(shown)
        return "\n".join((*shown, *((f"and {more} more",) if more else ())))

    def body(self) -> bytes:
        """The message as one JSON object in ASCII."""
        return json.dumps(
            {
                "version": VERSION,
                "kind": self.kind,
                "at": iso_ms(self.at_ms),
                "host": self.source.host,
                "ledger": self.source.ledger or None,
                "title": self.title,
                "text": self.text,
                "notices": [
                    {"kind": notice.kind.word, "text": notice.outside, "task": notice.task, "run": notice.run}
                    for notice in self.notices[:MOST_LINES]
                ],
                "count": len(self.notices),
            }
        ).encode("ascii")


def message_of(notices: Iterable[Notice], *, source: NoticeSource, at_ms: int) -> NoticeMessage:
    """One message for `notices`, of which there is at least one."""
    ordered = tuple(sorted(notices, key=lambda each: each.kind))
    return NoticeMessage(
        source=source,
        kind=ordered[0].kind.word,
        at_ms=at_ms,
        lines=tuple(notice.outside for notice in ordered),
        notices=ordered,
    )
