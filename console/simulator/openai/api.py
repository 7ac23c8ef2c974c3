"""The routes of OpenAI Agents sessions, below `/v1/agents`.

A session is made without work; a message starts a turn in it, which is a run of the simulator. A message during a turn
steers that turn. Every call goes through the `RequestPipeline`; starts are counted as `create`, sessions as
`env_create`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.simulator.errors import ApiError
from console.simulator.faults import CallKind, FaultSet, Switch
from console.simulator.live_stream import LiveEvents, LiveStream
from console.simulator.openai.bodies import (
    Shown,
    error_body,
    input_item,
    output_items,
    page_body,
    session_body,
    turn_body,
)
from console.simulator.openai.stream import EventHistory, error_event
from console.simulator.openai.validation import (
    CANCEL,
    MESSAGE,
    SessionRequest,
    check_agent,
    check_event,
    check_metadata,
    check_session,
    prompt_of,
    require_object,
)
from console.simulator.pipeline import RequestPipeline, check_api_key
from console.simulator.replies import json_reply
from console.simulator.run import RunRequest, SimulatedRun
from console.simulator.scenario import from_prompt
from console.simulator.sessions import Session
from console.simulator.state import SimulatorState

ROOT = "/v1/agents"
BETA = "agents=v1"
"""What the header OpenAI-Beta of every call must hold."""
PAGE_SIZE, LONGEST_PAGE = 20, 100
DEFAULT_AGENT: Mapping[str, object] = {
    "instructions": None,
    "multi_agent": {"enabled": False, "max_concurrent_subagents": None},
    "name": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "auto",
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tools": [],
}
TOOL_DEFAULTS: Mapping[object, Mapping[str, object]] = {
    "web_search": {"allowed_domains": None, "context_size": "medium", "location": None, "mode": "live"},
    "mcp": {"allowed_tools": None, "connection_origin": "service", "request_metadata": {}, "required": False},
    "function": {"defer_loading": False, "description": ""},
    "computer_use": {"include_screenshots": False},
}
"""What is shown of a tool beside the fields that were given, by its type."""
SETTING_UP = "The session is being set up."


class OpenAIFace:
    """The Agents API of one simulated service."""

    def __init__(self, state: SimulatorState) -> None:
        self._pipeline = RequestPipeline(state, error_body, lambda request: _check_headers(state, request))
        self._agents = AgentsApi(state, self._pipeline)
        self._sessions = SessionsApi(state, self._pipeline, self._agents)

    def routes(self) -> list[Route]:
        """Return the routes of its calls."""
        return [*self._sessions.routes(), *self._agents.routes()]

    async def unknown_route(self, request: Request, exc: Exception) -> Response:
        """Refuse a path or method that does not exist."""
        status = exc.status_code if isinstance(exc, HTTPException) else 404
        where = f"{request.method} {request.url.path}"
        return self._pipeline.refusal(ApiError(status, f"Invalid URL ({where})", code="invalid_url"))


def _check_headers(state: SimulatorState, request: Request) -> None:
    check_api_key(state, request)
    if request.headers.get("openai-beta") != BETA:
        raise ApiError(404, f"This call requires the header OpenAI-Beta: {BETA}.")


class AgentsApi:
    """The calls to saved agents."""

    def __init__(self, state: SimulatorState, pipeline: RequestPipeline) -> None:
        self._state, self._pipeline = state, pipeline
        self._saved: dict[str, dict[str, object]] = {}

    def routes(self) -> list[Route]:
        """Return the routes of its calls."""
        return [
            Route(ROOT, self.create, methods=["POST"]),
            Route(f"{ROOT}/{{name}}", self.get, methods=["GET"]),
        ]

    def configuration(self, request: SessionRequest) -> dict[str, object]:
        """Return the agent of a session: a saved one with the fields of the request over it, or a new one."""
        own = _shown_agent(request.agent)
        if request.agent_id is not None:
            return {**self.find(request.agent_id), **own}
        with self._state.lock:
            return {**DEFAULT_AGENT, **own, "id": self._state.sessions.new_id("agent_")}

    def find(self, agent_id: str) -> dict[str, object]:
        """Return a saved agent. One with an id of the right form exists, so that a config of one's own can be tried."""
        if agent_id not in self._saved and not agent_id.startswith("agent_"):
            raise ApiError(404, f"Agent '{agent_id}' not found.")
        return self._saved.get(agent_id, {**DEFAULT_AGENT, "id": agent_id, "model": "gpt-6-astra"})

    async def create(self, request: Request) -> Response:
        """Save an agent: POST /agents."""
        given = await self._pipeline.body(request)
        self._state.count(CallKind.AGENT)

        async def action() -> Response:
            body = dict(require_object(given))
            metadata = check_metadata(body.pop("metadata", None) or {})
            name = body.pop("name", None)
            check_agent(body, needs_model=True)
            with self._state.lock:
                agent_id = self._state.sessions.new_id("agent_")
            self._saved[agent_id] = {**DEFAULT_AGENT, **_shown_agent(body), "id": agent_id, "name": name}
            return json_reply(self._shown(agent_id, metadata))

        return await self._pipeline.perform(request, CallKind.AGENT, action)

    async def get(self, request: Request) -> Response:
        """Return a saved agent: GET /agents/{id}."""
        self._state.count(CallKind.AGENT)

        async def action() -> Response:
            return json_reply(self._shown(request.path_params["name"], {}))

        return await self._pipeline.perform(request, CallKind.AGENT, action)

    def _shown(self, agent_id: str, metadata: Mapping[str, str]) -> dict[str, object]:
        now = int(self._state.clock.wall())
        head = {"object": "agent", "created_at": now, "updated_at": now, "metadata": dict(metadata)}
        return {**self.find(agent_id), **head}


