"""The JSON bodies of OpenAI Agents sessions: sessions, turns, items, usage and errors.

The shapes follow the types of openai 3.57.0. Several fields of an error may be null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.simulator.errors import ApiError, ErrorForm
from console.simulator.run import RunView, SimulatedRun
from console.simulator.script import ActionKind
from console.simulator.sessions import Session
from console.simulator.timeline import PlannedStep, StepKind, Tokens

Json = Mapping[str, object]

_WORDS: Mapping[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", "insufficient_permissions"),
    404: ("invalid_request_error", "not_found"),
    409: ("conflict_error", "conflict"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    500: ("server_error", "server_error"),
    503: ("server_error", "server_overloaded"),
}
"""For each HTTP status the type and the code of the error."""

TURNS: Mapping[str, str] = {
    "queued": "queued",
    "in_progress": "in_progress",
    "requires_action": "waiting",
    "requires_continuation": "waiting",
    "completed": "completed",
    "failed": "failed",
    "incomplete": "failed",
    "cancelled": "cancelled",
    "budget_exceeded": "cancelled",
}
"""The status of a turn by that of its run; any other word is shown as it is."""
TERMINAL_TURNS = frozenset({"completed", "failed", "cancelled"})

SESSIONS: Mapping[str, str] = {
    "queued": "in_progress",
    "in_progress": "in_progress",
    "requires_action": "requires_action",
    "requires_continuation": "requires_action",
    "budget_exceeded": "budget_reached",
}
"""The status of a session by that of its run; `idle` for the others.

`budget_reached` was a status up to version 3.54 of the official client.
"""

MAX_OUTPUT = ("max_output_tokens", "The model reached its output token limit before finishing the response.")


def error_body(error: ApiError, form: ErrorForm) -> bytes:
    """Return the body of an error; in the old form only its message and its type are filled in."""
    kind, code = _WORDS.get(error.http_status, ("api_error", None))
    word = None if form is ErrorForm.OLD else error.code or code
    kind = error.code or kind if error.http_status == 429 else kind
    return json.dumps({"error": {"message": str(error), "type": kind, "param": None, "code": word}}).encode()


def usage_body(tokens: Tokens) -> dict[str, object]:
    """Return the usage. Input includes what is cached and what tools have added, output includes reasoning."""
    return {
        "input_tokens": tokens.input + tokens.tool_use,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output + tokens.thought,
        "output_tokens_details": {"reasoning_tokens": tokens.thought},
        "total_tokens": tokens.total,
    }


def turn_id(run: SimulatedRun) -> str:
    """Return the id of the turn of a run."""
    return f"turn_{run.id.removeprefix('sess_').replace('.', '_')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One run as the faults let clients see it."""

    run: SimulatedRun
    view: RunView
    has_usage: bool

    @property
    def turn_status(self) -> str:
        """The status of its turn."""
        return TURNS.get(self.view.status, self.view.status)


def session_body(session: Session, turns: Sequence[Shown], *, fails: bool = False) -> dict[str, object]:
    """Return a session with the runs that clients may see; `fails`: it fails together with its last run."""
    status, active = "idle", session.created_wall_s
    error: str | None = None
    if turns:
        view = turns[-1].view
        status = SESSIONS.get(view.status, "idle" if view.is_terminal else view.status)
        active = turns[-1].run.created_wall_s
        if fails and view.status == "failed":
            status, error = "failed", _turn_error(view)["message"]
    told = [shown.view.tokens for shown in turns if shown.has_usage]
    return {
        "id": session.id,
        "object": "agent.session",
        "status": status,
        "created_at": int(session.created_wall_s),
        "last_active_at": int(active),
        "agent": session.settings["agent"],
        "environment": session.settings["environment"],
        "metadata": dict(session.labels),
        "required_actions": [_required_action(turns[-1])] if turns and status == "requires_action" else [],
        "usage": usage_body(sum(told, start=Tokens())) if told else None,
        "error": error,
        "vault_ids": [],
    }


def _required_action(shown: Shown) -> Json:
    step = shown.view.steps[-1]
    return {
        "type": "function_call",
        "arguments": {"question": step.content.request},
        "call_id": step.content.call_id or "call_0",
        "name": step.content.tool_name or "ask_operator",
        "turn_id": turn_id(shown.run),
    }


