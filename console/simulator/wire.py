"""The shapes that leave the service as JSON: an interaction, its usage, an environment.

Shapes as in the google-genai 3.4.0 types and the public pages of the Gemini API.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.simulator.course import Tokens
    from console.simulator.run import Run, View


def utc(wall_s: float) -> str:
    """`2026-10-05T10:00:00Z`."""
    return f"{datetime.fromtimestamp(wall_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def step_json(text: Mapping[str, object]) -> dict[str, object]:
    """A step as an object of its own, so that nobody changes the script."""
    return dict(text)


def usage_json(tokens: Tokens) -> dict[str, object]:
    """Cumulative figures; cached input is part of the input."""
    return {
        "total_tokens": tokens.total,
        "total_input_tokens": tokens.input,
        "total_output_tokens": tokens.output,
        "total_thought_tokens": tokens.thought,
        "total_cached_tokens": tokens.cached,
        "total_tool_use_tokens": 0,
        "input_tokens_by_modality": [{"modality": "text", "tokens": tokens.input}],
        "output_tokens_by_modality": [{"modality": "text", "tokens": tokens.output}],
        "cached_tokens_by_modality": [{"modality": "text", "tokens": tokens.cached}],
    }


def user_input(given: object) -> list[dict[str, object]]:
    """The `user_input` steps that GET shows before the agent's own."""
    if isinstance(given, str):
        return [{"type": "user_input", "content": [{"type": "text", "text": given}]}]
    items = given if isinstance(given, list) else [given]
    if items and isinstance(items[0], dict) and items[0].get("type") in ("user_input", "function_result"):
        return [dict(item) for item in items if isinstance(item, dict)]
    return [{"type": "user_input", "content": items}]


def interaction(
    run: Run, view: View, *, steps: bool, usage: bool, own_steps_only: bool, include_input: bool
) -> dict[str, object]:
    """An interaction. `own_steps_only` is how a create answers: without the user's input among the steps."""
    shown: dict[str, object] = {
        "id": run.id,
        "object": "interaction",
        "status": view.status,
        "agent": run.agent,
        "agent_config": dict(run.agent_config),
        "created": utc(run.created_wall_s),
        "updated": utc(run.wall(_updated_s(run, view))),
        "service_tier": run.service_tier,
        "steps": [],
    }
    if steps:
        before = [] if own_steps_only else user_input(run.input)
        shown["steps"] = [*before, *(dict(step.text.whole) for step in view.steps)]
    if run.labels:
        shown["labels"] = dict(run.labels)
    if run.shows_environment and run.environment_id is not None:
        shown["environment_id"] = run.environment_id
    if usage:
        shown["usage"] = usage_json(view.tokens)
    if view.errors:
        shown["errors"] = [{"code": code, "message": message} for code, message in view.errors]
    if include_input:
        shown["input"] = run.input
    return shown


def _updated_s(run: Run, view: View) -> float:
    if view.ended_s is not None:
        return view.ended_s
    return run.works_from_s + view.steps[-1].ends_s if view.steps else run.created_s
