"""Bodies of the requests. Each launch runs in the background, is stored, and has a token limit at the service.

Kept apart because what is sent is reviewed on its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from console.domain.server_limit import TokenLimit
from console.provider.contract import REMOTE, LaunchOrder

DEEP_RESEARCH = "deep-research"


NEVER_DUE = "0 0 29 2 *"
"""A trigger needs a schedule. It is paused at once; one that could not be paused is due on 29 February only."""


def launch_body(order: LaunchOrder) -> bytes:
    """Return the body of a launch request.

    Raises ValueError if `order` cannot be written as JSON or has no token limit.
    """
    return _encoded(_launch(order))


def trigger_body(order: LaunchOrder, *, timeout_s: int, name: str) -> bytes:
    """Return the body of a request for a trigger that launches `order` and ends it after `timeout_s` seconds.

    Raises ValueError as `launch_body`.
    """
    return _encoded(
        {
            "interaction": _launch(order),
            "schedule": NEVER_DUE,
            "time_zone": "UTC",
            "display_name": name,
            "execution_timeout_seconds": timeout_s,
            "max_consecutive_failures": 1,
        }
    )


def paused_body() -> bytes:
    """Return the body of a request that pauses a trigger."""
    return _encoded({"status": "paused"})


def _launch(order: LaunchOrder) -> dict[str, object]:
    body: dict[str, object] = {
        "agent": order.agent,
        "agent_config": _agent_config(order),
        "background": True,
        "environment": _environment(order),
        "input": order.prompt,
        "labels": dict(order.labels),
        "store": True,
    }
    if order.tools:
        body["tools"] = [json.loads(tool) for tool in order.tools]
    if order.system_instruction is not None:
        body["system_instruction"] = order.system_instruction
    return body


def sandbox_body(network: str | None) -> bytes:
    """Return the body of a request for a sandbox. Raises ValueError if `network` is not JSON."""
    return _encoded({} if network is None else {"network": json.loads(network)})


def _agent_config(order: LaunchOrder) -> Mapping[str, str]:
    """Return the agent_config. It always has the token limit: an agent that does not know it refuses the launch.

    The limit is a string, like any int64 in the JSON form of protocol buffers. Only Antigravity has the field `model`
    (google-genai 3.6.1, deepresearchagentconfig.py).
    """
    if not isinstance(order.server_limit, TokenLimit):
        raise ValueError("a launch here needs a token limit")
    limit = str(order.server_limit.tokens)
    if order.agent.startswith(f"{DEEP_RESEARCH}-"):
        return {"type": DEEP_RESEARCH, "max_total_tokens": limit}
    config = {"type": "antigravity", "max_total_tokens": limit}
    return {**config, "model": order.model} if order.model else config


def _environment(order: LaunchOrder) -> object:
    """A sandbox that was made before has its own network setting; only one that the launch makes gets it here."""
    if order.prepared_id is not None:
        return order.prepared_id
    if order.environment == REMOTE and order.network is not None:
        return {"type": REMOTE, "network": json.loads(order.network)}
    return order.environment


def _encoded(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
