"""Agents and environments: what an operator sets up beforehand and sessions are made from.

Kept apart because sessions only refer to them. An id of the right form that was never created here stands for a
template with the usual settings, so that a config written for the real service can be tried.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.simulator.anthropic.bodies import Json, agent_body, environment_body, utc
from console.simulator.anthropic.validation import check_metadata, require_object
from console.simulator.errors import ApiError
from console.simulator.faults import CallKind
from console.simulator.pipeline import RequestPipeline
from console.simulator.replies import json_reply
from console.simulator.state import SimulatorState

USUAL_AGENT: Mapping[str, object] = {
    "tools": [
        {
            "type": "agent_toolset_20260401",
            "default_config": {"enabled": True, "permission_policy": {"type": "always_allow"}},
        }
    ]
}


class TemplatesApi:
    """The calls of `/agents` and `/environments`."""

    def __init__(self, state: SimulatorState, pipeline: RequestPipeline) -> None:
        self._state, self._pipeline = state, pipeline
        self._agents: dict[str, Json] = {}
        self._environments: dict[str, Json] = {}

    def routes(self) -> list[Route]:
        """Return the routes below the version."""
        return [
            Route("/agents", self.create_agent, methods=["POST"]),
            Route("/agents/{name}", self.get_agent, methods=["GET"]),
            Route("/environments", self.create_environment, methods=["POST"]),
            Route("/environments/{name}", self.get_environment, methods=["GET"]),
        ]

    def agent(self, reference: Mapping[str, object]) -> Json:
        """Return the agent of a session with its overrides. Raises ApiError 404 for an unknown id or version."""
        agent_id, version = str(reference["id"]), reference.get("version")
        found = self._agents.get(agent_id)
        if found is None and agent_id.startswith("agent_"):
            found = agent_body(agent_id, version if isinstance(version, int) else 1, self._made(), USUAL_AGENT)
        if found is None or (version is not None and version != found["version"]):
            raise ApiError(404, f"Agent '{agent_id}' not found.")
        overrides = {name: reference[name] for name in ("model", "system", "tools") if name in reference}
        return agent_body(agent_id, 1, str(found["created_at"]), {**found, **overrides}) | {"version": found["version"]}

    def environment(self, environment_id: str) -> Json:
        """Return an environment. Raises ApiError 404."""
        if environment_id in self._environments:
            return self._environments[environment_id]
        if environment_id.startswith("env_"):
            return environment_body(environment_id, self._made(), {})
        raise ApiError(404, f"Environment '{environment_id}' not found.")

    async def create_agent(self, request: Request) -> Response:
        """Create an agent: POST /agents."""
        given = await self._pipeline.body(request)
        self._state.count(CallKind.AGENT)

        async def action() -> Response:
            body = require_object(given)
            if not isinstance(body.get("name"), str) or not body.get("model"):
                raise ApiError(400, "name, model: Field required")
            check_metadata(body.get("metadata"))
            with self._state.lock:
                made = agent_body(self._state.sessions.new_id("agent_"), 1, self._made(), body)
                self._agents[str(made["id"])] = made
            return json_reply(made)

        return await self._pipeline.perform(request, CallKind.AGENT, action)

    async def get_agent(self, request: Request) -> Response:
        """Return an agent: GET /agents/{id}, with an optional `version`."""
        self._state.count(CallKind.AGENT)

        async def action() -> Response:
            version = request.query_params.get("version", "")
            wanted: Json = {"id": request.path_params["name"]}
            if version:
                wanted["version"] = int(version) if version.isdecimal() else 0
            return json_reply(self.agent(wanted))

        return await self._pipeline.perform(request, CallKind.AGENT, action)

    async def create_environment(self, request: Request) -> Response:
        """Create an environment: POST /environments."""
        given = await self._pipeline.body(request)
        self._state.count(CallKind.AGENT)

        async def action() -> Response:
            body = require_object(given)
            if not isinstance(body.get("name"), str):
                raise ApiError(400, "name: Field required")
            with self._state.lock:
                made = environment_body(self._state.sessions.new_id("env_"), self._made(), body)
                self._environments[str(made["id"])] = made
            return json_reply(made)

        return await self._pipeline.perform(request, CallKind.AGENT, action)

    async def get_environment(self, request: Request) -> Response:
        """Return an environment: GET /environments/{id}."""
        self._state.count(CallKind.AGENT)

        async def action() -> Response:
            return json_reply(self.environment(request.path_params["name"]))

        return await self._pipeline.perform(request, CallKind.AGENT, action)

    def _made(self) -> str:
        return utc(self._state.clock.wall())
