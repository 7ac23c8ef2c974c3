"""The routes of the Interactions API, the same under `/v1` and `/v1beta`. The API has no list of interactions.

Every call goes through the `RequestPipeline`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from console.simulator.errors import ApiError
from console.simulator.faults import CallKind, FaultSet, Switch
from console.simulator.gemini.bodies import (
    environment_body,
    error_body,
    interaction_body,
    method_not_found,
)
from console.simulator.gemini.stream import EventReply, EventStreams
from console.simulator.gemini.triggers import TriggersApi
from console.simulator.gemini.validation import (
    check_agent,
    check_environment,
    check_launch,
    prompt_of,
    require_object,
    unknown_parameter,
)
from console.simulator.pipeline import RequestPipeline, check_api_key
from console.simulator.replies import json_reply
from console.simulator.run import RunRequest, RunView, SimulatedRun
from console.simulator.scenario import PARKED, from_prompt
from console.simulator.state import SimulatorState

PAGE_SIZE = 50
"""The number of sandboxes on a page if the call does not choose one."""


class InteractionsApi:
    """The calls of `/interactions`."""

    def __init__(self, state: SimulatorState, pipeline: RequestPipeline) -> None:
        self._state, self._pipeline = state, pipeline
        self._streams = EventStreams()

    def routes(self) -> list[Route]:
        """Return the routes below the version."""
        return [
            Route("/interactions", self.create, methods=["POST"]),
            Route("/interactions/{name}", self.get, methods=["GET"]),
            Route("/interactions/{name}", self.post, methods=["POST"]),
            Route("/interactions/{name}", self.delete, methods=["DELETE"]),
            Route("/interactions/{name}/cancel", self.cancel, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        """Launch a run: POST /interactions."""
        given = await self._pipeline.body(request)
        body = given or {}
        labels = body.get("labels")
        key = labels.get("nightdesk-key") if isinstance(labels, dict) else None
        self._state.count(CallKind.CREATE, key if isinstance(key, str) else "")
        prompt = prompt_of(body.get("input"))
        try:
            scenario = from_prompt(prompt, self._state.default)
        except ValueError as exc:
            return self._pipeline.refusal(ApiError(400, str(exc)))
        with self._state.lock:
            faults = self._state.faults.of_launch(scenario.parsed_faults, labels, prompt)

        async def action() -> Response:
            launch = self._configured(check_launch(require_object(given)))
            run = self._state.start(launch, scenario, faults)
            if launch.stream:
                return self._stream(run)
            if not launch.background:
                await self._until_ended(request, run)
            return json_reply(self._shown(run, own_steps_only=True))

        return await self._pipeline.perform(request, CallKind.CREATE, action, faults)

    def _configured(self, launch: RunRequest) -> RunRequest:
        """Return a launch with the configuration of its saved agent. Raises ApiError 404 for an unknown agent."""
        with self._state.lock:
            return replace(launch, agent_config=self._state.agents.configuration(launch.agent, launch.agent_config))

    async def get(self, request: Request) -> Response:
        """Return a run, or its event stream with `stream=true`: GET /interactions/{id}."""
        run_id, query = request.path_params["name"], request.query_params
        streams = query.get("stream") == "true"
        call = CallKind.STREAM if streams else CallKind.GET
        self._state.count(call)

        async def action() -> Response:
            if query.get("fields", "*") != "*":
                raise unknown_parameter("fields")
            with self._state.lock:
                run = self._state.run_store.find(run_id)
            if streams:
                return self._stream(run, last_event_id=query.get("last_event_id"))
            return json_reply(self._shown(run, include_input=query.get("include_input") == "true", is_poll=True))

        return await self._pipeline.perform(request, call, action, self._faults_of(run_id))

    async def post(self, request: Request) -> Response:
        """Cancel a run: POST /interactions/{id}:cancel."""
        run_id, colon, verb = request.path_params["name"].rpartition(":")
        if not colon or verb != "cancel":
            return self._pipeline.refusal(method_not_found())
        return await self._cancel(request, run_id, Switch.CANCEL_404_COLON)

    async def cancel(self, request: Request) -> Response:
        """Cancel a run: POST /interactions/{id}/cancel."""
        return await self._cancel(request, request.path_params["name"], Switch.CANCEL_404_SLASH)

    async def delete(self, request: Request) -> Response:
        """Delete the record of a run: DELETE /interactions/{id}."""
        run_id = request.path_params["name"]
        self._state.count(CallKind.DELETE)

        async def action() -> Response:
            with self._state.lock:
                self._state.run_store.delete(run_id)
            return Response(b"", media_type="application/json")

        return await self._pipeline.perform(request, CallKind.DELETE, action, self._faults_of(run_id))

    async def _cancel(self, request: Request, run_id: str, unknown_form: Switch) -> Response:
        """Cancel a run, unless `unknown_form` is switched on: then this form of the call does not exist."""
        faults = self._faults_of(run_id)
        self._state.count(CallKind.CANCEL)

        async def action() -> Response:
            both_unknown = self._state.trigger(Switch.CANCEL_404_BOTH, faults)
            if self._state.trigger(unknown_form, faults) or both_unknown:
                raise method_not_found()
            with self._state.lock:
                run = self._state.run_store.cancel(run_id)
            self._state.changes.notify(run_id)
            return json_reply(self._shown(run))

        return await self._pipeline.perform(request, CallKind.CANCEL, action, faults)

    def _faults_of(self, run_id: str) -> FaultSet | None:
        with self._state.lock:
            return self._state.run_store.faults_of(run_id)

    def _stream(self, run: SimulatedRun, *, last_event_id: str | None = None) -> EventReply:
        with self._state.lock:
            events = self._streams.of(run)
        return EventReply(self._state, run, events, last_event_id=last_event_id)

    async def _until_ended(self, request: Request, run: SimulatedRun) -> None:
        """Wait for the end of a foreground run. The run is abandoned when its client disconnects."""
        disconnected = asyncio.ensure_future(_disconnected(request))
        try:
            while not (view := self._state.view(run.id)).is_terminal and view.status not in PARKED:
                if disconnected.done():
                    with self._state.lock:
                        self._state.run_store.abandon(run)
                    return
                longest_s = self._state.clock.longest_wait_s
                await self._state.changes.wait(
                    run.id, min(longest_s, max(0.001, run.scenario.step_seconds)), disconnected
                )
        finally:
            disconnected.cancel()

    def _shown(
        self, run: SimulatedRun, *, own_steps_only: bool = False, include_input: bool = False, is_poll: bool = False
    ) -> dict[str, object]:
        """Return the body of an interaction as the faults let a client see it."""
        with self._state.lock:
            view = self._state.run_store.view(run.id)
            run.polls_after_end += is_poll and view.is_terminal
            hides_steps = view.may_spend and self._state.trigger(Switch.STEPS_ABSENT_MIDRUN, run.faults) is not None
            return interaction_body(
                run,
                view,
                steps=not hides_steps,
                usage=self._shows_usage(run, view),
                own_steps_only=own_steps_only,
                include_input=include_input,
            )

    def _shows_usage(self, run: SimulatedRun, view: RunView) -> bool:
        if self._state.trigger(Switch.USAGE_ABSENT, run.faults):
            return False
        if view.may_spend:
            return self._state.trigger(Switch.USAGE_MIDRUN, run.faults) is not None
        late = self._state.trigger(Switch.USAGE_LATE, run.faults)
        return late is None or run.polls_after_end > late.value


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EnvironmentsApi:
    """The calls of `/environments` and `/agents`."""

    def __init__(self, state: SimulatorState, pipeline: RequestPipeline) -> None:
        self._state, self._pipeline = state, pipeline

    def routes(self) -> list[Route]:
        """Return the routes below the version."""
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
        """Create a sandbox: POST /environments, with or without a body."""
        given = await self._pipeline.body(request)
        self._state.count(CallKind.ENV_CREATE)

        async def action() -> Response:
            settings = check_environment(require_object(given))
            source = settings.get("from_environment")
            clock, environments = self._state.clock, self._state.environments
            with self._state.lock:
                if source is not None:
                    environments.find(str(source).removeprefix("environments/"), clock.now())
                created = environments.create(settings, clock.now(), clock.wall(), bare=False)
                return json_reply(environment_body(created))

        return await self._pipeline.perform(request, CallKind.ENV_CREATE, action)

    async def list_environments(self, request: Request) -> Response:
        """List the sandboxes: GET /environments, with `page_size` and `page_token` in snake or camel case."""
        query = request.query_params
        self._state.count(CallKind.ENV_LIST)

        async def action() -> Response:
            size = query.get("page_size", query.get("pageSize", str(PAGE_SIZE)))
            start = query.get("page_token", query.get("pageToken", "")) or "0"
            if not (size.isdecimal() and start.isdecimal() and int(size) > 0):
                raise ApiError(400, "'page_size' must be a positive number and 'page_token' one that was given.")
            with self._state.lock:
                usable = self._state.environments.usable(self._state.clock.now())
            end = int(start) + int(size)
            page: dict[str, object] = {"environments": [environment_body(one) for one in usable[int(start) : end]]}
            if end < len(usable):
                page["next_page_token"] = str(end)
            return json_reply(page)

        return await self._pipeline.perform(request, CallKind.ENV_LIST, action)

    async def get_environment(self, request: Request) -> Response:
        """Return a sandbox: GET /environments/{id}."""
        self._state.count(CallKind.ENV_GET)

        async def action() -> Response:
            with self._state.lock:
                found = self._state.environments.find(request.path_params["name"], self._state.clock.now())
                return json_reply(environment_body(found))

        return await self._pipeline.perform(request, CallKind.ENV_GET, action)

    async def delete_environment(self, request: Request) -> Response:
        """Delete a sandbox and end the run in it: DELETE /environments/{id}."""
        name = request.path_params["name"]
        self._state.count(CallKind.ENV_DELETE)

        async def action() -> Response:
            with self._state.lock:
                self._state.environments.delete(name, self._state.clock.now())
                self._state.run_store.end_runs_in(name)
            self._state.changes.notify()
            return json_reply({})

        return await self._pipeline.perform(request, CallKind.ENV_DELETE, action)

    async def create_agent(self, request: Request) -> Response:
        """Save an agent: POST /agents."""
        given = await self._pipeline.body(request)
        self._state.count(CallKind.AGENT)

        async def action() -> Response:
            body = require_object(given)
            agent_id = check_agent(body)
            with self._state.lock:
                self._state.agents.create(agent_id, body)
            return json_reply(dict(body))

        return await self._pipeline.perform(request, CallKind.AGENT, action)

    async def list_agents(self, request: Request) -> Response:
        """List the saved agents: GET /agents."""
        self._state.count(CallKind.AGENT)

        async def action() -> Response:
            with self._state.lock:
                return json_reply({"agents": [dict(agent) for agent in self._state.agents.all()]})

        return await self._pipeline.perform(request, CallKind.AGENT, action)

    async def get_agent(self, request: Request) -> Response:
        """Return a saved agent: GET /agents/{id}."""
        self._state.count(CallKind.AGENT)

        async def action() -> Response:
            with self._state.lock:
                return json_reply(dict(self._state.agents.find(request.path_params["name"])))

        return await self._pipeline.perform(request, CallKind.AGENT, action)

    async def delete_agent(self, request: Request) -> Response:
        """Delete a saved agent: DELETE /agents/{id}."""
        self._state.count(CallKind.AGENT)

        async def action() -> Response:
            with self._state.lock:
                self._state.agents.delete(request.path_params["name"])
            return json_reply({})

        return await self._pipeline.perform(request, CallKind.AGENT, action)


class GeminiFace:
    """The Interactions API of one simulated service."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state
        self._pipeline = RequestPipeline(
            state, error_body, lambda request: check_api_key(state, request, "x-goog-api-key")
        )

    def routes(self) -> list[Mount]:
        """Return the routes of both versions."""
        routes = [
            *InteractionsApi(self._state, self._pipeline).routes(),
            *EnvironmentsApi(self._state, self._pipeline).routes(),
            *TriggersApi(self._state, self._pipeline).routes(),
        ]
        versioned = Router(routes=routes, redirect_slashes=False)
        return [Mount("/v1", app=versioned), Mount("/v1beta", app=versioned)]

    async def unknown_route(self, request: Request, exc: Exception) -> Response:
        """Refuse a path or method that does not exist."""
        if isinstance(exc, HTTPException) and exc.status_code not in (404, 405):
            return self._pipeline.refusal(ApiError(exc.status_code, exc.detail))
        return self._pipeline.refusal(method_not_found())
