"""What came of the one create POST. Proof is demanded for everything but `Unknown`.

An httpx exception proves that nothing was sent only where it is raised before the first byte of the request. A
refusal proves that nothing was launched only with the service's own error body: a bare 4xx may come from a
machine in between, after the request went through.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import httpx

from console.provider.contract import Launched, NotSent, RateLimited, Rejected, Unknown, Verdict
from console.provider.faults import Redact, Reply, cleaned, error_body, explained, retry_after
from console.provider.shape import members, opaque_id, parsed, text

REFUSALS = frozenset({400, 401, 402, 403, 404, 413, 416, 422})
"""With a parsed error body: nothing was launched, and it is not for trying again unchanged."""

TOO_MANY = 429

BEFORE_THE_FIRST_BYTE: frozenset[type[Exception]] = frozenset(
    {httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout}
)
"""Refused, DNS, TLS, connect timeout, pool timeout (httpx 0.28.1). Exact classes: a new subclass proves nothing."""


class FaultKind(StrEnum):
    """How an exchange failed."""

    NOT_CONNECTED = "not connected"
    """Proven: no byte of the request left this machine."""
    SILENT = "silent"
    """A deadline passed."""
    UNUSABLE = "unusable"
    """The answer is of a kind that we do not read; a second try would bring the same."""
    BROKEN = "broken"
    """Anything else, between the first byte of the request and the last one of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An exchange without a whole answer. Holds no exception: its frames would hold the key and the prompt."""

    kind: FaultKind
    why: str
    """Raw."""


class Unusable(Exception):
    """The answer is too large, or packed in a way that was not asked for."""


def fault_of(error: Exception) -> Fault:
    """Which kind of fault an exception of the HTTP library is."""
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if type(error) in BEFORE_THE_FIRST_BYTE:
        return Fault(kind=FaultKind.NOT_CONNECTED, why=why)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return Fault(kind=FaultKind.SILENT, why=why)
    if isinstance(error, Unusable):
        return Fault(kind=FaultKind.UNUSABLE, why=str(error))
    return Fault(kind=FaultKind.BROKEN, why=why)


def verdict_of_fault(fault: Fault, redact: Redact) -> NotSent | Unknown:
    """No whole answer: not sent where that is proven, else unknown."""
    why = redact(fault.why)
    if fault.kind is FaultKind.NOT_CONNECTED:
        return NotSent(why=cleaned(f"no connection: {why}"))
    return Unknown(why=cleaned(f"no whole answer ({fault.kind}): {why}"))


def verdict_of_reply(reply: Reply, redact: Redact) -> Verdict:
    """What an answer to the create POST proves."""
    if reply.is_success:
        return _launched(reply)
    line = explained(reply, redact)
    if error_body(reply.body) is None:
        return Unknown(why=line)
    if reply.status == TOO_MANY:
        return RateLimited(why=line, retry_after_s=retry_after(reply))
    if reply.status in REFUSALS:
        return Rejected(why=line, http_status=reply.status)
    return Unknown(why=line)


def _launched(reply: Reply) -> Launched | Unknown:
    try:
        interaction = members(parsed(reply.body))
    except ValueError:
        return Unknown(why=f"HTTP {reply.status} without readable JSON")
    remote_id = opaque_id(interaction.get("id"))
    if remote_id is None:
        return Unknown(why=f"HTTP {reply.status} without an id")
    return Launched(
        remote_id=remote_id,
        status=text(interaction.get("status"), 64),
        environment_id=opaque_id(interaction.get("environment_id")),
    )
