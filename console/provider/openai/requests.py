"""Bodies and keys of the requests: a session without input, the message that starts it, and its cancel.

The fields follow the types of openai 3.57.0. A limit of money was a field up to version 3.54 and is not sent.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from console.provider.contract import REMOTE, RUN_LABEL, LaunchOrder
from console.provider.http.json_narrowing import elements, members
from console.provider.http.session_calls import checked_labels

DEFAULT_SIZE = "medium"
MAX_KEY = 256
"""Characters of an idempotency key."""
NETWORKS = '"disabled", { access = "enabled" }, or { allowlist = [{ domain = "api.example" }] } with 1 to 100 hosts'
"""The network settings that can be sent, for messages."""


def session_body(order: LaunchOrder) -> bytes:
    """Return the body of a request for a session in which nothing works yet.

    Raises Invalid for labels that do not fit, ValueError for anything else that cannot be sent; its text is safe.
    """
    size = DEFAULT_SIZE if order.environment in ("", REMOTE) else order.environment
    environment: dict[str, object] = {"type": "openai_hosted", "container_size": size}
    if order.network is not None:
        environment["network"] = _network(json.loads(order.network))
    # One agent: the usage of others would not be part of the turn that is watched.
    agent: dict[str, object] = {"multi_agent": {"enabled": False}}
    if order.model:
        agent["model"] = order.model
    if order.system_instruction is not None:
        agent["instructions"] = order.system_instruction
    if order.tools:
        agent["tools"] = [json.loads(tool) for tool in order.tools]
    body: dict[str, object] = {
        "agent": agent,
        "environment": environment,
        "metadata": checked_labels(order.labels),
        "review": "none",
    }
    if order.agent:
        body["agent_id"] = order.agent
    return _encoded(body)


def message_body(order: LaunchOrder) -> bytes:
    """Return the body of the message that starts the run. Raises ValueError if it cannot be written as JSON."""
    content = [{"type": "input_text", "text": order.prompt}]
    message = {"type": "agent.session.input.message", "input": [{"role": "user", "content": content}]}
    return _encoded({"events": [message]})


CANCEL_BODY = b'{"events":[{"type":"agent.session.input.cancel"}]}'


def start_key(order: LaunchOrder) -> str:
    """Return the idempotency key of a start: the same for every repetition, another one for another session.

    Raises ValueError for an order that was not prepared, or whose key would be too long.
    """
    if not order.prepared_id:
        raise ValueError("nothing was prepared")
    return _checked_key(f"{order.labels.get(RUN_LABEL, '')}-{order.prepared_id}")


def cancel_key(session_id: str) -> str:
    """Return a new idempotency key: a cancel with an old one may be answered from memory, without effect."""
    return _checked_key(f"{session_id[-200:]}-cancel-{secrets.token_hex(8)}")


def _checked_key(key: str) -> str:
    if len(key) > MAX_KEY or not key.isascii() or not key.isprintable():
        raise ValueError("the idempotency key does not fit into a header")
    return key


def _network(setting: object) -> Mapping[str, object]:
    """Return the network of a hosted environment. Raises ValueError for a setting that this service has not."""
    if setting == "disabled":
        return {"access": "disabled"}
    table = members(setting)
    if set(table) == {"allowlist"}:
        rules = [members(rule) for rule in elements(table["allowlist"])]
        hosts = [rule.get("domain") for rule in rules if set(rule) == {"domain"}]
        if 0 < len(hosts) == len(elements(table["allowlist"])) <= 100 and all(isinstance(host, str) for host in hosts):
            return {"access": "restricted", "allowed_domains": hosts}
    elif "access" in table and set(table) <= {"access", "allowed_domains"}:
        return table
    raise ValueError(f"the network setting is none of this service; accepted: {NETWORKS}")


def _encoded(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
