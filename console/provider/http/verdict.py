"""Decide what the result of a launch request proves. Every verdict but `Unknown` requires proof.

An exception of httpx proves that nothing was sent only if it is raised before the first byte of the request. A refusal
proves that nothing was launched only with an error body of the service: a bare 4xx may come from a machine in between,
after the request went through. Kept apart because this is the rule on which "at most one launch" rests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from console.provider.contract import Launched, NotSent, RateLimited, Rejected, Unknown, Verdict
from console.provider.http.errors import ErrorReader
from console.provider.http.exchange import FailureKind, Reply, TransportFailure
from console.provider.http.json_narrowing import parsed

TOO_MANY = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRules:
    """What one service uses to refuse a launch."""

    statuses: frozenset[int]
    """Statuses that, with a parsed error body, prove a refusal."""
    spent_quota: frozenset[str] = frozenset()
    """Codes with which 429 means a spent quota, for which no waiting helps."""


ReadLaunched = Callable[[object], Launched | None]
"""Reads the JSON of a successful reply, None for an empty body; returns None if that does not prove a launch."""


def verdict_of_failure(failure: TransportFailure, errors: ErrorReader) -> NotSent | Unknown:
    """Return the verdict for a request without a complete reply: NotSent if that is proven, else Unknown."""
    line = errors.explain_failure(failure)
    return NotSent(why=line) if failure.kind is FailureKind.NOT_CONNECTED else Unknown(why=line)


def verdict_of_reply(reply: Reply, errors: ErrorReader, rules: RefusalRules, read_launched: ReadLaunched) -> Verdict:
    """Return the verdict for a complete reply to a launch request."""
    if reply.is_success:
        return _launched(reply, read_launched)
    line, error = errors.explain(reply), errors.body(reply)
    if error is None:
        return Unknown(why=line)
    if reply.status == TOO_MANY and error.code not in rules.spent_quota:
        return RateLimited(why=line, retry_after_s=errors.retry_after(reply))
    if reply.status == TOO_MANY or reply.status in rules.statuses:
        return Rejected(why=line, http_status=reply.status)
    return Unknown(why=line)


def _launched(reply: Reply, read_launched: ReadLaunched) -> Launched | Unknown:
    try:
        # A service may accept a launch without a word.
        value = parsed(reply.body) if reply.body else None
    except ValueError:
        return Unknown(why=f"HTTP {reply.status} without readable JSON")
    return read_launched(value) or Unknown(why=f"HTTP {reply.status} without an id")
