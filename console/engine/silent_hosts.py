"""Which hosts of a fleet went silent: all their processes lost their leases, and none of them had said that it ends.

Such a host is off, asleep, or cut off from the database. The rows of its processes are removed once other hosts have
taken its runs over, so what was seen is remembered for a while.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from console.domain.formatting import HOUR, counted, format_when, zone_or_utc
from console.domain.run import Run
from console.engine.models import Owner
from console.engine.problems import Problem

SILENT = "silent host "
"""How the topic of the problem begins; the name of the host follows."""
REMEMBERED_MS = 12 * HOUR
"""For so long a host is named after its last sign of life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Silence:
    """What is known of a silent host."""

    since_ms: int
    """The last sign of life of any of its processes, UTC ms."""
    owners: frozenset[str]
    """The ids of its dead processes."""


class SilentHosts:
    """Remembers the silent hosts that this process has seen."""

    def __init__(self) -> None:
        self._known: dict[str, _Silence] = {}

    def problems(
        self, owners: Collection[Owner], live: Iterable[Run], *, now_ms: int, time_zone: str
    ) -> tuple[Problem, ...]:
        """Return one problem for each silent host. `live` are the open runs; times are shown in `time_zone`."""
        self._take_in(owners, now_ms)
        left = Counter(run.owner for run in live)
        found = []
        for host, silence in sorted(self._known.items()):
            runs = sum(left[owner] for owner in silence.owners)
            since = format_when(silence.since_ms, now_ms, zone_or_utc(time_zone))
            waits = "waits" if runs == 1 else "wait"
            rest = f"{counted(runs, 'run')} of it {waits} to be taken over" if runs else "no run is left to it"
            found.append(
                Problem(
                    topic=f"{SILENT}{host}",
                    text=f"the host {host} is silent since {since}; {rest}",
                    since_ms=silence.since_ms,
                    last_ms=now_ms,
                    count=1,
                )
            )
        return tuple(found)

    def _take_in(self, owners: Collection[Owner], now_ms: int) -> None:
        """Forget hosts of which a process lives, and those of long ago; remember those of which only dead ones are."""
        alive = {owner.host for owner in owners if owner.alive}
        for host, silence in list(self._known.items()):
            if host in alive or now_ms - silence.since_ms > REMEMBERED_MS:
                del self._known[host]
        for owner in owners:
            if owner.host and owner.host not in alive and now_ms - owner.beat_ms <= REMEMBERED_MS:
                known = self._known.get(owner.host, _Silence(since_ms=owner.beat_ms, owners=frozenset()))
                self._known[owner.host] = _Silence(
                    since_ms=max(known.since_ms, owner.beat_ms), owners=known.owners | {owner.id}
                )
