"""Bodies of the requests: a session with its limit and labels, the message that starts it, and the interrupt.

Kept apart because what is sent is reviewed on its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from console.domain.server_limit import MoneyLimit
from console.provider.contract import Invalid, LaunchOrder
from console.provider.http.session_calls import checked_labels

MAX_TITLE = 100
"""Characters of the title of a session."""
INTERRUPT = b'{"events":[{"type":"user.interrupt"}]}'


def session_body(order: LaunchOrder) -> bytes:
    """Return the body that makes a session. Raises Invalid for an order that this service cannot carry out.

    The limit is part of it, because a session takes none later.
    """
    if order.tools or order.network is not None:
        raise Invalid("tools and network stand in the agent and the environment at the service, not in the launch")
    body: dict[str, object] = {
        "agent": _agent(order),
        "environment_id": order.environment,
        "metadata": checked_labels(order.labels),
        "title": f"nightdesk {order.labels.get('nightdesk-run', '')}"[:MAX_TITLE].strip(),
    }
    match order.server_limit:
        case MoneyLimit(cents=cents, currency=currency):
            cost = {"amount": str(cents), "currency": currency}
            body["budget"] = {"type": "limit", "max_list_cost": cost}
        case None:
            pass
        case limit:
            raise Invalid(f"this service limits money, not {type(limit).__name__}")
    return _encoded(body)


def message_body(order: LaunchOrder) -> bytes:
    """Return the body of the one request that starts a run. Raises ValueError if it cannot be written as JSON."""
    if order.prepared_id is None:
        raise ValueError("a run starts in a session that was made for it")
    content = [{"type": "text", "text": order.prompt}]
    return _encoded({"events": [{"type": "user.message", "content": content}]})


def agent_and_version(agent: str) -> tuple[str, int | None]:
    """Split `ID@VERSION`; None is the newest version. Raises Invalid for a version that is not a number."""
    agent_id, at, version = agent.partition("@")
    if at and not (version.isascii() and version.isdigit() and int(version) > 0):
        raise Invalid("the version of the agent is not a whole number from 1 up")
    return agent_id, int(version) if at else None


def _agent(order: LaunchOrder) -> Mapping[str, object]:
    """Return the agent of a session; a system instruction replaces that of the agent for this session only."""
    agent_id, version = agent_and_version(order.agent)
    chosen: dict[str, object] = {"type": "agent", "id": agent_id}
    if version is not None:
        chosen["version"] = version
    if order.system_instruction is not None:
        return {**chosen, "type": "agent_with_overrides", "system": order.system_instruction}
    return chosen


def _encoded(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
