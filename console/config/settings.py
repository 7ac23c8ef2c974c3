"""The settings in nightdesk.toml as checked, frozen values with all defaults applied."""

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
    """Where to find the API key; exactly one field is set. The key itself is read only when it is needed."""

    env: str | None = None
    """Name of an environment variable."""
    file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """A service that runs agents."""

    name: str
    """What the config calls it; `default` for a lone `[provider]`."""
    kind: str
    base_url: str
    """An https URL, or http with a loopback address; without a slash at the end."""
    api_version: str
    api_key: KeySource
    account: str | None = None
    """Tells two accounts at one service apart."""
    poll_ms: int = 5_000
    proxy: str | None = None
    """URL of the HTTP proxy through which the service is reached; None connects directly."""
    ca_file: Path | None = None
    """PEM file with the certificate authorities to trust; None trusts the bundled ones."""

    @property
    def service(self) -> str:
        """The service as runs record it: `gemini https://generativelanguage.googleapis.com v1beta`."""
        return " ".join(filter(None, (self.kind, self.base_url, self.api_version, self.account)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where the runs are recorded."""

    state_dir: Path | None = None
    """Absolute path of the state folder; None if the file does not name one."""
    name: str | None = None
    """What people call this ledger, such as `prod`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """Settings of the screen."""

    theme: str | None = None
    """None selects one that fits the terminal."""
    slow: bool = False
    mouse: bool | None = None
    """None means on, except over SSH."""
    bell: bool = True
    """Ring the bell when a person may be needed."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys by the id of their action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one config file."""

    path: Path
    prompt_files: tuple[Path, ...] = ()
    """The files in which prompts are."""
    providers: Mapping[str, ProviderSettings]
    """By name, in the order of the file; at least one."""
    store: StoreSettings = field(default_factory=StoreSettings)
    tasks: tuple[Task, ...]
    """In the order of the file."""
    caps: Caps
    units: Units
    prices: Mapping[str, Price]
    rollout: RolloutRules
    console_schedules: bool
    """True if an open console may run the schedule."""
    console: ConsoleSettings = field(default_factory=ConsoleSettings)

    def task(self, name: str) -> Task | None:
        """Return the task of that name, or None."""
        return next((task for task in self.tasks if task.name == name), None)
