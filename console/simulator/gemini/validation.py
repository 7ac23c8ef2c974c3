"""The checks of request bodies. An unknown field, value or combination is refused before anything starts.

The field names follow the google-genai 3.6.1 types, the rules the public pages on the antigravity agent and on
background execution. Every function raises ApiError 400 for a wrong body unless it says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from console.simulator.errors import ApiError
from console.simulator.run import RunRequest

BUILT_IN_TOOLS = frozenset(
    {"view_file", "list_dir", "find_by_name", "grep_search", "write_to_file", "replace_file_content"}
    | {"code_execution", "google_search", "url_context"}
)
SERVICE_TIERS = ("flex", "standard", "priority", "deferred")
_LAUNCH_FIELDS = frozenset(
    {"agent", "agent_config", "background", "continuation_token", "environment", "input", "labels"}
    | {"previous_interaction_id", "response_modalities", "safety_settings", "service_tier", "store", "stream"}
    | {"system_instruction", "tools", "webhook_config"}
)
_MODEL_FIELDS = frozenset(
    {"temperature", "top_p", "top_k", "stop_sequences", "max_output_tokens", "model", "generation_config"}
    | {"cached_content", "response_format", "response_mime_type"}
)
"""The fields of a model call, which a launch of an agent must not have."""
_AGENT_CONFIGS: Mapping[str, frozenset[str] | None] = {
    "antigravity": frozenset({"type", "max_total_tokens", "model"}),
    "deep-research": frozenset(
        {"type", "thinking_summaries", "visualization", "collaborative_planning", "enable_bigquery_tool"}
    ),
    "code-mender": None,
    "dynamic": None,
}
"""The fields of each type of agent configuration; None allows any field."""
_TOOLS = frozenset({"code_execution", "google_search", "url_context", "function", "mcp_server", "tool_search"})
_MODEL = re.compile(r"gemini-[0-9]+(\.[0-9]+)?-[a-z0-9][a-z0-9.-]*")
"""Names of models. A newer one than this program knows is accepted."""
_MEDIA = frozenset({"audio", "video", "document"})
"""Kinds of content that no agent takes as input."""
_SOURCES = frozenset({"inline", "repository", "gcs", "skill_registry"})
_ENVIRONMENT_FIELDS = frozenset(
    {"sources", "network", "from_environment", "mode", "custom_config", "system_instruction"}
)
_AGENT_FIELDS = frozenset(
    {"id", "base_agent", "agent_config", "system_instruction", "tools", "base_environment", "description"}
)
_MB = 1_000_000


def unknown_parameter(name: str) -> ApiError:
    """Return the error for an unknown field or query parameter."""
    return ApiError(400, f"Unknown parameter: '{name}'.", code="parameter_unknown")


def _allow_only(data: Mapping[str, object], known: Collection[str], where: str) -> None:
    for name in data:
        if name not in known:
            raise unknown_parameter(f"{where}.{name}" if where else name)


def _flag(body: Mapping[str, object], name: str, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise ApiError(400, f"'{name}' must be a boolean.")
    return value


def _object(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ApiError(400, f"'{name}' must be an object.")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ApiError(400, f"'{name}' must be a non-empty string.")
    return value


def require_object(body: Mapping[str, object] | None) -> Mapping[str, object]:
    """Return the body of a request if it is a JSON object, that is, not None."""
    if body is None:
        raise ApiError(400, "The request body must be a JSON object.")
    return body


def check_launch(body: Mapping[str, object]) -> RunRequest:
    """Return the launch that the body of POST /interactions requests.

    Raises ApiError 500 for a function with the name of a built-in tool, as the live service does.
    """
    for name in body:
        if name in _MODEL_FIELDS:
            raise ApiError(400, f"'{name}' is not supported with agents.")
    _allow_only(body, _LAUNCH_FIELDS, "")
    if "input" not in body:
        raise ApiError(400, "'input' is required.")
    background, stored = _flag(body, "background", False), _flag(body, "store", True)
    agent = _text(body.get("agent"), "agent")
    if background and not stored:
        raise ApiError(400, "'background' requires 'store' to be true.")
    if "webhook_config" in body and not background:
        raise ApiError(400, "'webhook_config' requires 'background' to be true.")
    if agent.startswith("deep-research") and not background:
        raise ApiError(400, f"{agent} requires 'background' to be true.")
    _check_tools(body.get("tools", []), stored=stored)
    previous = body.get("previous_interaction_id")
    tier = body.get("service_tier", "standard")
    if tier not in SERVICE_TIERS:
        raise ApiError(400, f"'service_tier' must be one of {', '.join(SERVICE_TIERS)}.")
    return RunRequest(
        agent=agent,
        agent_config=_agent_config(body.get("agent_config"), agent),
        background=background,
        stream=_flag(body, "stream", False),
        environment=_environment(body.get("environment")),
        input=_input(body["input"]),
        labels=_labels(body.get("labels", {})),
        previous_interaction_id=None if previous is None else _text(previous, "previous_interaction_id"),
        service_tier=str(tier),
    )


def _agent_config(given: object, agent: str) -> dict[str, object]:
    own = "deep-research" if agent.startswith("deep-research") else "antigravity"
    if given is None:
        return {"type": own}
    config = dict(_object(given, "agent_config"))
    kind = config.get("type")
    if not isinstance(kind, str) or kind not in _AGENT_CONFIGS:
        raise ApiError(400, f"'agent_config.type' must be one of {', '.join(_AGENT_CONFIGS)}.")
    known = _AGENT_CONFIGS[kind]
    if known is not None:
        _allow_only(config, known, "agent_config")
    if "model" in config and not _MODEL.fullmatch(str(config["model"])):
        raise ApiError(400, "'agent_config.model' must be the name of a model, such as gemini-3.8-flash.")
    if "max_total_tokens" in config:
        config["max_total_tokens"] = _int64(config["max_total_tokens"], "agent_config.max_total_tokens")
    return config


def _int64(value: object, name: str) -> int:
    """Return a positive int64 from proto JSON: a number or a string of digits."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**63:
        raise ApiError(400, f"'{name}' must be a positive int64.")
    return number


