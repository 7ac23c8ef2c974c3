"""What the tests send and answer: one order, one interaction, and canaries that may appear nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import httpx

from console.provider.contract import LaunchOrder
from console.provider.gemini.adapter import GeminiProvider
from console.provider.http.clients import Bounds
from console.provider.http.secret import Secret

KEY = "canary-key-0123456789abcdefXYZ"
PROMPT = "canary prompt: summarise the errors of yesterday and open a draft for the operators"

HOST = "https://agents.example"

Handler = Callable[[httpx.Request], httpx.Response]


def order(**changes: object) -> LaunchOrder:
    """A launch with the canary prompt."""
    fields: dict[str, object] = {
        "agent": "antigravity-preview-09-2026",
        "model": "gemini-3.8-flash",
        "prompt": PROMPT,
        "environment": "remote",
        "max_total_tokens": 200_000,
        "labels": {"nightdesk-key": "9f2c51ab03de7714", "nightdesk-attempt": "1"},
    }
    return LaunchOrder(**{**fields, **changes})  # type: ignore[arg-type]  # the dataclass refuses wrong names itself


def interaction(**changes: object) -> dict[str, object]:
    """An answer of the service."""
    return {"id": "v1_Chd", "object": "interaction", "status": "in_progress", "steps": [], **changes}


def error_old(status: int, message: str = "It was refused.", word: str = "INVALID_ARGUMENT") -> bytes:
    """The gateway's form: a number as code."""
    return json.dumps({"error": {"code": status, "message": message, "status": word}}).encode()


def error_new(code: str = "invalid_request", message: str = "It was refused.") -> bytes:
    """The API's form: a word as code."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def quick(**changes: float) -> Bounds:
    """Bounds of a test on loopback: generous where nothing should pass them."""
    fields: dict[str, float] = {"connect_s": 5.0, "create_s": 10.0, "call_s": 10.0, "silence_s": 5.0, "pause_s": 0.0}
    return Bounds(**{**fields, **changes})  # type: ignore[arg-type]  # the dataclass refuses wrong names itself


def provider(handler: Handler, **bounds: float) -> GeminiProvider:
    """The adapter over `handler` in place of the network."""
    return GeminiProvider(
        base_url=HOST, secret=Secret(KEY), bounds=quick(**bounds), transport=lambda: httpx.MockTransport(handler)
    )


def answering(status: int, body: object = b"", headers: Mapping[str, str] | None = None) -> Handler:
    """A handler that always gives this answer; a body that is no bytes goes out as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: httpx.Response(status, content=content, headers=headers)
