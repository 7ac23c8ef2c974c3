"""The JSON bodies of Managed Agents: sessions, usage, templates and errors.

The shapes follow the types of anthropic 2.14.0. Errors have no `code` member, and amounts of money are cents as decimal
strings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from console.simulator.errors import ApiError, ErrorForm
from console.simulator.sessions import Session
from console.simulator.timeline import Tokens

Json = dict[str, object]

INPUT_MICRO, CACHED_MICRO, WRITTEN_MICRO, OUTPUT_MICRO = 2.0, 0.2, 2.5, 10.0
"""List prices in millionths of a US dollar: of one token."""
SEARCH_MICRO = 10_000.0
HOUR_MICRO = 80_000.0
CENT = 10_000.0

_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def write_error(error: ApiError, form: ErrorForm) -> bytes:
    """Return the body of an error; the service has one form."""
    usual = "api_error" if error.http_status >= 500 else "invalid_request_error"
    inner: Json = {"type": _TYPES.get(error.http_status, usual), "message": str(error)}
    if error.code is not None:
        inner["details"] = {"error_code": error.code}
    return json.dumps({"type": "error", "error": inner, "request_id": "req_simulated"}).encode()


def unknown_route() -> ApiError:
    """Return the error for a path or method that does not exist."""
    return ApiError(404, "Not found")


def utc(wall_s: float) -> str:
    """Format seconds since the epoch with microseconds, as `2026-11-27T10:00:00.000000Z`."""
    return f"{datetime.fromtimestamp(wall_s, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """The figures of a session as this service counts them: input is only what was neither read from nor written to
    the cache, and thinking is output."""

    fresh: int
    cached: int
    written: int
    output: int
    searches: int

    @classmethod
    def of(cls, tokens: Tokens) -> Spent:
        """Count the tokens of a run. A tenth of its new input is written to the cache."""
        new = tokens.input - tokens.cached + tokens.tool_use
        return cls(
            fresh=new - new // 10,
            cached=tokens.cached,
            written=new // 10,
            output=tokens.output + tokens.thought,
            searches=tokens.searches,
        )

    @property
    def micro(self) -> float:
        """The list price of the tokens and searches, in millionths of a US dollar."""
        tokens = self.fresh * INPUT_MICRO + self.cached * CACHED_MICRO + self.written * WRITTEN_MICRO
        return tokens + self.output * OUTPUT_MICRO + self.searches * SEARCH_MICRO


def list_price(tokens: Tokens) -> float:
    """Return the list price in millionths of a US dollar."""
    return Spent.of(tokens).micro


def usage_body(tokens: Tokens, active_s: float) -> Json:
    """Return the cumulative usage. The cost is told in whole cents, rounded up (the rounding is undocumented)."""
    spent = Spent.of(tokens)
    cents = math.ceil((spent.micro + active_s * HOUR_MICRO / 3600) / CENT) if tokens.total else 0
    return {
        "input_tokens": spent.fresh,
        "cache_read_input_tokens": spent.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": spent.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": spent.output,
        "active_seconds": round(active_s, 3),
        "server_tool_use": {"web_search_requests": spent.searches, "web_fetch_requests": 0},
        "list_cost": {"amount": str(cents), "currency": "USD"},
    }


def request_usage_body(tokens: Tokens) -> Json:
    """Return the usage of one model request."""
    spent = Spent.of(tokens)
    return {
        "input_tokens": spent.fresh,
        "cache_read_input_tokens": spent.cached,
        "cache_creation_input_tokens": spent.written,
        "output_tokens": spent.output,
    }


def session_body(session: Session, status: str, usage: Json, active_s: float, updated_s: float) -> Json:
    """Return a session."""
    settings = session.settings
    return {
        "id": session.id,
        "type": "session",
        "status": status,
        "agent": settings["agent"],
        "environment_id": settings["environment_id"],
        "budget": settings.get("budget"),
        "metadata": dict(session.labels),
        "title": settings.get("title"),
        "usage": usage,
        "stats": {"active_seconds": round(active_s, 3), "duration_seconds": round(updated_s - session.created_s, 3)},
        "created_at": utc(session.created_wall_s),
        "updated_at": utc(session.wall(updated_s)),
        "archived_at": utc(session.wall(session.archived_s)) if session.archived_s is not None else None,
        "outcome_evaluations": [],
        "resources": [],
        "vault_ids": [],
        "deployment_id": None,
    }


def agent_body(agent_id: str, version: int, made: str, given: Mapping[str, object]) -> Json:
    """Return an agent; `given` is the body with which it was created."""
    return {
        "id": agent_id,
        "type": "agent",
        "version": version,
        "name": given.get("name", agent_id),
        "model": _model(given.get("model", "claude-haiku-5-5")),
        "system": given.get("system"),
        "description": given.get("description"),
        "tools": [_resolved(tool) for tool in _list(given.get("tools"))],
        "mcp_servers": _list(given.get("mcp_servers")),
        "skills": [],
        "multiagent": None,
        "execution_identity": {"type": "service_account"},
        "metadata": given.get("metadata", {}),
        "created_at": made,
        "updated_at": made,
        "archived_at": None,
    }


def environment_body(environment_id: str, made: str, given: Mapping[str, object]) -> Json:
    """Return an environment; `given` is the body with which it was created."""
    config = given.get("config")
    packages = {"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": []}
    unrestricted: Json = {"type": "cloud", "networking": {"type": "unrestricted"}, "packages": packages}
    return {
        "id": environment_id,
        "type": "environment",
        "name": given.get("name", environment_id),
        "config": {**unrestricted, **config} if isinstance(config, dict) else unrestricted,
        "description": given.get("description"),
        "metadata": given.get("metadata", {}),
        "created_at": made,
        "updated_at": made,
        "archived_at": None,
    }


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _model(given: object) -> object:
    return {"id": given, "speed": "standard"} if isinstance(given, str) else given


def _resolved(tool: object) -> object:
    """Return a tool as the service shows it: with the policies that apply where none was chosen."""
    if not isinstance(tool, dict) or tool.get("type") not in ("agent_toolset_20260401", "mcp_toolset"):
        return tool
    usual = "always_ask" if tool["type"] == "mcp_toolset" else "always_allow"
    default: Json = {"enabled": True, "permission_policy": {"type": usual}}
    return {"configs": [], **tool, "default_config": {**default, **(tool.get("default_config") or {})}}
