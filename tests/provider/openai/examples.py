"""Sessions, turns and items as the service writes them, and adapters with a handler in place of the network."""

from __future__ import annotations

from typing import Any

import httpx

from console.provider.contract import LaunchOrder
from console.provider.http.secret import Secret
from console.provider.openai.adapter import OpenAIProvider
from tests.provider.examples import HOST, KEY, Handler, quick
from tests.provider.examples import order as any_order

SESSION = "sess_2"
RUN = "01k0000000000000000000run1"
LABELS = {"nightdesk-run": RUN, "nightdesk-key": "9f2c51ab03de7714", "nightdesk-attempt": "1"}


def order(**changes: object) -> LaunchOrder:
    fields: dict[str, object] = {"agent": "", "model": "gpt-6-astra", "environment": "small", "server_limit": None}
    return any_order(**{**fields, "labels": LABELS, "prepared_id": SESSION, **changes})


def session(status: str = "idle", **changes: object) -> dict[str, object]:
    whole = {"id": SESSION, "object": "agent.session", "status": status, "metadata": LABELS, "usage": None}
    return {**whole, "required_actions": [], "error": None, "created_at": 1795773600, **changes}


def turn(status: str = "completed", **changes: object) -> dict[str, object]:
    whole = {"id": "turn_6", "object": "agent.session.turn", "session_id": SESSION, "subagent_id": None}
    return {**whole, "status": status, "error": None, "usage": None, **changes}


def page(*rows: object, has_more: bool = False) -> dict[str, object]:
    return {"object": "list", "data": list(rows), "has_more": has_more}


def message(text: str, **changes: object) -> dict[str, object]:
    content = [{"type": "output_text", "text": text}]
    whole = {"id": "item_9", "type": "message", "role": "assistant", "phase": "final_answer", "status": "completed"}
    return {**whole, "turn_id": "turn_6", "content": content, **changes}


def error(status: int = 400, **fields: object) -> httpx.Response:
    body = {"message": "It was refused.", "type": "invalid_request_error", "param": None, "code": None, **fields}
    return httpx.Response(status, json={"error": body})


def provider(handler: Handler, **bounds: float) -> OpenAIProvider:
    return OpenAIProvider(
        base_url=HOST, secret=Secret(KEY), bounds=quick(**bounds), transport=lambda: httpx.MockTransport(handler)
    )


class Recorded:
    """A service that gives fixed answers by the end of the path, and keeps the requests."""

    def __init__(self, **answers: Any) -> None:
        """`answers` by `session`, `turns`, `items`, `events` or `delete`: a body for 200, or a response, or a list."""
        self.answers = answers
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        end = request.url.path.rpartition("/")[2]
        name = "delete" if request.method == "DELETE" else end if end in self.answers else "session"
        answer = self.answers[name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
        return httpx.Response(200, json=answer)

    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.path.removeprefix('/v1/agents/')}" for request in self.requests]
