"""What people were told, in a small file of the state folder: so that a restart repeats and forgets nothing.

Kept apart because the planner decides by it, and the dispatcher reads and writes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from console.domain.task import Stage
from console.trusted_files import Unreadable, read_bounded

FILE = "notify.json"
LOCK = "notify.lock"
"""Held by the one process of a state folder that sends messages."""
MOST_BYTES = 4 << 20
VERSION = 1


@dataclass(slots=True, kw_only=True)
class NoticeHistory:
    """Ids of notices and when they went away, stages, and when messages left. Times are UTC milliseconds."""

    gone: dict[str, int | None] = field(default_factory=dict)
    """By the id of a notice that was told: when it went away; None while it stands."""
    stages: dict[str, Stage] = field(default_factory=dict)
    """The stages that people know of, by task."""
    sent: dict[str, int] = field(default_factory=dict)
    """When the latest message with a notice of that kind left."""
    summary: str = ""
    """The day of the latest daily summary, as `2026-11-23`."""

    def to_json(self) -> str:
        """The file's content."""
        stages = {task: stage.label for task, stage in self.stages.items()}
        return json.dumps(
            {"version": VERSION, "gone": self.gone, "stages": stages, "sent": self.sent, "summary": self.summary}
        )


def read_history(folder: Path) -> NoticeHistory | None:
    """What the file says; None where there is none, or none that can be read: everything begins anew then."""
    try:
        found = json.loads(read_bounded(folder / FILE, most=MOST_BYTES))
        labels = {stage.label: stage for stage in Stage}
        return NoticeHistory(
            gone={str(name): None if at is None else int(at) for name, at in found["gone"].items()},
            stages={str(task): labels[label] for task, label in found["stages"].items()},
            sent={str(kind): int(at) for kind, at in found["sent"].items()},
            summary=str(found["summary"]),
        )
    except (Unreadable, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