def turn_body(session: Session, shown: Shown) -> dict[str, object]:
    """Return the root turn of a run. Its usage is told only at its end."""
    run, view, status = shown.run, shown.view, shown.turn_status
    return {
        "id": turn_id(run),
        "object": "agent.session.turn",
        "session_id": session.id,
        "agent_id": _agent_id(session),
        "subagent_id": None,
        "status": status,
        "error": _turn_error(view) if status == "failed" else None,
        "created_at": int(run.created_wall_s),
        "started_at": None if status == "queued" else int(run.wall(run.works_from_s)),
        "completed_at": None if view.ended_s is None else int(run.wall(view.ended_s)),
        "usage": usage_body(view.tokens) if view.is_terminal and shown.has_usage else None,
    }


def _agent_id(session: Session) -> object:
    agent = session.settings["agent"]
    return agent["id"] if isinstance(agent, dict) else ""


def _turn_error(view: RunView) -> dict[str, str]:
    code, message = view.errors[0] if view.errors else MAX_OUTPUT
    return {"code": code, "message": message}


def input_item(run: SimulatedRun) -> dict[str, object]:
    """Return the message of the client that started a run."""
    return {
        "id": f"item_{turn_id(run)}_input",
        "type": "message",
        "role": "user",
        "status": "completed",
        "phase": None,
        "content": [{"type": "input_text", "text": run.input}],
        "turn_id": turn_id(run),
    }


def output_items(run: SimulatedRun, steps: Sequence[PlannedStep]) -> list[dict[str, object]]:
    """Return the items of the agent for these steps: a call and its result are one item."""
    found: list[dict[str, object]] = []
    for step in steps:
        if step.content.kind is StepKind.RESULT and found:
            found[-1] = item_body(run, step)
        else:
            found.append(item_body(run, step))
    return found


def item_body(run: SimulatedRun, step: PlannedStep) -> dict[str, object]:
    """Return the item of one step; that of a result is the whole item of the call before it."""
    content, turn = step.content, turn_id(run)
    is_result = content.kind is StepKind.RESULT
    number = step.index - 1 if is_result else step.index
    head: dict[str, object] = {"id": f"item_{turn}_{number}", "turn_id": turn}
    done = {"status": "completed" if is_result else "in_progress"}
    match content.kind, content.action:
        case StepKind.THOUGHT, _:
            summary = [{"type": "summary_text", "text": content.request}]
            return {**head, "type": "reasoning", "summary": summary, "status": "completed"}
        case StepKind.OUTPUT, _:
            text = [{"type": "output_text", "text": content.answer}]
            status = "incomplete" if content.error else "completed"
            shown = {"role": "assistant", "phase": "final_answer", "content": text, "status": status}
            return {**head, "type": "message", **shown}
        case _, ActionKind.SEARCH:
            search = {"type": "search", "query": content.request, "queries": None}
            return {**head, "type": "web_search_call", "action": search, **done}
        case _, ActionKind.PAGE:
            page = {"type": "open_page", "url": content.request}
            return {**head, "type": "web_search_call", "action": page, **done}
        case _, ActionKind.CODE:
            ran: dict[str, object] = {"output": content.answer, "exit_code": 0, "duration_ms": 120} if is_result else {}
            empty = {"output": None, "exit_code": None, "duration_ms": None}
            command = {"command": content.request, "cwd": "/workspace", **empty, **ran}
            return {**head, "type": "command_execution", **command, **done}
        case _, ActionKind.OPERATOR:
            asked = {"arguments": {"question": content.request}, "call_id": content.call_id, "name": content.tool_name}
            return {**head, "type": "function_call", **asked, **done}
        case _:
            called = {"server_label": "files", "name": content.tool_name, "arguments": {"target": content.request}}
            output = content.answer if is_result else None
            return {**head, "type": "mcp_call", **called, "output": output, "error": None, **done}


def page_body(rows: Sequence[Json], *, has_more: bool) -> dict[str, object]:
    """Return one page of a list."""
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return {"object": "list", "data": list(rows), "first_id": first, "last_id": last, "has_more": has_more}
