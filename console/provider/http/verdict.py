"""What came of the one create POST. Proof is demanded for everything but `Unknown`.

An httpx exception proves that nothing was sent only where it is raised before the first byte of the request. A
refusal proves that nothing was launched only with the service's own error body: a bare 4xx may come from a
machine in between, after the request went through.
"""

from __future__ import annotations

from console.provider.contract import Launched, NotSent, RateLimited, Rejected, Unknown, Verdict
from console.provider.http.errors import Redact, cleaned, error_body, explained, retry_after
from console.provider.http.exchange import FailureKind, Reply, TransportFailure
from console.provider.http.json_narrowing import members, opaque_id, parsed, text

REFUSALS = frozenset({400, 401, 402, 403, 404, 413, 416, 422})
"""With a parsed error body: nothing was launched, and it is not for trying again unchanged."""

TOO_MANY = 429


def verdict_of_failure(fault: TransportFailure, redact: Redact) -> NotSent | Unknown:
    """No whole answer: not sent where that is proven, else unknown."""
    why = redact(fault.why)
    if fault.kind is FailureKind.NOT_CONNECTED:
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
