"""The port to a provider of managed agents: what a provider is able to do, its calls, and what each result proves.

A launch is two steps: `prepare` makes what the run will be in (a sandbox, or a session that does nothing yet), and
`create` starts the run in it with one request. `create` returns a `Verdict`, because each way in which it can fail says
something different about whether an agent was launched. All other calls are safe to repeat; they raise `ProviderError`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from console.domain.run import Ending, Run
from console.domain.server_limit import ServerLimit
from console.domain.text import sanitize
from console.domain.usage import Usage
from console.provider.traits import Traits

RUN_LABEL, KEY_LABEL, ATTEMPT_LABEL = "nightdesk-run", "nightdesk-key", "nightdesk-attempt"
"""The labels of every launch: id of the run, idempotency key, number of the attempt."""
REMOTE = "remote"
"""The environment that the launch itself makes."""


def labels_of(run: Run) -> dict[str, str]:
    """Return the labels by which a launch of `run` is recognised at the service."""
    return {KEY_LABEL: run.key, RUN_LABEL: run.id, ATTEMPT_LABEL: str(run.attempt)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOrder:
    """The contents of one launch: of `prepare` and of `create`."""

    agent: str
    """Id of the agent; `ID@VERSION` where the service has versions and one was chosen."""
    model: str
    prompt: str = field(repr=False)
    environment: str
    """REMOTE, or the id of a sandbox to reuse; with services that have them, the id of a template or a size."""
    prepared_id: str | None
    """What `prepare` returned for this run; None if nothing was prepared."""
    server_limit: ServerLimit | None
    """The limit that the service is to enforce; None where it has none."""
    max_ms: int
    """The time limit of the run in milliseconds, for services that can enforce one as well."""
    labels: Mapping[str, str]
    """At least the three labels above. A label that does not fit the service's limits is an error, never cut."""
    tools: tuple[str, ...] = ()
    """Canonical JSON of each tool entry; if empty, no tools are sent."""
    network: str | None = None
    """Canonical JSON of the network setting of what is made for this run."""
    system_instruction: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostLaunch:
    """A launch of which no answer came. The prompt is not part of it: the task may have been edited meanwhile."""

    prepared_id: str | None
    labels: Mapping[str, str]
    sent_ms: int
    """When the request was sent, UTC milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The lost launch has started a run."""

    remote_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """No run is shown. This proves nothing and changes nothing: the request may still arrive, or be listed later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """It is proven that the lost launch has started nothing and cannot start anything any more."""

    why: str
    """The proof, in one sanitized line."""


Resolution = Found | Absent | Fenced


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstarted:
    """Something that `prepare` made and in which nothing was started."""

    prepared_id: str
    labels: Mapping[str, str]
    created_ms: int
    """When it was made, UTC milliseconds by the service's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The agent was launched: a run id came back."""

    remote_id: str
    status: str
    """The service's word, raw."""
    prepared_id: str | None
    """What the run is in, also if the launch itself has made it; None if the service does not say."""


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
    """The service's word, raw; kept and shown as it is."""
    status_class: StatusClass
    ending: Ending | None
    """How it ended, as the adapter knows the service's words; None unless `status_class` is TERMINAL."""
    usage: Usage | None
    """None if the provider has not reported any."""
    labels: Mapping[str, str] = field(default_factory=dict)
    prepared_id: str | None = None
    """What the run is in."""
    is_unstarted: bool = False
    """True for a session in which nothing was started; its class is LIVE, because a start may still arrive."""
    steps: tuple[Step, ...] = ()
    result: str = ""
    """Text of the model's output steps, raw."""
    errors: tuple[str, ...] = ()
    """`code: message` for each error, raw."""

    def __post_init__(self) -> None:
        """Raises ValueError unless it has an ending exactly if it is terminal."""
        if (self.ending is not None) != (self.status_class is StatusClass.TERMINAL):
            raise ValueError(f"a run that is {self.status_class} cannot have the ending {self.ending}")


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
    """404 or 410. Each adapter says what it proves.

    For a Gemini run it does not prove that it ended (python-genai#2985). For a session it is proof only after this
    program's own successful `discard`.
    """


class Denied(ProviderError):
    """401, 402 or 403: key, payment or permission is missing."""


class Invalid(ProviderError):
    """The service refuses the order as it is, with an error of its own; to repeat it unchanged is useless."""


class Refused(ProviderError):
    """The service refuses the call while something runs there."""


class Unavailable(ProviderError):
    """5xx, 429, no reply in time, or an unreadable reply: worth trying again later."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unsupported(ProviderError):
    """The service does not offer the call."""


class Provider(Protocol):
    """The port. Each call has its own overall deadline."""

    @property
    def traits(self) -> Traits:
        """What the provider is able to do."""
        ...

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        """Return what at the service would hinder this order without a person, such as a tool that asks first.

        Each entry is one sanitized sentence. Only reads. Raises ProviderError.
        """
        ...

    async def prepare(self, order: LaunchOrder) -> str:
        """Make what the run will be in and return its id. No agent works and no model is called.

        Raises Unsupported if the service cannot make it in advance, Invalid or Denied if it refuses the order,
        ProviderError. What a lost reply leaves behind does nothing; `unstarted` finds it where the service has a list.
        """
        ...

    async def prepared_exists(self, prepared_id: str) -> bool:
        """Return whether what `prepare` made still exists. Raises ProviderError."""
        ...

    async def discard(self, prepared_id: str) -> None:
        """Remove what `prepare` made, so that nothing can start in it; success if it does not exist any more.

        Where a run has ended in it, the service may keep the record of that run. Raises Refused if something runs in it
        and the service does not end that, ProviderError.
        """
        ...

    async def unstarted(self) -> tuple[Unstarted, ...]:
        """Return everything that this program prepared and never started. Raises Unsupported, ProviderError.

        Where what was prepared is left behind by the run that started in it, that is returned as well.
        """
        ...

    async def create(self, order: LaunchOrder) -> Verdict:
        """Send one POST on a new connection, without retries or redirects. Never raises for a network failure.

        Where `traits.start_repeats`, a repetition with an equal order starts nothing twice.
        """
        ...

    async def resolve(self, lost: LostLaunch) -> Resolution:
        """Find out what became of a launch without an answer; may fence it by discarding what was prepared.

        Called by the owner of the run only, after its own request has ended. Raises Unsupported unless
        `traits.can_find_launch`, ProviderError.
        """
        ...

    async def get(self, remote_id: str) -> RemoteRun:
        """Return the provider's current view of a run. Raises ProviderError.

        It may be made of several reads: the status is read first, so that no ending is older than its reason.
        """
        ...

    def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        """Yield stream events until the stream ends or breaks. Raises ProviderError if it cannot be opened."""
        ...

    async def cancel(self, remote_id: str) -> CancelAnswer:
        """Request a stop; to repeat it is harmless. Raises ProviderError."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


async def shown_end(provider: Provider, remote_id: str) -> str | None:
    """Return the final status that the service shows, sanitized; None where it shows none or does not answer."""
    try:
        remote = await provider.get(remote_id)
    except ProviderError:
        return None
    return sanitize(remote.status, limit=40) if remote.status_class is StatusClass.TERMINAL else None
