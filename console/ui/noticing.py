"""How long a notice stands: some seconds, or until the next key once it could be read."""

from __future__ import annotations

from console.domain.moment import Clock

LEAST_MS = 1_200
"""So long it stays though keys are pressed."""


class Noticing:
    """The time of the notice that is shown."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = self._until = 0

    def show(self, for_ms: int) -> None:
        """A notice begins to stand."""
        self._since = self._clock.now().boot_ms
        self._until = self._since + for_ms

    def read(self) -> bool:
        """A key was pressed; True where the notice goes."""
        self._until = min(self._until, self._since + LEAST_MS)
        return self.is_over

    @property
    def is_over(self) -> bool:
        """True once it has stood for its time."""
        return self._clock.now().boot_ms >= self._until
