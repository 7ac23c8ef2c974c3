"""The tables and keys of nightdesk.toml. Any key not listed here is an error.

Defaults are the values that `nightdesk init` writes. Caps have no defaults, so that a forgotten cap never means "no
limit".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from console.config.field_types import (
    BaseUrl,
    Command,
    DatabaseUrl,
    Debounce,
    EnvName,
    Hours,
    Minute,
    Money,
    Notices,
    OtlpUrl,
    PollSeconds,
    ProxyUrl,
    RunCap,
    Schedule,
    Seconds,
    Target,
    UnitCap,
    UnitCount,
    WebhookUrl,
    Weight,
    Zone,
)
from console.store.fleet_settings import SCHEMA_ACCEPTED, SCHEMA_NAME, SERVICE_NAME

MAX_TEXT = 1 << 20
"""Maximum size of a text in bytes."""

# `\Z` instead of `$`, which would accept a final newline.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z", description="1 to 64 characters of A-Z a-z 0-9 . _ -")]
TaskType = Annotated[
    str, Meta(pattern=r"^[^:\x00-\x1f\x7f]{1,256}\Z", description="a text of 1 to 256 characters without a colon")
]
OneLine = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,1024}\Z", description="one line of 1 to 1024 characters")]
Word = Annotated[str, Meta(pattern=r"^[!-~]{1,256}\Z", description="1 to 256 ASCII characters without spaces")]
Text = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT, description="a text of at most 1 MiB")]
Version = Annotated[str, Meta(pattern=r"^v[0-9][0-9a-z]{0,15}\Z", description="a version such as v1 or v1beta")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", description="three capital letters, such as USD")]
Tokens = Annotated[int, Meta(ge=1, le=1_000_000_000, description="a whole number from 1 to 1000000000")]
Attempts = Annotated[int, Meta(ge=1, le=100, description="a whole number from 1 to 100")]
Count = Annotated[int, Meta(ge=0, le=100_000, description="a whole number from 0 to 100000")]
ContainerWord = Annotated[Literal["small", "medium", "large"], Meta(description='"small", "medium" or "large"')]
CutOffWord = Annotated[Literal["reached", "before"], Meta(description='"reached" or "before"')]
WindowWord = Annotated[Literal["day", "slot"], Meta(description='"day" or "slot"')]
MissedWord = Annotated[Literal["skip", "latest", "all"], Meta(description='"skip", "latest" or "all"')]
RetryOn = Annotated[tuple[Literal["failed"], ...], Meta(description='a list that is empty or holds "failed"')]
DemoteOn = Annotated[
    tuple[Literal["timeout", "budget", "failed", "incomplete", "cancelled", "unconfirmed"], ...],
    Meta(description='a list out of "timeout", "budget", "failed", "incomplete", "cancelled", "unconfirmed"'),
]
Tools = Annotated[
    tuple[dict[str, Any], ...], Meta(description='a list of tables, such as [{ type = "google_search" }]')
]
Network = Annotated[
    Literal["disabled"] | dict[str, Any], Meta(description='"disabled", or a table such as { allowlist = [...] }')
]
LaunchWord = Annotated[Literal["direct", "trigger"], Meta(description='"direct" or "trigger"')]
SchemaName = Annotated[str, Meta(pattern=SCHEMA_NAME.pattern, description=SCHEMA_ACCEPTED)]
PgService = Annotated[
    str, Meta(pattern=SERVICE_NAME.pattern, description="the name of an entry in the service file of libpq")
]
Keys = Annotated[
    dict[str, Annotated[str, Meta(min_length=1, max_length=100)]],
    Meta(description='keys by the id of what they do, such as { "run.cancel" = "ctrl+x" }'),
]


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all tables: unknown keys are errors."""


class ProviderTable(Table, frozen=True, kw_only=True):
    """What `[provider]` and `[providers.NAME]` of every kind hold."""

    api_key_env: EnvName | None = None
    api_key_file: OneLine | None = None
    proxy: ProxyUrl | None = None
    ca_file: OneLine | None = None
    account: Name | None = None
    """Tells two accounts at one service apart."""
    poll_seconds: PollSeconds = 5_000
    system_instruction: Text | None = None


class GeminiTable(ProviderTable, frozen=True, kw_only=True):
    """A provider of kind `gemini`."""

    kind: Annotated[Literal["gemini"], Meta(description='"gemini"')] = "gemini"
    base_url: BaseUrl = "https://generativelanguage.googleapis.com"
    api_version: Version = "v1beta"
    agent: Word = "antigravity-preview-09-2026"
    model: Word = "gemini-3.8-flash"
    sandbox: Word = "own"
    launch: LaunchWord = "direct"
    """`trigger`: through a trigger of the service, which has a time limit of its own."""
    tools: Tools = ()
    network: Network | None = None


class AnthropicTable(ProviderTable, frozen=True, kw_only=True):
    """A provider of kind `anthropic`. Tools and network stand in the agent and the environment at the service."""

    kind: Annotated[Literal["anthropic"], Meta(description='"anthropic"')] = "anthropic"
    base_url: BaseUrl = "https://api.anthropic.com"
    agent: Word
    agent_version: Attempts | None = None
    environment: Word
    model: Word
    """The model of the agent, for its price."""


