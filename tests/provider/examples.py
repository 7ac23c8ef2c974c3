"""Requests and replies for the tests, with a key and a prompt that must not appear anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import httpx

from console.domain.server_limit import TokenLimit
from console.provider.contract import LaunchOrder
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.clients import Bounds
from console.provider.http.secret import Secret

KEY = "canary-key-0123456789abcdefXYZ"
PROMPT = "canary prompt: summarise the errors of yesterday and open a draft for the operators"

HOST = "https://agents.example"

Handler = Callable[[httpx.Request], httpx.Response]


def order(**changes: object) -> LaunchOrder:
    """Return a launch order with the canary prompt."""
    fields: dict[str, object] = {
        "agent": "antigravity-preview-09-2026",
        "model": "gemini-3.8-flash",
        "prompt": PROMPT,
        "environment": "remote",
        "prepared_id": None,
        "server_limit": TokenLimit(tokens=200_000),
        "max_ms": 600_000,
        "labels": {"nightdesk-key": "9f2c51ab03de7714", "nightdesk-attempt": "1"},
    }
    return LaunchOrder(**{**fields, **changes})  # type: ignore[arg-type]  # the constructor rejects wrong field names


def interaction(**changes: object) -> dict[str, object]:
    """Return a reply of the service."""
    return {"id": "v1_Chd", "object": "interaction", "status": "in_progress", "steps": [], **changes}


def error_old(status: int, message: str = "It was refused.", word: str = "INVALID_ARGUMENT") -> bytes:
    """Return an error in the form of the gateway, with a number as code."""
    return json.dumps({"error": {"code": status, "message": message, "status": word}}).encode()


def error_new(code: str = "invalid_request", message: str = "It was refused.") -> bytes:
    """Return an error in the form of the API, with a word as code."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def quick(**changes: float) -> Bounds:
    """Return bounds for loopback tests; a test sets those that it expects to be reached."""
    fields: dict[str, float] = {"connect_s": 5.0, "create_s": 10.0, "call_s": 10.0, "silence_s": 5.0, "pause_s": 0.0}
    return Bounds(**{**fields, **changes})  # type: ignore[arg-type]  # the constructor rejects wrong field names


def provider(handler: Handler, **bounds: float) -> GeminiProvider:
    """Return an adapter with `handler` in place of the network."""
    return GeminiProvider(
        base_url=HOST, secret=Secret(KEY), bounds=quick(**bounds), transport=lambda: httpx.MockTransport(handler)
    )


def answering(status: int, body: object = b"", headers: Mapping[str, str] | None = None) -> Handler:
    """Return a handler that always gives this reply; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: httpx.Response(status, content=content, headers=headers)
