"""What a world of its own kind adds to the usual one: acts, checks, and how its processes are started.

Kept apart because every kind of world builds one and the world itself needs none of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from console.domain.task import Task
from console.engine.settings import EngineSettings
from console.provider.contract import LaunchOrder, Verdict
from tests.simulation.access import Access
from tests.simulation.machine import EngineProcess

Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """The additions of one world. Checks raise Broken."""

    counts: Counter[str] = field(default_factory=Counter)
    """How often the checks had something before them: a check that never has proves nothing."""
    acts: tuple[tuple[int, Act], ...] = ()
    """Further acts with their weights, to be drawn beside those of every world."""
    check: Callable[[], None] = lambda: None
    """Called every few seconds."""
    clear: Callable[[], None] = lambda: None
    """Ends what this hazard does, when the faults end."""
    check_end: Callable[[], Awaitable[None] | None] = lambda: None
    """Called before the last processes leave."""
    may_hand_over_late: Callable[[], bool] = lambda: False
    """True where a hand-over cannot be expected to end in time."""
    tasks: tuple[Task, ...] = ()
    """Further tasks, which only the schedule launches."""
    settings: Callable[[EngineSettings], EngineSettings] = lambda settings: settings
    """The settings of a process that starts, given those that were drawn."""
    access: Callable[[], Access | None] = lambda: None
    """The service and the key of a process that starts."""
    on_started: Callable[[EngineProcess], None] = lambda process: None
    """Called within a process once its engine runs."""
    on_post: Callable[[EngineProcess, LaunchOrder], None] = lambda process, order: None
    """Called when a POST leaves."""
    on_answer: Callable[[EngineProcess, LaunchOrder, Verdict], None] = lambda process, order, verdict: None
    """Called when a process knows what its POST proved."""
    on_change: Callable[[EngineProcess, str], None] = lambda process, run_id: None
    """Called after a process changed the row of a run."""
