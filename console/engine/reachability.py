"""Whether the provider answers the polls of this process, over all its runs.

One failed poll says little. Where no poll was answered for some seconds, the runs are supervised without seeing them:
their limits still hold, but nobody knows what they do. That is one problem, whatever the number of runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from console.domain.formatting import counted, format_clock
from console.domain.task import DEFAULT_PROVIDER
from console.domain.text import sanitize
from console.domain.timestamps import Timestamp
from console.engine.problems import Problems

OFFLINE = "offline"
"""Topic of the problem that the provider does not answer."""
WHY_LIMIT = 120
"""Characters of the reason."""


class Reachability:
    """Counts polls without an answer, and reports the provider as offline when they last."""

    def __init__(
        self, problems: Problems, *, provider: str = DEFAULT_PROVIDER, after_ms: int, zone: Callable[[], ZoneInfo]
    ) -> None:
        """`provider` is its name in the config. It is offline `after_ms` after the first poll that failed, if none was
        answered since. `zone` is that of the times in messages."""
        self._problems = problems
        self._provider = provider
        self._after_ms = after_ms
        self._zone = zone
        self._followed = 0
        self._failing_since: Timestamp | None = None

    @contextmanager
    def following(self) -> Iterator[None]:
        """Count one more run that is polled, for the block."""
        self._followed += 1
        try:
            yield
        finally:
            self._followed -= 1
            if not self._followed:
                # Nobody asks any more, so nothing is known.
                self.answered()

    def answered(self) -> None:
        """The provider answered a poll, however."""
        if self._failing_since is not None:
            self._failing_since = None
            self._problems.clear(OFFLINE, self._provider)

    def failed(self, why: str, now: Timestamp) -> None:
        """A poll got no answer, or none that says anything."""
        if self._failing_since is None:
            self._failing_since = now
        if now.since(self._failing_since) < self._after_ms:
            return
        since = format_clock(self._failing_since.wall_ms, self._zone())
        runs = counted(self._followed, "run")
        named = "the provider" if self._provider == DEFAULT_PROVIDER else f"the provider {self._provider}"
        text = f"no answer since {since} from {named} ({sanitize(why, limit=WHY_LIMIT)})"
        blind = "is" if self._followed == 1 else "are"
        limits = "its limits hold" if self._followed == 1 else "their limits hold"
        self._problems.report(
            OFFLINE,
            f"{text}; {runs} {blind} supervised without seeing what happens, {limits}",
            source=self._provider,
            lasting=True,
        )
