"""Sessions: what the services with two-step launches make before anything is started in it."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from dataclasses import dataclass, field

from console.simulator.errors import ApiError
from console.simulator.run import SimulatedRun

_ALPHABET = string.ascii_letters + string.digits


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Session:
    """One session. At most one run is ever started in it."""

    id: str
    labels: Mapping[str, str]
    settings: Mapping[str, object]
    """What its face needs of the request that made it."""
    created_s: float
    created_wall_s: float
    run: SimulatedRun | None = None
    archived_s: float | None = None
    received: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    """The events that clients sent and the service accepted: an id and the event, oldest first."""

    def wall(self, at_s: float) -> float:
        """Return the wall time (seconds since the epoch) of a monotonic time."""
        return self.created_wall_s + (at_s - self.created_s)


class Sessions:
    """All sessions of one service. The caller holds the lock of the state."""

    def __init__(self, *, seed: int) -> None:
        self._random = random.Random(f"{seed}/sessions")
        self._all: dict[str, Session] = {}
        self.made = 0
        """The number of sessions ever made."""
        self.deleted: list[str] = []
        """The ids of deleted sessions, oldest deletion first."""

    def reset(self) -> None:
        """Forget all sessions and counts. Ids are never used again."""
        self._all.clear()
        self.made = 0
        self.deleted.clear()

    def new_id(self, prefix: str) -> str:
        """Return a new id, `prefix` and 24 letters and digits."""
        return prefix + "".join(self._random.choices(_ALPHABET, k=24))

    def create(
        self, prefix: str, labels: Mapping[str, str], settings: Mapping[str, object], now_s: float, wall_s: float
    ) -> Session:
        """Make a session in which nothing is started."""
        made = Session(id=self.new_id(prefix), labels=labels, settings=settings, created_s=now_s, created_wall_s=wall_s)
        self._all[made.id] = made
        self.made += 1
        return made

    def find(self, session_id: str) -> Session:
        """Return a session. Raises ApiError 404 for one that never existed or was deleted."""
        if session_id not in self._all:
            raise ApiError(404, f"Session '{session_id}' not found.")
        return self._all[session_id]

    def delete(self, session_id: str) -> None:
        """Delete a session, and the record of its run. Raises ApiError 404 like `find`."""
        session = self.find(session_id)
        if session.run is not None:
            session.run.is_deleted = True
        del self._all[session_id]
        self.deleted.append(session_id)

    def all(self) -> tuple[Session, ...]:
        """Return the sessions that exist, oldest first."""
        return tuple(self._all.values())
