"""What an engine is told at its construction; the same for every process on a state folder but the kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from console.domain.guardrails import Caps
from console.domain.rollout import RolloutRules
from console.domain.run import Run
from console.domain.task import Task
from console.domain.usage import Price, Units


class Kind(StrEnum):
    """What sort of process an engine lives in; shown beside its runs."""

    CONSOLE = "console"
    RUN = "run"
    SERVE = "serve"
    GUARD = "guard"
    """The background supervisor: one per state folder, ends when it has nothing to guard."""
    COMMAND = "command"
    """A short command; it takes over nothing."""

    @property
    def guards(self) -> bool:
        """True where the process lives long enough to guard runs."""
        return self is not Kind.COMMAND


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The config as the engine needs it."""

    tasks: tuple[Task, ...]
    caps: Caps
    units: Units
    prices: dict[str, Price] = field(default_factory=dict)
    rollout: RolloutRules = field(default_factory=RolloutRules)
    poll_ms: int = 5000
    kind: Kind = Kind.CONSOLE
    read_only: bool = False
    """Never schedules, takes over or writes."""
    schedules: bool = False
    """May this process be the scheduler?"""

    @staticmethod
    def units_of(run: Run) -> Units:
        """How the tokens of `run` count: as they did when it was claimed, whatever the config says now."""
        return Units(
            tokens_per_unit=run.limits.tokens_per_unit,
            cached_weight_milli=run.limits.cached_weight_milli,
        )

    def task(self, name: str) -> Task | None:
        """The task of that name."""
        return next((task for task in self.tasks if task.name == name), None)
