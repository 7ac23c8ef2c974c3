"""The port to a provider of managed agents: its calls, and what each result proves.

`create` returns a `Verdict`, because each way in which it can fail says something different about whether an agent was
launched. All other calls are safe to repeat; they raise `ProviderError`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from console.domain.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOrder:
    """The contents of one launch request."""

    agent: str
    model: str
    prompt: str = field(repr=False)
    environment: str
    """`remote`, or the id of a sandbox."""
    max_total_tokens: int
    """The token limit that the provider enforces on its side; always sent."""
    labels: Mapping[str, str]
    tools: tuple[str, ...] = ()
    """Canonical JSON of each tool entry; if empty, no tools are sent."""
    network: str | None = None
    """Canonical JSON of the network setting; used only with `remote`, as a sandbox made earlier has its own."""
    system_instruction: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The agent was launched: a run id came back."""

    remote_id: str
    status: str
    environment_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Not launched: it is proven that no byte of the request left this machine."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited:
    """Not launched: 429 with a parsed error body."""

    why: str
    retry_after_s: float | None
    """The wait that the provider asked for, in seconds; not bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Not launched, and not worth repeating unchanged: a refusal with a parsed error body."""

    why: str
    http_status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Anything else: an agent may be running."""

    why: str


Verdict = Launched | NotSent | RateLimited | Rejected | Unknown


class StatusClass(StrEnum):
    """What a provider's status word means to the engine."""

    LIVE = "live"
    PARKED = "parked"
    """The run waits for a client and does not go on by itself."""
    TERMINAL = "terminal"
    UNKNOWN = "unknown"
    """An unknown word: shown as it is and treated as live, so the time limit still applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the agent, as far as it is known."""

    index: int
    kind: str
    """The provider's word for the type, raw: `model_output`, `code_execution_call`, …"""
    text: str = ""
    """What it did or said, raw: untrusted until sanitized."""
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRun:
    """The provider's view of a run, and the only proof that it ended."""

    remote_id: str
    status: str
    status_class: StatusClass
    usage: Usage | None
    """None if the provider has not reported any."""
    labels: Mapping[str, str] = field(default_factory=dict)
    environment_id: str | None = None
    steps: tuple[Step, ...] = ()
    result: str = ""
    """Text of the model's output steps, raw."""
    errors: tuple[str, ...] = ()
    """`code: message` for each error, raw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One event of the stream. Streams only make the display livelier; polling decides."""

    step: Step | None = None
    usage: Usage | None = None
    """Cumulative usage since the start of the run."""
    step_tokens: Usage | None = None
    """Usage of this step alone."""
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAnswer:
    """The provider's reply to a cancel request; it never proves an end."""

    accepted: bool
    said: str
    """One sanitized line."""
    retry_after_s: float | None = None


class ProviderError(Exception):
    """A call other than `create` failed. `str()` is one sanitized line without secrets."""


class Unreachable(ProviderError):
    """No connection: offline, or DNS, TLS or TCP failed."""


class NotFound(ProviderError):
    """404 or 410. For a Gemini run this does not prove that it ended: see python-genai#2985."""


class Denied(ProviderError):
    """401, 402 or 403: key, payment or permission is missing."""


class Unavailable(ProviderError):
    """5xx, 429, no reply in time, or an unreadable reply: worth trying again later."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unsupported(ProviderError):
    """The service does not offer the call."""


class Provider(Protocol):
    """The port. Each call has its own overall deadline."""

    async def make_sandbox(self, *, network: str | None) -> str:
        """Make a sandbox and return its id. Raises Unsupported if the service has no such call, ProviderError."""
        ...

    async def delete_sandbox(self, sandbox_id: str) -> None:
        """Delete a sandbox; success if it does not exist any more. Raises ProviderError."""
        ...

    async def create(self, order: LaunchOrder) -> Verdict:
        """Send one POST on a new connection, without retries or redirects. Never raises for a network failure."""
        ...

    async def get(self, remote_id: str) -> RemoteRun:
        """Return the provider's current view of a run. Raises ProviderError."""
        ...

    def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        """Yield stream events until the stream ends or breaks. Raises ProviderError if it cannot be opened."""
        ...

    async def cancel(self, remote_id: str) -> CancelAnswer:
        """Request a stop. Raises ProviderError."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
