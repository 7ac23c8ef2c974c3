"""The routes of Managed Agents below `/v1`: sessions, their events and the event stream.

A session is made without anything working in it; the run starts with its first `user.message`. A message to a session
that works or has worked starts another run: the service recognises no repetition.
"""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from console.simulator.anthropic.bodies import Json, list_price, session_body, unknown_route, usage_body, write_error
from console.simulator.anthropic.events import Received, SessionEvent, SessionHistory, Untold
from console.simulator.anthropic.templates import TemplatesApi
from console.simulator.anthropic.validation import (
    MAX_INITIAL,
    check_budget,
    check_events,
    check_headers,
    check_session,
    order_of,
    page_of,
    prompt_of,
    require_object,
    several,
)
from console.simulator.errors import ApiError
from console.simulator.faults import CallKind, FaultSet, Switch
from console.simulator.live_stream import LiveEvent, LiveEvents, LiveStream
from console.simulator.pipeline import RequestPipeline, check_api_key
from console.simulator.replies import json_reply
from console.simulator.run import RunRequest, RunView
from console.simulator.scenario import Scenario, from_prompt
from console.simulator.sessions import Session
from console.simulator.state import SimulatorState
from console.simulator.timeline import Measure, Tokens

UNFINISHED = ("running", "rescheduling")
STREAM_ERROR = LiveEvent(
    name="error", payload={"type": "error", "error": {"type": "timeout_error", "message": "Gateway timeout."}}
)


