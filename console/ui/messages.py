"""What screens tell the app."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from console.domain.run import RunId
from console.ui.spans import Span


@dataclass
class LookAt(Message):
    """The run whose detail is wanted from now on; None for none."""

    run_id: RunId | None


@dataclass
class Told(Message):
    """A line for the operator."""

    span: Span


class LineDropped(Message):
    """The terminal is gone."""
