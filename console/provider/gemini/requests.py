"""The bodies we send. Background, stored, with the server's own token limit as a belt: always all three."""

from __future__ import annotations

import json
from collections.abc import Mapping

from console.provider.contract import LaunchOrder

DEEP_RESEARCH = "deep-research"


def launch_body(order: LaunchOrder) -> bytes:
    """The create call. Raises ValueError where the order cannot be written as JSON."""
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
    return _encoded(body)


def sandbox_body(network: str | None) -> bytes:
    """The call that makes a sandbox. Raises ValueError where `network` is not JSON."""
    return _encoded({} if network is None else {"network": json.loads(network)})


def _agent_config(order: LaunchOrder) -> Mapping[str, str]:
    """The token limit goes out for every agent: an agent that knows no such field refuses, and runs away with nothing.

    It is a string, as int64 is in the JSON form of protocol buffers; the model is Antigravity's field alone
    (google-genai 3.4.0, deepresearchagentconfig.py).
    """
    limit = str(order.max_total_tokens)
    if order.agent.startswith(f"{DEEP_RESEARCH}-"):
        return {"type": DEEP_RESEARCH, "max_total_tokens": limit}
    config = {"type": "antigravity", "max_total_tokens": limit}
    return {**config, "model": order.model} if order.model else config


def _environment(order: LaunchOrder) -> object:
    if order.environment == "remote" and order.network is not None:
        return {"type": "remote", "network": json.loads(order.network)}
    return order.environment


def _encoded(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
