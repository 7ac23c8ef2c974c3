"""The checks of request bodies. An unknown field, value or combination is refused before anything is made or started.

The field names follow the types of openai 3.57.0. Every function raises ApiError 400 for a wrong body.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from console.simulator.errors import ApiError

MESSAGE, CANCEL = "agent.session.input.message", "agent.session.input.cancel"
_INPUTS = frozenset(
    {
        MESSAGE,
        CANCEL,
        "agent.session.input.tool_result",
        "agent.session.input.mcp_approval_request_result",
        "agent.session.input.computer_use_approval_request_result",
    }
)
_SESSION_FIELDS = frozenset(
    {"environment", "agent", "agent_id", "input", "metadata", "prompt_cache_options", "review", "stream"}
    | {"stream_options", "vault_ids"}
)
_AGENT_FIELDS = frozenset(
    {"compaction", "experimental", "instructions", "model", "multi_agent", "reasoning", "service_tier", "text", "tools"}
)
_ENVIRONMENT_FIELDS: Mapping[str, frozenset[str]] = {
    "none": frozenset({"type"}),
    "openai_hosted": frozenset(
        {"type", "capability_directories", "container_size", "desktop", "env", "environment_id", "files", "network"}
        | {"environment_template_id", "packages", "plugins", "setup_commands", "skills"}
    ),
    "self_hosted": frozenset({"type", "workspace_directory", "capability_directories"}),
}
_TOOLS = frozenset({"function", "programmatic_tool_calling", "mcp", "web_search", "computer_use", "automations"})
SIZES = ("small", "medium", "large")
MAX_INPUT = 4 << 20
"""Bytes of the input of one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """A session to make, as its body describes it."""

    agent_id: str | None
    agent: Mapping[str, object]
    environment: Mapping[str, object]
    metadata: Mapping[str, str]
    prompt: str | None
    """The first message; None prepares the session only."""


def require_object(value: object, where: str = "The request body") -> Mapping[str, object]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise ApiError(400, f"{where} must be an object.")
    return value


def _only(data: Mapping[str, object], known: Collection[str], where: str) -> None:
    for name in data:
        if name not in known:
            raise ApiError(400, f"Unknown parameter: '{where}{name}'.", code="unknown_parameter")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ApiError(400, f"'{where}' must be a non-empty string.")
    return value


def check_session(body: Mapping[str, object]) -> SessionRequest:
    """Return the session that the body of POST /agents/sessions asks for."""
    _only(body, _SESSION_FIELDS, "")
    environment = require_object(body.get("environment"), "'environment'")
    _check_environment(environment)
    agent = require_object(body.get("agent") or {}, "'agent'")
    agent_id = None if body.get("agent_id") is None else _text(body["agent_id"], "agent_id")
    check_agent(agent, needs_model=agent_id is None)
    if body.get("review", "none") not in ("none", "auto_review"):
        raise ApiError(400, "'review' must be none or auto_review.")
    prompt = None if body.get("input") is None else input_text(body["input"])
    if prompt is None and environment["type"] == "none":
        raise ApiError(400, "'input' is required without an environment.")
    metadata = check_metadata(body.get("metadata") or {})
    return SessionRequest(agent_id=agent_id, agent=agent, environment=environment, metadata=metadata, prompt=prompt)


def check_agent(agent: Mapping[str, object], *, needs_model: bool) -> None:
    """Check the configuration of an agent, saved or of one session."""
    _only(agent, _AGENT_FIELDS, "agent.")
    if needs_model or "model" in agent:
        _text(agent.get("model"), "agent.model")
    if agent.get("instructions") is not None:
        _text(agent["instructions"], "agent.instructions")
    tools = agent.get("tools") or []
    if not isinstance(tools, list):
        raise ApiError(400, "'agent.tools' must be a list.")
    for tool in tools:
        kind = require_object(tool, "'agent.tools'").get("type")
        if kind not in _TOOLS:
            raise ApiError(400, f"Tool type {kind!r} is not supported; supported are {', '.join(sorted(_TOOLS))}.")
    require_object(agent.get("multi_agent") or {}, "'agent.multi_agent'")