class Histories:
    """The histories of all sessions, as the faults let a client see them. The caller holds the lock of the state."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state
        self._all: WeakKeyDictionary[Session, SessionHistory] = WeakKeyDictionary()

    def of(self, session: Session) -> SessionHistory:
        """Return the history of a session."""
        return self._all.setdefault(session, SessionHistory(session))

    def view(self, session: Session) -> RunView | None:
        """Return the run of a session as it is; None if nothing was started in it."""
        return None if session.run is None else session.run.view(self._state.clock.now())

    def status(self, session: Session) -> str:
        """Return the status of a session."""
        return self.of(session).status(session.run, self.view(session))

    def events(self, session: Session) -> list[SessionEvent]:
        """Return the events of a session so far, oldest first."""
        trigger, faults = self._state.trigger, session.run.faults if session.run is not None else None
        late = trigger(Switch.IDLE_LATE, faults)
        untold = Untold(
            usage=trigger(Switch.USAGE_ABSENT, faults) is not None,
            usage_midrun=trigger(Switch.USAGE_ABSENT_MIDRUN, faults) is not None,
            idle_s=late.value if late else 0.0,
            is_terminated=trigger(Switch.SESSION_FAILED, faults) is not None,
        )
        return self.of(session).events(session.run, self.view(session), self._state.clock.now(), untold)

    def shown(self, session: Session) -> Json:
        """Return the body of a session. Its usage is empty while it works, unless `usage.midrun` is on."""
        now, run, view = self._state.clock.now(), session.run, self.view(session)
        status = self.status(session)
        if run is None or view is None:
            return session_body(session, status, {}, 0.0, now)
        faults = run.faults
        if status == "idle" and view.status == "failed" and self._state.trigger(Switch.SESSION_FAILED, faults):
            status = "terminated"
        ended_s = now if view.ended_s is None else view.ended_s
        active_s = max(0.0, ended_s - run.works_from_s)
        shows = not self._state.trigger(Switch.USAGE_ABSENT, faults) and (
            not view.may_spend or self._state.trigger(Switch.USAGE_MIDRUN, faults)
        )
        usage = usage_body(view.tokens if shows else Tokens(), active_s if shows else 0.0)
        return session_body(session, status, usage, active_s, ended_s)


class SessionsApi:
    """The calls of `/sessions`."""

    def __init__(self, state: SimulatorState, pipeline: RequestPipeline, templates: TemplatesApi) -> None:
        self._state, self._pipeline, self._templates = state, pipeline, templates
        self._histories = Histories(state)
        self._starts = Starts(state, self._histories)

    def routes(self) -> list[Route]:
        """Return the routes below the version."""
        return [
            Route("/sessions", self.create, methods=["POST"]),
            Route("/sessions", self.list, methods=["GET"]),
            Route("/sessions/{name}", self.get, methods=["GET"]),
            Route("/sessions/{name}", self.delete, methods=["DELETE"]),
            Route("/sessions/{name}/archive", self.archive, methods=["POST"]),
            Route("/sessions/{name}/events", self.send, methods=["POST"]),
            Route("/sessions/{name}/events", self.events, methods=["GET"]),
            Route("/sessions/{name}/events/stream", self.stream, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """Make a session: POST /sessions. With `initial_events` its run starts at once."""
        given = await self._pipeline.body(request)
        self._state.count(CallKind.ENV_CREATE)

        async def action() -> Response:
            body = require_object(given)
            reference, labels, environment = check_session(body)
            initial = body.get("initial_events") or []
            if initial and len(check_events(initial, ("user.message",))) > MAX_INITIAL:
                raise ApiError(400, f"initial_events: at most {MAX_INITIAL} events are permitted")
            with self._state.lock:
                agent = self._templates.agent(reference)
                self._templates.environment(environment)
                limit = check_budget(body.get("budget"), agent["model"])
                settings = {**body, "agent": agent, "limit_micro": limit}
                clock = self._state.clock
                session = self._state.sessions.create("sesn_", labels, settings, clock.now(), clock.wall())
                if isinstance(initial, list) and initial:
                    self._starts.send(session, initial, *self._starts.planned(session, initial))
                return json_reply(self._histories.shown(session))

        return await self._pipeline.perform(request, CallKind.ENV_CREATE, action)

    async def list(self, request: Request) -> Response:
        """List the sessions: GET /sessions. There is no filter by metadata."""
        query = request.query_params
        self._state.count(CallKind.ENV_LIST)

        async def action() -> Response:
            order = order_of(query, "desc")
            with self._state.lock:
                shown = [
                    self._histories.shown(one) for one in self._state.sessions.all() if self._is_listed(one, query)
                ]
            statuses = several(query, "statuses")
            chosen = [one for one in shown if not statuses or one["status"] in statuses]
            page, following = page_of(chosen if order == "asc" else chosen[::-1], query, order)
            return json_reply({"data": page, "next_page": following, "prev_page": None})

        return await self._pipeline.perform(request, CallKind.ENV_LIST, action)

    def _is_listed(self, session: Session, query: Mapping[str, str]) -> bool:
        agent, made = session.settings["agent"], session_body(session, "", {}, 0.0, session.created_s)["created_at"]
        lag = self._state.trigger(Switch.LIST_LAG)
        if lag and self._state.clock.now() - session.created_s < lag.value:
            return False
        if session.archived_s is not None and query.get("include_archived") != "true":
            return False
        if "agent_id" in query and isinstance(agent, dict) and agent["id"] != query["agent_id"]:
            return False
        since, until = query.get("created_at[gte]", ""), query.get("created_at[lte]", "~")
        return since.replace("+00:00", "Z") <= str(made) <= until.replace("+00:00", "Z")

    async def get(self, request: Request) -> Response:
        """Return a session: GET /sessions/{id}."""
        self._state.count(CallKind.GET)
        name = request.path_params["name"]

        async def action() -> Response:
            with self._state.lock:
                return json_reply(self._histories.shown(self._state.sessions.find(name)))

        return await self._pipeline.perform(request, CallKind.GET, action, self._faults_of(name))

    async def delete(self, request: Request) -> Response:
        """Delete a session with its events and its container, which is refused while it works."""
        self._state.count(CallKind.ENV_DELETE)
        name = request.path_params["name"]

        async def action() -> Response:
            with self._state.lock:
                session = self._state.sessions.find(name)
                self._require_rest(session)
                self._state.sessions.delete(name)
            self._state.changes.notify(name)
            return json_reply({"id": name, "type": "session_deleted"})

        return await self._pipeline.perform(request, CallKind.ENV_DELETE, action, self._faults_of(name))

    async def archive(self, request: Request) -> Response:
        """Archive a session, which ends it for good: POST /sessions/{id}/archive. Refused while it works."""
        self._state.count(CallKind.DELETE)
        name = request.path_params["name"]

        async def action() -> Response:
            with self._state.lock:
                session, now = self._state.sessions.find(name), self._state.clock.now()
                self._require_rest(session)
                if session.archived_s is None:
                    session.archived_s = now
                if session.run is not None:
                    session.run.interrupt(now, 0.0, "cancelled")
                shown = self._histories.shown(session)
            self._state.changes.notify(name)
            return json_reply(shown)

        return await self._pipeline.perform(request, CallKind.DELETE, action, self._faults_of(name))

    def _require_rest(self, session: Session) -> None:
        if self._histories.status(session) in UNFINISHED:
            raise ApiError(400, f"Session '{session.id}' is running. Interrupt it first.")

    async def send(self, request: Request) -> Response:
        """Send events: POST /sessions/{id}/events. A message starts a run, an interrupt stops it."""
        given = await self._pipeline.body(request)
        name, sent = request.path_params["name"], (given or {}).get("events")
        is_interrupt = isinstance(sent, list) and bool(sent) and all(_type(one) == "user.interrupt" for one in sent)
        with self._state.lock:
            session = next((one for one in self._state.sessions.all() if one.id == name), None)
        if is_interrupt:
            self._state.count(CallKind.CANCEL)
            call, faults, planned = CallKind.CANCEL, self._faults_of(name), None
        else:
            self._state.count(CallKind.CREATE, session.labels.get("nightdesk-key", "") if session else "")
            try:
                planned = self._starts.planned(session, sent)
            except ValueError as exc:
                return self._pipeline.refusal(ApiError(400, str(exc)))
            call, faults = CallKind.CREATE, planned[1]

        async def action() -> Response:
            events = check_events(require_object(given).get("events"))
            with self._state.lock:
                found = self._state.sessions.find(name)
                accepted = self._starts.send(found, events, *(planned or (Scenario(), FaultSet())))
            self._state.changes.notify(name)
            return json_reply({"data": accepted})

        return await self._pipeline.perform(request, call, action, faults)

    async def events(self, request: Request) -> Response:
        """List the events of a session: GET /sessions/{id}/events."""
        self._state.count(CallKind.GET)
        name, query = request.path_params["name"], request.query_params

        async def action() -> Response:
            order, types = order_of(query, "asc"), several(query, "types")
            with self._state.lock:
                session = self._state.sessions.find(name)
                found = [one for one in self._histories.events(session) if not types or one.type in types]
            page, following = page_of(found if order == "asc" else found[::-1], query, order)
            shown = [event.shown(session) for event in page]
            return json_reply({"data": shown, "next_page": following, "prev_page": None})

        return await self._pipeline.perform(request, CallKind.GET, action, self._faults_of(name))

    async def stream(self, request: Request) -> Response:
        """Stream what happens from now on: GET /sessions/{id}/events/stream. Nothing is replayed."""
        self._state.count(CallKind.STREAM)
        name = request.path_params["name"]

        async def action() -> Response:
            with self._state.lock:
                session = self._state.sessions.find(name)
                sent = SentEvents(self._state, self._histories, session)
            return LiveStream(self._state, name, sent.until, error=STREAM_ERROR, faults=self._faults_of(name))

        return await self._pipeline.perform(request, CallKind.STREAM, action, self._faults_of(name))

    def _faults_of(self, name: str) -> FaultSet | None:
        with self._state.lock:
            return self._state.run_store.faults_of(name)


class Starts:
    """What the events that clients send bring about. The caller holds the lock of the state, except for `planned`."""

    def __init__(self, state: SimulatorState, histories: Histories) -> None:
        self._state, self._histories = state, histories

    def planned(self, session: Session | None, events: object) -> tuple[Scenario, FaultSet]:
        """Return the scenario of a message and the faults of its run. Raises ValueError for an unusable `#sim` line."""
        sent = [one for one in events if isinstance(one, dict)] if isinstance(events, list) else []
        prompt = next((prompt_of(one) for one in sent if _type(one) == "user.message"), "")
        scenario = from_prompt(prompt, self._state.default)
        with self._state.lock:
            labels = dict(session.labels) if session is not None else None
            return scenario, self._state.faults.of_launch(scenario.parsed_faults, labels, prompt)

    def send(self, session: Session, events: list[Json], scenario: Scenario, faults: FaultSet) -> list[Json]:
        """Accept events and return them as the service shows them. Raises ApiError 400 where the session takes none."""
        view = self._histories.view(session)
        if session.archived_s is not None:
            raise ApiError(400, f"Session '{session.id}' is archived.")
        if view is not None and view.status == "budget_exceeded" and _type(events[0]) == "user.message":
            raise ApiError(400, f"Session '{session.id}' has reached its budget.")
        return [self._accept(session, event, scenario, faults) for event in events]

    def _accept(self, session: Session, event: Json, scenario: Scenario, faults: FaultSet) -> Json:
        now, kind = self._state.clock.now(), str(event["type"])
        body = {name: value for name, value in event.items() if name != "type"}
        received = Received(id=self._state.sessions.new_id("sevt_"), type=kind, body=body, at_s=now)
        if kind == "user.message":
            self._start(session, prompt_of(event), scenario, faults)
        else:
            received.is_ignored = not self._interrupt(session)
        self._histories.of(session).received.append(received)
        return SessionEvent(id=received.id, type=kind, at_s=None, body=body).shown(session)

    def _start(self, session: Session, prompt: str, scenario: Scenario, faults: FaultSet) -> None:
        limit, agent = session.settings.get("limit_micro"), session.settings["agent"]
        request = RunRequest(
            agent=str(agent["id"]) if isinstance(agent, dict) else "",
            agent_config={},
            background=True,
            stream=False,
            environment=None,
            input=prompt,
            labels=session.labels,
            previous_interaction_id=None,
            service_tier="standard",
            run_id=session.id if session.run is None else None,
            limit=Measure(most=limit, of=list_price, of_one=2.0) if isinstance(limit, float) else None,
        )
        run = self._state.start(request, scenario, faults)
        if session.run is None:
            session.run = run
            self._histories.of(session).hangs = self._state.trigger(Switch.BUDGET_HANGS, faults) is not None

    def _interrupt(self, session: Session) -> bool:
        """Stop the run of a session; return False for an interrupt that is accepted and never has an effect."""
        view = self._histories.view(session)
        if session.run is None or view is None:
            return True
        if not view.may_spend:
            session.run.cancels += 1
            return True
        before = len(session.run.interruptions)
        self._state.run_store.cancel(session.id)
        return len(session.run.interruptions) > before


class SentEvents:
    """What streams of one session send: each event once when it is recorded and once more when it is processed."""

    def __init__(self, state: SimulatorState, histories: Histories, session: Session) -> None:
        self._state, self._histories, self._session = state, histories, session
        self._known: set[tuple[str, bool]] = set()
        self._sent: list[LiveEvent] = []

    def until(self, now_s: float) -> LiveEvents:
        """Return what has happened by `now_s`. A stream goes on until the session is archived or deleted."""
        for event in self._histories.events(self._session):
            mark = (event.id, event.at_s is None)
            if mark not in self._known:
                self._known.add(mark)
                self._sent.append(LiveEvent(name="message", payload=event.shown(self._session)))
        exists = any(one is self._session for one in self._state.sessions.all())
        is_over = self._session.archived_s is not None or not exists
        return LiveEvents(so_far=self._sent, next_s=self._next_s(now_s), is_over=is_over)

    def _next_s(self, now_s: float) -> float | None:
        run = self._session.run
        if run is None:
            return None
        view = run.view(now_s)
        planned = run.timeline.step(len(view.steps)) if view.may_spend else None
        times = [run.works_from_s, *(one.at_s for one in run.interruptions)]
        times += [run.works_from_s + planned.ends_s] if planned is not None else []
        return min((at_s for at_s in times if at_s > now_s), default=None)


def _type(event: object) -> object:
    return event.get("type") if isinstance(event, dict) else None


class AnthropicFace:
    """Managed Agents of one simulated service."""

    def __init__(self, state: SimulatorState) -> None:
        def check(request: Request) -> None:
            check_api_key(state, request, "x-api-key")
            check_headers(request)

        self._pipeline = RequestPipeline(state, write_error, check)
        self._templates = TemplatesApi(state, self._pipeline)
        self._sessions = SessionsApi(state, self._pipeline, self._templates)

    def routes(self) -> list[Mount]:
        """Return the routes of the version."""
        routes = [*self._sessions.routes(), *self._templates.routes()]
        return [Mount("/v1", app=Router(routes=routes, redirect_slashes=False))]

    async def unknown_route(self, request: Request, exc: Exception) -> Response:
        """Refuse a path or method that does not exist."""
        return self._pipeline.refusal(unknown_route())