class OpenAITable(ProviderTable, frozen=True, kw_only=True):
    """A provider of kind `openai`."""

    kind: Annotated[Literal["openai"], Meta(description='"openai"')] = "openai"
    base_url: BaseUrl = "https://api.openai.com"
    agent: Word | None = None
    """Id of a saved agent; None: the model and the system instruction make one."""
    model: Word
    container: ContainerWord = "medium"
    tools: Tools = ()
    network: Network | None = None


AnyProviderTable = GeminiTable | AnthropicTable | OpenAITable
PROVIDER_TABLES: Mapping[str, type[AnyProviderTable]] = {
    "gemini": GeminiTable,
    "anthropic": AnthropicTable,
    "openai": OpenAITable,
}
"""By kind."""


class StoreTable(Table, frozen=True, kw_only=True):
    """`[store]`"""

    state_dir: OneLine | None = None
    """None means --state-dir, NIGHTDESK_STATE_DIR or the default folder of the system."""
    name: Name | None = None
    """Shown where several ledgers could be confused."""
    url: DatabaseUrl | None = None
    """The database of several hosts; None, without `service`, means SQLite in the state folder."""
    service: PgService | None = None
    schema: SchemaName | None = None
    tls_root: OneLine | None = None
    pooled: bool | None = None
    host: Name | None = None
    """None means the name of this machine."""


class UnitsTable(Table, frozen=True, kw_only=True):
    """`[units]`"""

    tokens_per_unit: Tokens = 10_000
    cached_weight: Weight = 100


class CapsTable(Table, frozen=True, kw_only=True):
    """`[caps]`"""

    daily_units: UnitCap
    monthly_units: UnitCap
    daily_runs: RunCap
    concurrent_runs: RunCap
    time_zone: Zone = "UTC"


class PriceTable(Table, frozen=True, kw_only=True):
    """`[prices."MODEL"]`"""

    input: Money
    cached: Money | None = None
    """If missing, cached tokens cost the same as other input."""
    output: Money
    cache_write: Money | None = None
    """If missing, tokens written to the cache cost 1.25 times as much as other input."""
    per_1000_searches: Money = 0
    per_hour: Money = 0
    """Of the agent's running time."""
    currency: Currency = "USD"


class DefaultsTable(Table, frozen=True, kw_only=True):
    """`[defaults]`"""

    max_seconds: Seconds = 600_000
    budget_units: UnitCount = 50_000
    cut_off: CutOffWord = "reached"
    stall_seconds: Seconds = 300_000
    max_attempts: Attempts = 1
    retry_on: RetryOn = ("failed",)


class RolloutTable(Table, frozen=True, kw_only=True):
    """`[rollout]`"""

    manual_clean_runs: Count = 1
    semi_clean_runs: Count = 3
    demote_on: DemoteOn = ("timeout", "budget", "failed", "unconfirmed")
    approval_seconds: Seconds = 43_200_000


class SchedulerTable(Table, frozen=True, kw_only=True):
    """`[scheduler]`"""

    console: bool = True


class ConsoleTable(Table, frozen=True, kw_only=True):
    """`[console]`"""

    theme: Name | None = None
    """None selects one that fits the terminal."""
    slow: bool = False
    mouse: bool | None = None
    """None means on, except over SSH."""
    bell: bool = True
    keys: Keys = {}


class NotifyTable(Table, frozen=True, kw_only=True):
    """`[notify]`. Nobody is told anything without `command`, `webhook`, `webhook_file` or `apprise_file`."""

    command: Command | None = None
    webhook: WebhookUrl | None = None
    webhook_file: OneLine | None = None
    """A file with addresses, one a line, for addresses that are secrets."""
    apprise_file: OneLine | None = None
    kinds: Notices | None = None
    """None means all but `finished`."""
    quiet_hours: Hours | None = None
    quiet_kinds: Notices | None = None
    """None means the four most urgent kinds."""
    debounce_seconds: Debounce = 60_000
    daily_summary: Minute | None = None


class OtelTable(Table, frozen=True, kw_only=True):
    """`[otel]`. No span is sent without `endpoint`."""

    endpoint: OtlpUrl | None = None
    headers_env: EnvName | None = None
    """None means those of OTEL_EXPORTER_OTLP_HEADERS, if it is set."""
    service_name: Name = "nightdesk"


class TaskTable(Table, frozen=True, kw_only=True):
    """One `[[tasks]]` entry. None means the value of [defaults] or of its provider."""

    name: Name
    provider: Name | None = None
    type: TaskType = "task"
    target: Target | None = None
    prompt: Text | None = None
    prompt_file: OneLine | None = None
    schedule: Schedule | None = None
    time_zone: Zone | None = None
    window: WindowWord | None = None
    missed: MissedWord = "skip"
    daily_runs: RunCap | None = None
    daily_units: UnitCap | None = None
    max_seconds: Seconds | None = None
    budget_units: UnitCount | None = None
    cut_off: CutOffWord | None = None
    stall_seconds: Seconds | None = None
    max_attempts: Attempts | None = None
    retry_on: RetryOn | None = None
    agent: Word | None = None
    model: Word | None = None
    sandbox: Word | None = None
    tools: Tools | None = None
    network: Network | None = None
    system_instruction: Text | None = None


SECTIONS = (
    *("provider", "providers", "store", "units", "caps", "prices", "defaults", "rollout", "scheduler", "console"),
    *("notify", "otel"),
    "tasks",
)
"""The names of all tables."""