def _check_environment(environment: Mapping[str, object]) -> None:
    kind = environment.get("type")
    if not isinstance(kind, str) or kind not in _ENVIRONMENT_FIELDS:
        raise ApiError(400, f"'environment.type' must be one of {', '.join(_ENVIRONMENT_FIELDS)}.")
    _only(environment, _ENVIRONMENT_FIELDS[kind], "environment.")
    if environment.get("container_size", "medium") not in SIZES:
        raise ApiError(400, f"'environment.container_size' must be one of {', '.join(SIZES)}.")
    if environment.get("network") is not None:
        network = require_object(environment["network"], "'environment.network'")
        _only(network, ("access", "allowed_domains"), "environment.network.")
        domains = network.get("allowed_domains") or []
        if network.get("access") not in ("enabled", "disabled", "restricted"):
            raise ApiError(400, "'environment.network.access' must be enabled, disabled or restricted.")
        if not isinstance(domains, list) or (network["access"] == "restricted") != (0 < len(domains) <= 100):
            raise ApiError(400, "'environment.network.allowed_domains' must be 1 to 100 hosts of a restricted network.")
        for domain in domains:
            _text(domain, "environment.network.allowed_domains")


def check_metadata(given: object) -> dict[str, str]:
    """Return the metadata: at most 16 pairs of at most 64 and 512 characters."""
    metadata = require_object(given, "'metadata'")
    if len(metadata) > 16:
        raise ApiError(400, "'metadata' may have 16 pairs.")
    for name, value in metadata.items():
        if not isinstance(value, str) or not 0 < len(name) <= 64 or len(value) > 512:
            raise ApiError(400, "'metadata' has keys of up to 64 and values of up to 512 characters.")
    return {name: str(value) for name, value in metadata.items()}


def check_event(body: Mapping[str, object]) -> tuple[str, str]:
    """Return the type of the one event in the body of POST …/events, and the text of a message."""
    _only(body, ("events",), "")
    events = body.get("events")
    if not isinstance(events, list) or len(events) != 1:
        raise ApiError(400, "'events' must hold one event.")
    event = require_object(events[0], "'events[0]'")
    kind = event.get("type")
    if not isinstance(kind, str) or kind not in _INPUTS:
        raise ApiError(400, f"'events[0].type' must be one of {', '.join(sorted(_INPUTS))}.")
    if kind == MESSAGE:
        _only(event, ("type", "input"), "events[0].")
        return kind, input_text(event.get("input"))
    if kind == CANCEL:
        _only(event, ("type",), "events[0].")
    return kind, ""


def input_text(given: object) -> str:
    """Return the text of an input: a string, or a list of messages of the user."""
    if isinstance(given, str) and given:
        text = given
    elif isinstance(given, list) and given:
        text = "\n".join(_message_text(require_object(message, "'input'")) for message in given)
    else:
        raise ApiError(400, "'input' must be a text or a list of messages.")
    if len(text.encode("utf-8", "replace")) > MAX_INPUT:
        raise ApiError(413, "'input' may have 4 MiB.")
    return text


def _message_text(message: Mapping[str, object]) -> str:
    _only(message, ("type", "role", "content"), "input.")
    content = message.get("content")
    if message.get("role") != "user" or not isinstance(content, list) or not content:
        raise ApiError(400, "'input' must hold messages with the role user and a list of contents.")
    pieces = [require_object(piece, "'input.content'") for piece in content]
    for piece in pieces:
        if piece.get("type") not in ("input_text", "input_image"):
            raise ApiError(400, "'input.content.type' must be input_text or input_image.")
    return "\n".join(
        _text(piece.get("text"), "input.content.text") for piece in pieces if piece["type"] == "input_text"
    )


def prompt_of(body: Mapping[str, object] | None) -> str:
    """Return the text of the first message in the body of POST …/events; empty for any other body."""
    try:
        return check_event(body or {})[1]
    except ApiError:
        return ""