def _labels(given: object) -> dict[str, str]:
    labels = _object(given, "labels")
    for name, value in labels.items():
        if not isinstance(value, str):
            raise ApiError(400, f"Label '{name}' must have a string value.")
        if not name or len(name) > 63 or len(value) > 63:
            raise ApiError(400, f"Label '{name[:63]}' must have 1 to 63 characters, its value at most 63.")
        if not name[0].isalpha() or not all(_is_label_character(c) for c in name + value):
            raise ApiError(
                400,
                f"Label '{name}' may hold lower-case letters, digits, '_' and '-', and starts with a letter.",
            )
    return {name: str(value) for name, value in labels.items()}


def _is_label_character(character: str) -> bool:
    return character in "_-" or character.isdigit() or (character.isalpha() and character == character.lower())


def _input(given: object) -> object:
    """Check an input: a text, a content, or a list of contents or steps, with text and images only."""
    if isinstance(given, str):
        return given
    items = given if isinstance(given, list) else [given]
    for item in items:
        for kind in _kinds(_object(item, "input")):
            if not isinstance(kind, str) or kind in _MEDIA:
                raise ApiError(400, "'input' takes text and images only.")
    if not items:
        raise ApiError(400, "'input' must not be empty.")
    return given


def _kinds(item: Mapping[str, object]) -> Iterator[object]:
    """Yield the type of a content or step, and those of the contents within it."""
    yield item.get("type")
    inner = item.get("content")
    for piece in inner if isinstance(inner, list) else [inner]:
        if isinstance(piece, dict):
            yield piece.get("type")


def prompt_of(given: object) -> str:
    """Return the first text in an input, or an empty string for an input of any other form."""
    if isinstance(given, str):
        return given
    if isinstance(given, dict):
        text = given.get("text")
        return text if isinstance(text, str) else prompt_of(given.get("content"))
    return next((text for item in given if (text := prompt_of(item))), "") if isinstance(given, list) else ""


