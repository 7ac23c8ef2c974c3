"""What the service refuses in a request before it looks at its own state."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import TypeVar

from starlette.datastructures import QueryParams
from starlette.requests import Request

from console.simulator.anthropic.bodies import CENT, Json
from console.simulator.errors import ApiError

BETA = "managed-agents-2026-04-01"
MAX_INITIAL = 50
MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512
MAX_PAGE = 1000
PAGE_SIZE = 20
"""Entries of a page if the call does not choose a number."""
SENT = ("user.message", "user.interrupt")
"""The events that a client may send here."""

Entry = TypeVar("Entry")


def check_headers(request: Request) -> None:
    """Raise ApiError unless the call names the version and the beta."""
    if BETA not in request.headers.get("anthropic-beta", "").replace(" ", "").split(","):
        raise ApiError(404, "Not found")
    if not request.headers.get("anthropic-version"):
        raise ApiError(400, "anthropic-version: header is required")


def require_object(given: dict[str, object] | None) -> dict[str, object]:
    """Return a body. Raises ApiError 400 for anything but a JSON object."""
    if given is None:
        raise ApiError(400, "The request body is not valid JSON: an object is expected.")
    return given


def check_session(body: Mapping[str, object]) -> tuple[Json, dict[str, str], str]:
    """Return the reference to the agent, the metadata and the environment's id. Raises ApiError 400."""
    known = ("agent", "environment_id", "budget", "initial_events", "metadata", "resources", "title", "vault_ids")
    for name in body:
        if name not in known:
            raise ApiError(400, f"{name}: Extra inputs are not permitted")
    environment = body.get("environment_id")
    if not isinstance(environment, str) or not environment:
        raise ApiError(400, "environment_id: Field required")
    return _agent(body.get("agent")), check_metadata(body.get("metadata")), environment


def _agent(given: object) -> Json:
    """Return the agent of a session as an object with `id`, and `version` and `system` if given."""
    if isinstance(given, str) and given:
        return {"id": given}
    if isinstance(given, dict) and isinstance(given.get("id"), str):
        version = given.get("version", 1)
        if given.get("type") in ("agent", "agent_with_overrides") and isinstance(version, int) and version > 0:
            return dict(given)
    raise ApiError(400, "agent: an id, or an object of type agent or agent_with_overrides, is expected")


def check_metadata(given: object) -> dict[str, str]:
    """Return the metadata. Raises ApiError 400 beyond 16 pairs of 64 and 512 characters."""
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > MAX_PAIRS:
        raise ApiError(400, f"metadata: at most {MAX_PAIRS} pairs of strings are permitted")
    for name, value in given.items():
        if not isinstance(value, str) or len(name) > MAX_KEY or len(value) > MAX_VALUE:
            raise ApiError(400, f"metadata: keys have at most {MAX_KEY} and values {MAX_VALUE} characters")
    return given


def check_budget(given: object, model: object) -> float | None:
    """Return the limit in millionths of a US dollar; None without one. Raises ApiError 400."""
    if given is None:
        return None
    cost = given.get("max_list_cost") if isinstance(given, dict) and given.get("type") == "limit" else None
    amount = cost.get("amount") if isinstance(cost, dict) else None
    if not isinstance(cost, dict) or not isinstance(amount, str) or not amount.isdecimal() or int(amount) < 1:
        raise ApiError(400, "budget.max_list_cost.amount: a decimal string of cents greater than zero is expected")
    if cost.get("currency") != "USD":
        raise ApiError(400, "budget.max_list_cost.currency: only USD is supported")
    name = model.get("id") if isinstance(model, dict) else model
    if not isinstance(name, str) or not name.startswith("claude-"):
        raise ApiError(400, f"The model {name!r} has no public list price.", code="model_not_budgetable")
    return int(amount) * CENT


def check_events(given: object, permitted: Sequence[str] = SENT) -> list[Json]:
    """Return the events of a request. Raises ApiError 400."""
    if not isinstance(given, list) or not given:
        raise ApiError(400, "events: a list of at least one event is expected")
    for event in given:
        if not isinstance(event, dict) or event.get("type") not in permitted:
            raise ApiError(400, f"events: an event of type {' or '.join(permitted)} is expected")
        if event["type"] == "user.message" and not prompt_of(event):
            raise ApiError(400, "events.0.content: a text is expected")
    return given


def prompt_of(event: Mapping[str, object]) -> str:
    """Return the text of a user.message."""
    content = event.get("content")
    blocks = content if isinstance(content, list) else []
    texts = [block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str))


def several(query: QueryParams, name: str) -> list[str]:
    """Return the values of a parameter that may be repeated, with or without brackets."""
    return [*query.getlist(name), *query.getlist(f"{name}[]")]


def page_of(entries: Sequence[Entry], query: QueryParams, order: str) -> tuple[Sequence[Entry], str | None]:
    """Return one page of `entries`, which are in the asked order, and the cursor of the next one.

    Raises ApiError 400 for a `limit` out of range or a cursor of another order.
    """
    limit = query.get("limit", str(PAGE_SIZE))
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
        raise ApiError(400, f"limit: a number from 1 to {MAX_PAGE} is expected")
    start = 0
    if cursor := query.get("page"):
        try:
            of_order, _, at = base64.urlsafe_b64decode(cursor).decode().partition(":")
            start = int(at)
        except (ValueError, binascii.Error):
            raise ApiError(400, "page: not a cursor") from None
        if of_order != order:
            raise ApiError(400, "page: the cursor belongs to another order")
    end = start + int(limit)
    following = base64.urlsafe_b64encode(f"{order}:{end}".encode()).decode() if end < len(entries) else None
    return entries[start:end], following


def order_of(query: QueryParams, usual: str) -> str:
    """Return `asc` or `desc`. Raises ApiError 400 for another order."""
    order = query.get("order", usual)
    if order not in ("asc", "desc"):
        raise ApiError(400, "order: asc or desc is expected")
    return order