class SessionsApi:
    """The calls to sessions."""

    def __init__(self, state: SimulatorState, pipeline: RequestPipeline, agents: AgentsApi) -> None:
        self._state, self._pipeline, self._agents = state, pipeline, agents
        self._history = EventHistory()
        self._arrived: set[tuple[str, str]] = set()
        """The session and the idempotency key of every message that arrived, whatever came of it."""

    def routes(self) -> list[Route]:
        """Return the routes of its calls."""
        sessions = f"{ROOT}/sessions"
        return [
            Route(sessions, self.create, methods=["POST"]),
            Route(sessions, self.list, methods=["GET"]),
            Route(f"{sessions}/{{name}}", self.get, methods=["GET"]),
            Route(f"{sessions}/{{name}}", self.delete, methods=["DELETE"]),
            Route(f"{sessions}/{{name}}/events", self.send, methods=["POST"]),
            Route(f"{sessions}/{{name}}/events", self.stream, methods=["GET"]),
            Route(f"{sessions}/{{name}}/turns", self.turns, methods=["GET"]),
            Route(f"{sessions}/{{name}}/items", self.items, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """Make a session, and start a turn in it if there is an input: POST /agents/sessions."""
        given = await self._pipeline.body(request)
        self._state.count(CallKind.ENV_CREATE)

        async def action() -> Response:
            asked = check_session(require_object(given))
            agent = self._agents.configuration(asked)
            clock = self._state.clock
            with self._state.lock:
                environment = _environment(asked.environment, self._state.sessions.new_id("env_"))
                settings = {"agent": agent, "environment": environment}
                session = self._state.sessions.create("sess_", asked.metadata, settings, clock.now(), clock.wall())
                if asked.prompt is not None:
                    self._start(session, "", asked.prompt)
                return json_reply(self._body(session))

        return await self._pipeline.perform(request, CallKind.ENV_CREATE, action)

    async def list(self, request: Request) -> Response:
        """List the sessions with all metadata that the query names: GET /agents/sessions."""
        query = request.query_params
        self._state.count(CallKind.ENV_LIST)
        wanted = {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[")}

        async def action() -> Response:
            lag = self._state.trigger(Switch.LIST_LAG)
            with self._state.lock:
                oldest_s = self._state.clock.now() - (lag.value if lag else 0.0)
                rows = [
                    self._body(session)
                    for session in self._state.sessions.all()
                    if wanted.items() <= session.labels.items() and session.created_s <= oldest_s
                ]
            return json_reply(_page(request, rows))

        return await self._pipeline.perform(request, CallKind.ENV_LIST, action)

    async def get(self, request: Request) -> Response:
        """Return a session: GET /agents/sessions/{id}."""
        return await self._read(request, lambda session: self._body(session, is_poll=True))

    async def turns(self, request: Request) -> Response:
        """List the turns of a session: GET /agents/sessions/{id}/turns."""

        def rows(session: Session) -> dict[str, object]:
            return _page(request, [turn_body(session, shown) for shown in self._visible(session)])

        return await self._read(request, rows)

    async def items(self, request: Request) -> Response:
        """List the messages and the work of a session: GET /agents/sessions/{id}/items."""

        def rows(session: Session) -> dict[str, object]:
            found: list[dict[str, object]] = []
            for shown in self._visible(session):
                found += [input_item(shown.run), *output_items(shown.run, shown.view.steps)]
            return _page(request, found)

        return await self._read(request, rows)

    async def delete(self, request: Request) -> Response:
        """Delete a session in which nothing works: DELETE /agents/sessions/{id}."""
        self._state.count(CallKind.ENV_DELETE)
        name = request.path_params["name"]

        async def action() -> Response:
            with self._state.lock:
                session = self._found(name)
                if session.run is not None and not session.run.view(self._state.clock.now()).is_terminal:
                    raise ApiError(409, "The session has an active turn.")
                self._refuse_in_setup(session)
                self._state.sessions.delete(name)
            return json_reply({"id": name, "deleted": True, "object": "agent.session.deleted"})

        return await self._pipeline.perform(request, CallKind.ENV_DELETE, action, self._faults_of(name))

    async def send(self, request: Request) -> Response:
        """Take an event of the client: POST /agents/sessions/{id}/events. The answer has no body."""
        given = await self._pipeline.body(request)
        name, key = request.path_params["name"], request.headers.get("idempotency-key", "")
        prompt = prompt_of(given)
        is_start = bool(prompt)
        call = CallKind.CREATE if is_start else CallKind.CANCEL
        try:
            scenario = from_prompt(prompt, self._state.default)
        except ValueError as exc:
            return self._pipeline.refusal(ApiError(400, str(exc)))
        with self._state.lock:
            labels = self._labels_of(name)
            faults = self._faults_of(name)
            if is_start:
                faults = self._state.faults.of_launch(scenario.parsed_faults, labels, prompt)
        is_repeated = is_start and bool(key) and (name, key) in self._arrived
        self._arrived.add((name, key))
        self._state.count(call, labels.get("nightdesk-key", "") if is_start else None, is_repeated=is_repeated)

        async def action() -> Response:
            kind, text = check_event(require_object(given))
            if len(key) > 256:
                raise ApiError(400, "'Idempotency-Key' must have 1 to 256 characters.")
            with self._state.lock:
                session = self._found(name)
                is_known = bool(key) and any(key == known for known, _ in session.received)
                if not is_known or self._state.trigger(Switch.KEY_FORGOTTEN, faults):
                    self._take(session, kind, key, text)
            self._state.changes.notify(name)
            return Response(b"", status_code=202)

        return await self._pipeline.perform(request, call, action, faults)

    async def stream(self, request: Request) -> Response:
        """Stream what happens from now on: GET /agents/sessions/{id}/events."""
        name = request.path_params["name"]
        self._state.count(CallKind.STREAM)
        faults = self._faults_of(name)

        async def action() -> Response:
            with self._state.lock:
                session = self._found(name)
                history = self._history.of(session)

            def events(now_s: float) -> LiveEvents:
                shown = self._visible(session)
                return history.until(tuple(one.run for one in shown), self._shown, now_s)

            return LiveStream(self._state, name, events, error=error_event(name), faults=faults)

        return await self._pipeline.perform(request, CallKind.STREAM, action, faults)

    async def _read(self, request: Request, body: Callable[[Session], Mapping[str, object]]) -> Response:
        name = request.path_params["name"]
        self._state.count(CallKind.GET)

        async def action() -> Response:
            with self._state.lock:
                return json_reply(body(self._found(name)))

        return await self._pipeline.perform(request, CallKind.GET, action, self._faults_of(name))

    def _take(self, session: Session, kind: str, key: str, text: str) -> None:
        """Let an event have its effect. Raises ApiError where the session cannot take it."""
        run = session.run
        is_live = run is not None and not run.view(self._state.clock.now()).is_terminal
        if kind == MESSAGE:
            self._refuse_in_setup(session)
            if is_live:
                # The message steers the turn that is under way.
                session.received.append((key, {"type": kind}))
            else:
                self._start(session, key, text)
        elif kind == CANCEL:
            session.received.append((key, {"type": kind}))
            if run is not None:
                self._state.run_store.cancel(run.id)
        else:
            raise ApiError(400, "The session waits for no such result.")

    def _start(self, session: Session, key: str, prompt: str) -> None:
        """Start a turn. The first one has the id of its session. Raises ApiError 400 for an unusable `#sim` line."""
        session.received.append((key, {"type": MESSAGE}))
        number = sum(event["type"] == MESSAGE for _, event in session.received)
        request = RunRequest(
            agent=str(session.settings["agent"]),
            agent_config={},
            background=True,
            stream=False,
            environment=None,
            input=prompt,
            labels=session.labels,
            previous_interaction_id=None,
            service_tier="auto",
            run_id=session.id if number == 1 else f"{session.id}.{number}",
        )
        try:
            scenario = from_prompt(prompt, self._state.default)
        except ValueError as exc:
            raise ApiError(400, str(exc)) from exc
        faults = self._state.faults.of_launch(scenario.parsed_faults, session.labels, prompt)
        session.run = self._state.start(request, scenario, faults)

    def _found(self, name: str) -> Session:
        return self._state.sessions.find(name)

    def _faults_of(self, name: str) -> FaultSet | None:
        with self._state.lock:
            return self._state.run_store.faults_of(name)

    def _labels_of(self, name: str) -> Mapping[str, str]:
        """Return the labels of a session; none if it does not exist."""
        return next((session.labels for session in self._state.sessions.all() if session.id == name), {})

    def _refuse_in_setup(self, session: Session) -> None:
        fault = self._state.trigger(Switch.SESSION_SETUP)
        if fault is not None and self._state.clock.now() - session.created_s < fault.value:
            raise ApiError(409, SETTING_UP)

    def _visible(self, session: Session) -> Sequence[Shown]:
        """Return the runs of a session that clients may see, oldest first."""
        now, shown = self._state.clock.now(), []
        for run in self._state.run_store.all(session.labels.get("nightdesk-key", "")):
            if run.id.partition(".")[0] == session.id:
                late = self._state.trigger(Switch.TURN_LATE, run.faults)
                if late is None or now - run.created_s >= late.value:
                    shown.append(self._shown(run))
        return shown

    def _shown(self, run: SimulatedRun) -> Shown:
        view = run.view(self._state.clock.now())
        hidden = self._state.trigger(Switch.USAGE_ABSENT, run.faults) is not None
        if view.is_terminal:
            late = self._state.trigger(Switch.USAGE_LATE, run.faults)
            hidden = hidden or (late is not None and run.polls_after_end <= late.value)
        else:
            hidden = hidden or self._state.trigger(Switch.USAGE_ABSENT_MIDRUN, run.faults) is not None
        return Shown(run=run, view=view, has_usage=not hidden)

    def _body(self, session: Session, *, is_poll: bool = False) -> dict[str, object]:
        shown = self._visible(session)
        for one in shown:
            one.run.polls_after_end += is_poll and one.view.is_terminal
        fails = bool(shown) and self._state.trigger(Switch.SESSION_FAILED, shown[-1].run.faults) is not None
        return session_body(session, shown, fails=fails)


def _shown_agent(given: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of an agent that were given, its tools with their defaults."""
    own = {name: value for name, value in given.items() if value is not None}
    if isinstance(tools := own.get("tools"), list):
        own["tools"] = [{**TOOL_DEFAULTS.get(tool["type"], {}), **tool} for tool in tools]
    return own


def _environment(asked: Mapping[str, object], environment_id: str) -> dict[str, object]:
    """Return the environment of a session as it is shown. What may hold a secret is not shown."""
    if asked["type"] == "none":
        return {"type": "none"}
    directories = asked.get("capability_directories") or []
    head = {"id": environment_id, "type": asked["type"], "capability_directories": directories}
    if asked["type"] == "self_hosted":
        return {**head, "remote_url": "https://agents.invalid/remote", "workspace_directory": "/workspace"}
    network = require_object(asked.get("network") or {"access": "enabled"})
    return {
        **head,
        "container_size": asked.get("container_size", "medium"),
        "files": [],
        "network": {"access": network["access"], "allowed_domains": network.get("allowed_domains") or []},
        "packages": {"npm": [], "python": [], "system": []},
        "plugins": [],
        "skills": [],
    }


def _page(request: Request, rows: Sequence[dict[str, object]]) -> dict[str, object]:
    """Return the page of `rows` (oldest first) that `limit`, `order` and `after` choose. Raises ApiError 400."""
    query = request.query_params
    limit, order, after = query.get("limit", str(PAGE_SIZE)), query.get("order", "desc"), query.get("after")
    if not limit.isdecimal() or not 0 < int(limit) <= LONGEST_PAGE or order not in ("asc", "desc"):
        raise ApiError(400, f"'limit' must be 1 to {LONGEST_PAGE}, 'order' asc or desc.")
    ordered = list(rows) if order == "asc" else list(reversed(rows))
    if after is not None:
        places = [place for place, row in enumerate(ordered) if row["id"] == after]
        if not places:
            raise ApiError(400, f"'after' names nothing in this list: {json.dumps(after)}")
        ordered = ordered[places[0] + 1 :]
    return page_body(ordered[: int(limit)], has_more=len(ordered) > int(limit))