def _check_tools(given: object, *, stored: bool) -> None:
    if not isinstance(given, list):
        raise ApiError(400, "'tools' must be a list.")
    for entry in given:
        tool = _object(entry, "tools")
        kind = tool.get("type")
        if kind not in _TOOLS:
            raise ApiError(400, f"Tool type {kind!r} is not supported; supported are {', '.join(sorted(_TOOLS))}.")
        if kind == "function":
            if not stored:
                raise ApiError(400, "Function calling requires 'store' to be true.")
            # The live service answers 500 here (CLIProxyAPI#5190).
            if _text(tool.get("name"), "tools.name") in BUILT_IN_TOOLS:
                raise ApiError(500, "Internal error encountered.")
        if kind == "mcp_server":
            name = _text(tool.get("name"), "tools.name")
            if not (name.isalnum() and name == name.lower()):
                raise ApiError(400, "The name of an MCP server is lower-case and alphanumeric.")


def _environment(given: object) -> str | Mapping[str, object] | None:
    if given is None or (isinstance(given, str) and given):
        return given
    environment = _object(given, "environment")
    _allow_only(
        environment, ("type", "environment_id", "sources", "network", "env", "mode", "custom_config"), "environment"
    )
    if environment.get("type") != "remote":
        raise ApiError(400, "'environment.type' must be 'remote'.")
    if "environment_id" in environment:
        _text(environment["environment_id"], "environment.environment_id")
    _check_settings(environment, "environment")
    return environment


def check_environment(body: Mapping[str, object]) -> Mapping[str, object]:
    """Return the settings of a sandbox from the body of POST /environments."""
    _allow_only(body, _ENVIRONMENT_FIELDS, "")
    _check_settings(body, "environment")
    return body


def check_agent(body: Mapping[str, object]) -> str:
    """Check the body of POST /agents and return the id of the agent."""
    _allow_only(body, _AGENT_FIELDS, "")
    return _text(body.get("id"), "id")


def _check_settings(body: Mapping[str, object], where: str) -> None:
    """Check the mode, the sources and the network of a sandbox."""
    mode, custom = body.get("mode", "on_demand"), body.get("custom_config")
    if not isinstance(mode, str):
        raise ApiError(400, f"'{where}.mode' must be a string.")
    if custom is not None:
        _object(custom, f"{where}.custom_config")
        if mode.lower() != "self_hosted":
            raise ApiError(400, f"'{where}.custom_config' requires 'mode' to be self_hosted.")
    if body.get("from_environment") is not None and body.get("sources"):
        raise ApiError(400, f"'{where}.sources' must be empty with 'from_environment'.")
    sources = body.get("sources", [])
    if not isinstance(sources, list):
        raise ApiError(400, f"'{where}.sources' must be a list.")
    sizes = []
    for entry in sources:
        source = _object(entry, f"{where}.sources")
        _allow_only(source, ("type", "source", "target", "content", "encoding"), f"{where}.sources")
        if source.get("type") not in _SOURCES:
            raise ApiError(400, f"'{where}.sources.type' must be one of {', '.join(sorted(_SOURCES))}.")
        sizes.append(len(str(source.get("content", ""))))
    if max(sizes, default=0) > _MB or sum(sizes) > 2 * _MB:
        raise ApiError(400, "Inline sources may have 1 MB each and 2 MB in all.")
    network = body.get("network")
    if network is None or network == "disabled":
        return
    allowed = _object(network, f"{where}.network")
    _allow_only(allowed, ("allowlist",), f"{where}.network")
    entries = allowed.get("allowlist")
    if not isinstance(entries, list):
        raise ApiError(400, f"'{where}.network.allowlist' must be a list.")
    for entry in entries:
        rule = _object(entry, f"{where}.network.allowlist")
        _allow_only(rule, ("domain", "credential", "transform"), f"{where}.network.allowlist")
        _text(rule.get("domain"), f"{where}.network.allowlist.domain")
