"""Sandboxes and saved agents as HTTP calls."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.simulator.checks import check_object, check_sandbox, unknown_parameter
from console.simulator.errors import ApiError
from console.simulator.faults import Call
from console.simulator.gate import Gate
from console.simulator.replies import json_reply
from console.simulator.world import World

PAGE = 50
"""Sandboxes on a page that names no size."""
_SANDBOX_FIELDS = ("sources", "network", "from_environment")


class Catalogue:
    """`/environments` and `/agents` of one world."""

    def __init__(self, world: World, gate: Gate) -> None:
        self._world, self._gate = world, gate

    def routes(self) -> list[Route]:
        """Below the version."""
        return [
            Route("/environments", self.create_environment, methods=["POST"]),
            Route("/environments", self.list_environments, methods=["GET"]),
            Route("/environments/{name}", self.get_environment, methods=["GET"]),
            Route("/environments/{name}", self.delete_environment, methods=["DELETE"]),
            Route("/agents", self.create_agent, methods=["POST"]),
            Route("/agents", self.list_agents, methods=["GET"]),
            Route("/agents/{name}", self.get_agent, methods=["GET"]),
            Route("/agents/{name}", self.delete_agent, methods=["DELETE"]),
        ]

    async def create_environment(self, request: Request) -> Response:
        """POST /environments; no body is an empty one."""
        given = await self._gate.body(request)
        self._world.count(Call.ENV_CREATE)

        async def act() -> Response:
            body = check_object(given)
            for name in body:
                if name not in _SANDBOX_FIELDS:
                    raise unknown_parameter(name)
            check_sandbox(body, "environment")
            source = body.get("from_environment")
            clock, environments = self._world.clock, self._world.environments
            with self._world.lock:
                if source is not None:
                    environments.find(str(source), clock.now())
                made = environments.create(body, clock.now(), clock.wall(), bare=False)
                return json_reply(made.to_json())

        return await self._gate.answer(request, Call.ENV_CREATE, act)

    async def list_environments(self, request: Request) -> Response:
        """GET /environments; `page_size` and `pageSize`, `page_token` and `pageToken` alike."""
        query = request.query_params
        self._world.count(Call.ENV_LIST)

        async def act() -> Response:
            size = query.get("page_size", query.get("pageSize", str(PAGE)))
            start = query.get("page_token", query.get("pageToken", "")) or "0"
            if not (size.isdecimal() and start.isdecimal() and int(size) > 0):
                raise ApiError(400, "'page_size' must be a positive number and 'page_token' one that was given.")
            with self._world.lock:
                alive = self._world.environments.alive(self._world.clock.now())
            end = int(start) + int(size)
            shown: dict[str, object] = {"environments": [one.to_json() for one in alive[int(start) : end]]}
            if end < len(alive):
                shown["next_page_token"] = str(end)
            return json_reply(shown)

        return await self._gate.answer(request, Call.ENV_LIST, act)

    async def get_environment(self, request: Request) -> Response:
        """GET /environments/{id}."""
        self._world.count(Call.ENV_GET)

        async def act() -> Response:
            with self._world.lock:
                now = self._world.clock.now()
                return json_reply(self._world.environments.find(request.path_params["name"], now).to_json())

        return await self._gate.answer(request, Call.ENV_GET, act)

    async def delete_environment(self, request: Request) -> Response:
        """DELETE /environments/{id}; stops the run in it, unless switched otherwise."""
        name = request.path_params["name"]
        self._world.count(Call.ENV_DELETE)

        async def act() -> Response:
            with self._world.lock:
                self._world.environments.delete(name, self._world.clock.now())
                self._world.interactions.sandbox_deleted(name)
            self._world.bell.ring()
            return json_reply({})

        return await self._gate.answer(request, Call.ENV_DELETE, act)

    async def create_agent(self, request: Request) -> Response:
        """POST /agents."""
        given = await self._gate.body(request)
        self._world.count(Call.AGENT)

        async def act() -> Response:
            with self._world.lock:
                return json_reply(dict(self._world.agents.create(check_object(given))))

        return await self._gate.answer(request, Call.AGENT, act)

    async def list_agents(self, request: Request) -> Response:
        """GET /agents."""
        self._world.count(Call.AGENT)

        async def act() -> Response:
            with self._world.lock:
                return json_reply({"agents": [dict(agent) for agent in self._world.agents.all()]})

        return await self._gate.answer(request, Call.AGENT, act)

    async def get_agent(self, request: Request) -> Response:
        """GET /agents/{id}."""
        self._world.count(Call.AGENT)

        async def act() -> Response:
            with self._world.lock:
                return json_reply(dict(self._world.agents.find(request.path_params["name"])))

        return await self._gate.answer(request, Call.AGENT, act)

    async def delete_agent(self, request: Request) -> Response:
        """DELETE /agents/{id}."""
        self._world.count(Call.AGENT)

        async def act() -> Response:
            with self._world.lock:
                self._world.agents.delete(request.path_params["name"])
            return json_reply({})

        return await self._gate.answer(request, Call.AGENT, act)
