"""The settings in nightdesk.toml as checked, frozen values with all defaults applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.domain.caps import Caps
from console.domain.notice import NoticeKind
from console.domain.rollout import RolloutRules
from console.domain.task import Task
from console.domain.usage import Price, Units
from console.store.fleet_settings import FleetSettings


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
    launch: str = "direct"
    """How runs are launched; `trigger`, for gemini only: through a trigger of the service."""
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
    fleet: FleetSettings | None = None
    """The database of several hosts; None for SQLite in the state folder."""


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


TOLD_KINDS = frozenset(kind.word for kind in NoticeKind) - {NoticeKind.FINISHED.word}
"""The notices that leave where the file does not say which."""
QUIET_KINDS = frozenset(
    kind.word for kind in (NoticeKind.UNCONFIRMED, NoticeKind.OFFLINE, NoticeKind.TROUBLE, NoticeKind.NOBODY_SCHEDULES)
)
"""Those that leave in quiet hours too, where the file does not say which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """A part of every day, in the zone of the caps."""

    begin: int
    """Minutes from midnight."""
    end: int
    """The first minute that is not quiet; earlier than `begin` where midnight lies between."""

    def holds(self, minute: int) -> bool:
        """True if that minute of the day is quiet."""
        if self.begin <= self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Who is told what while nobody is at the console."""

    command: tuple[str, ...] = ()
    """A program and its arguments; empty for none."""
    webhook: str | None = field(default=None, repr=False)
    webhook_file: Path | None = None
    """A file with addresses of webhooks."""
    apprise_file: Path | None = None
    """A file with addresses that apprise knows."""
    kinds: frozenset[str] = TOLD_KINDS
    """The words of the kinds that are told."""
    quiet: QuietHours | None = None
    quiet_kinds: frozenset[str] = QUIET_KINDS
    """The words of the kinds that are told in quiet hours too."""
    debounce_ms: int = 60_000
    """Between two messages with notices of one kind."""
    summary: int | None = None
    """The time of the daily summary, in minutes from midnight; None for none."""

    @property
    def is_on(self) -> bool:
        """True where there is a way to tell somebody."""
        return bool(self.command or self.webhook or self.webhook_file or self.apprise_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtelSettings:
    """Where the spans of runs are sent."""

    endpoint: str | None = None
    """The whole address of the receiver; None where no spans are sent."""
    headers_env: str | None = None
    """The environment variable with the headers; None: OTEL_EXPORTER_OTLP_HEADERS, if it is set."""
    service_name: str = "nightdesk"


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
    notify: NotifySettings = field(default_factory=NotifySettings)
    otel: OtelSettings = field(default_factory=OtelSettings)

    def task(self, name: str) -> Task | None:
        """Return the task of that name, or None."""
        return next((task for task in self.tasks if task.name == name), None)
