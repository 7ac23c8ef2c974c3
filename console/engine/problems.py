"""Problems."""

from __future__ import annotations


class Problems:
    """What the operator must know now, by topic: one cleaned line each, gone when it is over."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}

    def set(self, topic: str, line: str) -> None:
        """Shows `line` until the topic is cleared."""
        self._lines[topic] = line

    def clear(self, topic: str) -> None:
        """The trouble is over."""
        self._lines.pop(topic, None)

    def lines(self) -> tuple[str, ...]:
        """All of them, oldest first."""
        return tuple(self._lines.values())
