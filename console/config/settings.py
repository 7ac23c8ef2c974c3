"""What nightdesk.toml says, as frozen domain values: integers, no defaults left to fill in, nothing unchecked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.domain.limits import Caps
from console.domain.rollout import RolloutRules
from console.domain.task import Task
from console.domain.usage import Price, Units


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySource:
    """Where the API key is; exactly one is set. It is read when it is used, so that nothing here can show it."""

    env: str | None = None
    """The name of an environment variable."""
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Who runs the agents, and how to reach them."""

    kind: str
    base_url: str
    """https, or http on a loopback literal; without a final slash."""
    api_version: str
    api_key: KeySource


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """How the screen is to be."""

    theme: str | None = None
    """None: one that fits the terminal."""
    slow: bool = False
    mouse: bool | None = None
    """None: on, but not over SSH."""
    bell: bool = True
    """Rings where a person may be needed."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Key by the id of what it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One config file, understood."""

    path: Path
    provider: ProviderSettings
    tasks: tuple[Task, ...]
    """In the order of the file."""
    caps: Caps
    units: Units
    prices: Mapping[str, Price]
    rollout: RolloutRules
    poll_ms: int
    console_schedules: bool
    """May an open console be the scheduler?"""
    console: ConsoleSettings = field(default_factory=ConsoleSettings)

    def task(self, name: str) -> Task | None:
        """The task of that name."""
        return next((task for task in self.tasks if task.name == name), None)
