"""What the service accepts in a create: every other field, value or combination is refused before anything starts.

Field names as in the google-genai 3.4.0 types; rules as on the public antigravity-agent and background-execution pages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from console.simulator.gemini.bodies import ApiError

AGENTS = frozenset(
    {
        "antigravity-preview-09-2026",
        "deep-research-preview-04-2026",
        "deep-research-max-preview-04-2026",
        "deep-research-pro-preview-12-2025",
    }
)
"""antigravity-preview-05-2026 was shut down on 2026-10-05."""
MODELS = ("gemini-3.8-flash", "gemini-3.7-flash", "gemini-3.6-flash", "gemini-3.5-flash", "gemini-3.5-flash-lite")
BUILT_IN = frozenset(
    {"view_file", "list_dir", "find_by_name", "grep_search", "write_to_file", "replace_file_content"}
    | {"code_execution", "google_search", "url_context"}
)
TIERS = ("flex", "standard", "priority", "deferred")
_FIELDS = frozenset(
    {"agent", "agent_config", "background", "continuation_token", "environment", "input", "labels"}
    | {"previous_interaction_id", "response_modalities", "safety_settings", "service_tier", "store", "stream"}
    | {"system_instruction", "tools", "webhook_config"}
)
_REFUSED = frozenset(
    {"temperature", "top_p", "top_k", "stop_sequences", "max_output_tokens", "model", "generation_config"}
    | {"cached_content", "response_format", "response_mime_type"}
)
_AGENT_CONFIGS: Mapping[str, frozenset[str] | None] = {
    "antigravity": frozenset({"type", "max_total_tokens", "model"}),
    "deep-research": frozenset(
        {"type", "thinking_summaries", "visualization", "collaborative_planning", "enable_bigquery_tool"}
    ),
    "code-mender": None,
    "dynamic": None,
}
"""None: any field."""
_TOOLS = frozenset({"code_execution", "google_search", "url_context", "function", "mcp_server"})
_SOURCES = frozenset({"inline", "repository", "gcs", "skill_registry"})
_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A create that passed every check that needs no knowledge of what exists."""

    agent: str
    agent_config: Mapping[str, object]
    """`type`, `model` and `max_total_tokens` (an int) where they were given."""
    background: bool
    stream: bool
    environment: str | Mapping[str, object] | None
    """`remote`, an id, or the object; None: none is asked for."""
    input: object
    labels: Mapping[str, str]
    previous_interaction_id: str | None
    service_tier: str

    @property
    def max_total_tokens(self) -> int | None:
        """The server's token limit."""
        limit = self.agent_config.get("max_total_tokens")
        return limit if isinstance(limit, int) else None


def unknown_parameter(name: str) -> ApiError:
    """Also what a query parameter gets that GET refuses."""
    return ApiError(400, f"Unknown parameter: '{name}'.", code="parameter_unknown")


def _only(data: Mapping[str, object], known: Collection[str], where: str) -> None:
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


def check_object(body: Mapping[str, object] | None) -> Mapping[str, object]:
    """The body, where it was a JSON object. Raises ApiError 400."""
    if body is None:
        raise ApiError(400, "The request body must be a JSON object.")
    return body


def check_create(body: Mapping[str, object]) -> RunRequest:
    """The order of a create body. Raises ApiError 400 (500 for a function named like a built-in tool)."""
    for name in body:
        if name in _REFUSED:
            raise ApiError(400, f"'{name}' is not supported with agents.")
    _only(body, _FIELDS, "")
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
    if tier not in TIERS:
        raise ApiError(400, f"'service_tier' must be one of {', '.join(TIERS)}.")
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
        _only(config, known, "agent_config")
    if "model" in config and config["model"] not in MODELS:
        raise ApiError(400, f"'agent_config.model' must be one of {', '.join(MODELS)}.")
    if "max_total_tokens" in config:
        config["max_total_tokens"] = _int64(config["max_total_tokens"], "agent_config.max_total_tokens")
    return config


def _int64(value: object, name: str) -> int:
    """An int64 as proto JSON takes it: a number or a string of digits."""
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
    """One text, one content, or a list of contents or steps; text and images only."""
    if isinstance(given, str):
        return given
    items = given if isinstance(given, list) else [given]
    for item in items:
        kind = _object(item, "input").get("type")
        if not isinstance(kind, str) or kind in ("audio", "video", "document"):
            raise ApiError(400, "'input' takes text and images only.")
    if not items:
        raise ApiError(400, "'input' must not be empty.")
    return given


def prompt_of(given: object) -> str:
    """The first text in an input, or nothing; never raises."""
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
            # CLIProxyAPI#5190: the live service answers 500, not 400.
            if _text(tool.get("name"), "tools.name") in BUILT_IN:
                raise ApiError(500, "Internal error encountered.")
        if kind == "mcp_server":
            name = _text(tool.get("name"), "tools.name")
            if not (name.isalnum() and name == name.lower()):
                raise ApiError(400, "The name of an MCP server is lower-case and alphanumeric.")


def _environment(given: object) -> str | Mapping[str, object] | None:
    if given is None or (isinstance(given, str) and given):
        return given
    environment = _object(given, "environment")
    _only(environment, ("type", "environment_id", "sources", "network", "env"), "environment")
    if environment.get("type") != "remote":
        raise ApiError(400, "'environment.type' must be 'remote'.")
    if "environment_id" in environment:
        _text(environment["environment_id"], "environment.environment_id")
    check_sandbox(environment, "environment")
    return environment


def check_sandbox(body: Mapping[str, object], where: str) -> None:
    """Sources and network of a sandbox. Raises ApiError 400."""
    sources = body.get("sources", [])
    if not isinstance(sources, list):
        raise ApiError(400, f"'{where}.sources' must be a list.")
    sizes = []
    for entry in sources:
        source = _object(entry, f"{where}.sources")
        _only(source, ("type", "source", "target", "content", "encoding"), f"{where}.sources")
        if source.get("type") not in _SOURCES:
            raise ApiError(400, f"'{where}.sources.type' must be one of {', '.join(sorted(_SOURCES))}.")
        sizes.append(len(str(source.get("content", ""))))
    if max(sizes, default=0) > _MB or sum(sizes) > 2 * _MB:
        raise ApiError(400, "Inline sources may have 1 MB each and 2 MB in all.")
    network = body.get("network")
    if network is None or network == "disabled":
        return
    allowed = _object(network, f"{where}.network")
    _only(allowed, ("allowlist",), f"{where}.network")
    entries = allowed.get("allowlist")
    if not isinstance(entries, list):
        raise ApiError(400, f"'{where}.network.allowlist' must be a list.")
    for entry in entries:
        rule = _object(entry, f"{where}.network.allowlist")
        _only(rule, ("domain", "credential", "transform"), f"{where}.network.allowlist")
        _text(rule.get("domain"), f"{where}.network.allowlist.domain")
