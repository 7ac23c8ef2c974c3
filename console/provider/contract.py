"""What the engine may ask of a provider of managed agents, and what each answer proves.

The create call answers with a `Verdict`, since every way in which it can fail says something else about
whether an agent was launched. All other calls are harmless when doubled; they raise `ProviderError`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from console.domain.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOrder:
    """One create call."""

    agent: str
    model: str
    prompt: str = field(repr=False)
    environment: str
    """`remote` or a sandbox id."""
    max_total_tokens: int
    """The belt; always sent."""
    labels: Mapping[str, str]
    tools: tuple[str, ...] = ()
    """Canonical JSON of each tool entry; empty: none is sent."""
    network: str | None = None
    """Canonical JSON; only for `environment == "remote"`, a sandbox made before carries its own."""
    system_instruction: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """An id came back: the agent was launched."""

    remote_id: str
    status: str
    environment_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Proven: no byte of the request left this machine."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited:
    """429 with a parsed error body: not launched."""

    why: str
    retry_after_s: float | None
    """What the provider asked for, bounded by nobody yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A refusal with a parsed error body: not launched, and not for trying again unchanged."""

    why: str
    http_status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Anything else. An agent may be running."""

    why: str


Verdict = Launched | NotSent | RateLimited | Rejected | Unknown


class StatusClass(StrEnum):
    """What a provider's status word means for us."""

    LIVE = "live"
    PARKED = "parked"
    """Will not move alone: it waits for a client that is not there."""
    TERMINAL = "terminal"
    UNKNOWN = "unknown"
    """A word we do not know: shown raw, taken as live, bounded by the timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the agent, as far as it is known."""

    index: int
    kind: str
    """The provider's word: `model_output`, `code_execution_call`, …; raw."""
    text: str = ""
    """What it did or said, raw: hostile until cleaned."""
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRun:
    """What the provider shows of a run. The only proof of an end."""

    remote_id: str
    status: str
    status_class: StatusClass
    usage: Usage | None
    """None: not told (yet)."""
    labels: Mapping[str, str] = field(default_factory=dict)
    environment_id: str | None = None
    steps: tuple[Step, ...] = ()
    result: str = ""
    """Text of the model's output steps, raw."""
    errors: tuple[str, ...] = ()
    """`code: message`, raw."""
    token_limit: int | None = None
    """The belt as the provider echoes it; None: it echoes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One thing the stream said. Decoration: polling is the truth."""

    step: Step | None = None
    usage: Usage | None = None
    """Cumulative since the start of the run."""
    step_tokens: Usage | None = None
    """Of this step alone."""
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAnswer:
    """What the provider said to a cancel: a hint, never proof."""

    accepted: bool
    said: str
    """One line, cleaned."""
    retry_after_s: float | None = None


class ProviderError(Exception):
    """A call other than create did not work. `str()` is one cleaned line without secrets."""


class Unreachable(ProviderError):
    """No connection: offline, DNS, TLS, refused."""


class NotFound(ProviderError):
    """404. In this API no proof that a run ended: see python-genai#2985."""


class Denied(ProviderError):
    """401, 402 or 403."""


class Unavailable(ProviderError):
    """5xx, 429, silence, garbage: try again later."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unsupported(ProviderError):
    """The service has no such call."""


class Provider(Protocol):
    """The port. Every call is bounded by an outer deadline of its own."""

    async def make_sandbox(self, *, network: str | None) -> str:
        """A new sandbox's id. Raises Unsupported where the service has no such call, else ProviderError."""
        ...

    async def sandbox_exists(self, sandbox_id: str) -> bool:
        """False where the service says it is gone. Raises ProviderError where it does not answer."""
        ...

    async def delete_sandbox(self, sandbox_id: str) -> None:
        """Deletes it; one that is gone already is deleted. Raises ProviderError."""
        ...

    async def create(self, order: LaunchOrder) -> Verdict:
        """ONE POST: never retried, no redirect, a fresh connection. Never raises for anything the network does."""
        ...

    async def get(self, remote_id: str) -> RemoteRun:
        """What the provider shows now. Raises ProviderError."""
        ...

    def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        """The event stream until it ends, however it ends. Raises ProviderError where it cannot be opened."""
        ...

    async def cancel(self, remote_id: str) -> CancelAnswer:
        """Asks for a stop in whichever form the service knows. Raises ProviderError."""
        ...

    async def aclose(self) -> None:
        """Closes what is open."""
        ...
