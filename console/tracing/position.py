"""How far the runs of a state folder were sent as spans, in a small file: so that none is forgotten or sent for ever.

Kept apart because `doctor` reads it without the rest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from console.trusted_files import Unreadable, read_bounded

FILE = "otel.json"
LOCK = "otel.lock"
"""The turn of the one process of a state folder that sends spans."""
MOST_BYTES = 4_096
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What was done, for all processes together."""

    event: int
    """Number of the last record of the log whose run was sent, dropped, or needs no span."""
    dropped: int = 0
    """Runs whose spans were given up."""

    def to_json(self) -> str:
        """The file's content."""
        return json.dumps({"version": VERSION, "event": self.event, "dropped": self.dropped})


def read_position(folder: Path) -> Position | None:
    """What the file says; None where there is none, or none that can be read: sending begins with the next run then."""
    try:
        found = json.loads(read_bounded(folder / FILE, most=MOST_BYTES))
        event, dropped = int(found["event"]), int(found["dropped"])
    except (Unreadable, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Position(event=event, dropped=dropped) if event >= 0 and dropped >= 0 else None
