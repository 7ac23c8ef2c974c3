"""Read the service's replies without trusting them: errors, figures of usage, templates, and the answer to a launch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from console.domain.usage import Usage
from console.provider.contract import Launched
from console.provider.http.errors import ErrorBody, Redact, cleaned
from console.provider.http.json_narrowing import count, elements, members, opaque_id, text

WORD_LENGTH = 64
MICRO_OF_CENT = 10_000
_CENTS = re.compile(r"\d{1,15}(\.\d{1,4})?\Z", re.ASCII)
USUAL_POLICY: Mapping[str, str] = {"mcp_toolset": "always_ask"}
"""The policy of the tools of a set that names none; of other sets it is `always_allow`."""
ALLOWED = "always_allow"


def parse_error(value: object) -> ErrorBody | None:
    """Parse `{"type": "error", "error": {type, message, details: {error_code}}}`; None for anything else.

    The word is `details.error_code` if there is one, else the type of the error. A message alone is enough.
    """
    error = members(members(value).get("error"))
    detail = text(members(error.get("details")).get("error_code"), WORD_LENGTH)
    word, message = detail or text(error.get("type"), WORD_LENGTH), text(error.get("message"), 1000)
    return ErrorBody(code=word, message=message) if word or message else None


def read_launched(value: object, session_id: str) -> Launched | None:
    """Read the reply to the message that starts a run; None unless it shows the event that was accepted."""
    sent = [members(event) for event in elements(members(value).get("data"))]
    if not any(opaque_id(event.get("id")) is not None for event in sent):
        return None
    return Launched(remote_id=session_id, status="sent", prepared_id=session_id)


def session_usage(value: object) -> Usage | None:
    """Return the cumulative usage of a session or of a snapshot; None if none is reported.

    The service's `input_tokens` are only what was neither read from nor written to the cache. A count that is no
    plausible number makes all of them untrustworthy, and zero alone is what a working session shows.
    """
    reported = members(value)
    written = members(reported.get("cache_creation"))
    usage = _usage(
        fresh=reported.get("input_tokens"),
        cached=reported.get("cache_read_input_tokens"),
        written=(written.get("ephemeral_5m_input_tokens"), written.get("ephemeral_1h_input_tokens")),
        output=reported.get("output_tokens"),
    )
    if usage is None or usage.total == 0:
        return None
    seconds = reported.get("active_seconds")
    active = count(seconds * 1000) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None
    return Usage(
        total=usage.total,
        input=usage.input,
        output=usage.output,
        cached=usage.cached,
        cache_write=usage.cache_write,
        searches=count(members(reported.get("server_tool_use")).get("web_search_requests")) or 0,
        active_ms=active or 0,
        told_micro=_told(reported.get("list_cost")),
    )


def request_usage(value: object) -> Usage | None:
    """Return the usage of one model request; None if none is reported."""
    reported = members(value)
    return _usage(
        fresh=reported.get("input_tokens"),
        cached=reported.get("cache_read_input_tokens"),
        written=(reported.get("cache_creation_input_tokens"),),
        output=reported.get("output_tokens"),
    )


def _usage(*, fresh: object, cached: object, written: tuple[object, ...], output: object) -> Usage | None:
    given = [figure for figure in (fresh, cached, *written, output) if figure is not None]
    if not given or any(count(figure) is None for figure in given):
        return None
    read, new = count(cached) or 0, sum(count(figure) or 0 for figure in written)
    whole = (count(fresh) or 0) + read + new
    answer = count(output) or 0
    return Usage(total=whole + answer, input=whole, output=answer, cached=read, cache_write=new)


def _told(value: object) -> int | None:
    """Return the list cost in micro-money, which is told in cents; None if it is not told.

    Whole cents are told: zero says that less than one was used, or that it is not counted yet.
    """
    amount = members(value).get("amount")
    if not isinstance(amount, str) or _CENTS.match(amount) is None:
        return None
    whole, _, part = amount.partition(".")
    micro = int(whole) * MICRO_OF_CENT + int((part + "0000")[:4])
    return micro or None


def hindrances(agent: object, environment: object, *, model: str, redact: Redact) -> Iterator[str]:
    """Yield what would hinder a run that nobody watches, one sanitized sentence each."""
    shown = members(agent)
    for tool in map(members, elements(shown.get("tools"))):
        yield from (cleaned(redact(line)) for line in _asking(tool))
    chosen = shown.get("model")
    name = text(chosen if isinstance(chosen, str) else members(chosen).get("id"), WORD_LENGTH)
    if name and name != model:
        yield cleaned(redact(f"the agent uses the model {name}, but the price of {model} is applied"))
    for what, value in (("agent", shown), ("environment", members(environment))):
        if value.get("archived_at") is not None:
            yield f"the {what} is archived"


def _asking(tool: Mapping[str, object]) -> Iterator[str]:
    """Yield a sentence for each tool of a set that may wait for a person."""
    kind = text(tool.get("type"), WORD_LENGTH)
    if kind == "custom":
        yield f"the tool {text(tool.get('name'), WORD_LENGTH)} waits for a result from its client"
        return
    name = text(tool.get("mcp_server_name"), WORD_LENGTH) or kind
    default = members(tool.get("default_config"))
    usual = _policy(default) or USUAL_POLICY.get(kind, ALLOWED)
    if usual != ALLOWED and default.get("enabled") is not False:
        yield f"the tools of {name} have the policy {usual}: a call may wait for a person"
    for config in map(members, elements(tool.get("configs"))):
        own = _policy(config)
        if own and own not in (ALLOWED, usual) and config.get("enabled") is not False:
            yield f"the tool {text(config.get('name'), WORD_LENGTH)} has the policy {own}: a call may wait for a person"


def _policy(config: Mapping[str, object]) -> str:
    return text(members(config.get("permission_policy")).get("type"), WORD_LENGTH)
