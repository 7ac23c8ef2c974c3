"""The routes of the simulated service, under `/v1` and `/v1beta` alike. There is no list of interactions.

Every call goes the same way: counted once its body is whole, then struck by a fault or done.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.simulator.faults import CallKind, FaultSet, Switch
from console.simulator.gemini.bodies import ApiError, ErrorForm, interaction, method_not_found
from console.simulator.gemini.stream import EventReply
from console.simulator.gemini.validation import check_create, check_object, check_sandbox, prompt_of, unknown_parameter
from console.simulator.replies import error_reply, json_reply, reply_with_fault
from console.simulator.run import RunView, SimulatedRun
from console.simulator.scenario import PARKED, from_prompt
from console.simulator.state import ChangeWaiter, SimulatorState


class InteractionsApi:
    """The interactions of one world, as HTTP calls."""

    def __init__(self, state: SimulatorState, gate: RequestPipeline) -> None:
        self._state, self._gate = state, gate
        self._pulse = ChangeWaiter(state.bell)

    async def create(self, request: Request) -> Response:
        """POST /interactions."""
        given = await self._gate.body(request)
        body = given or {}
        labels = body.get("labels")
        key = labels.get("nightdesk-key") if isinstance(labels, dict) else None
        self._state.count(CallKind.CREATE, key if isinstance(key, str) else "")
        prompt = prompt_of(body.get("input"))
        try:
            scenario = from_prompt(prompt, self._state.default)
        except ValueError as exc:
            return self._gate.refuse(ApiError(400, str(exc)))
        board = self._state.switches.of_launch(scenario.parsed_faults, labels, prompt)

        async def act() -> Response:
            order = check_create(check_object(given))
            run = self._state.start(order, scenario, board)
            if order.stream:
                return EventReply(self._state, self._pulse, run)
            if not order.background:
                await self._until_ended(request, run)
            return json_reply(self._shown(run, own_steps_only=True))

        return await self._gate.reply_with_fault(request, CallKind.CREATE, act, board)

    async def get(self, request: Request) -> Response:
        """GET /interactions/{id}, with `stream=true` the event stream."""
        run_id, query = request.path_params["name"], request.query_params
        streams = query.get("stream") == "true"
        call = CallKind.STREAM if streams else CallKind.GET
        self._state.count(call)

        async def act() -> Response:
            if query.get("fields", "*") != "*":
                raise unknown_parameter("fields")
            with self._state.lock:
                run = self._state.interactions.find(run_id)
            if streams:
                return EventReply(self._state, self._pulse, run, last_event_id=query.get("last_event_id"))
            return json_reply(self._shown(run, include_input=query.get("include_input") == "true", is_poll=True))

        return await self._gate.reply_with_fault(request, call, act, self._board(run_id))

    async def post(self, request: Request) -> Response:
        """POST /interactions/{id}:cancel."""
        run_id, colon, verb = request.path_params["name"].rpartition(":")
        if not colon or verb != "cancel":
            return self._gate.refuse(method_not_found())
        return await self._cancel(request, run_id, Switch.CANCEL_404_COLON)

    async def cancel(self, request: Request) -> Response:
        """POST /interactions/{id}/cancel."""
        return await self._cancel(request, request.path_params["name"], Switch.CANCEL_404_SLASH)

    async def delete(self, request: Request) -> Response:
        """DELETE /interactions/{id}."""
        run_id = request.path_params["name"]
        self._state.count(CallKind.DELETE)

        async def act() -> Response:
            with self._state.lock:
                self._state.interactions.delete(run_id)
            return Response(b"", media_type="application/json")

        return await self._gate.reply_with_fault(request, CallKind.DELETE, act, self._board(run_id))

    async def _cancel(self, request: Request, run_id: str, unknown_here: Switch) -> Response:
        board = self._board(run_id)
        self._state.count(CallKind.CANCEL)

        async def act() -> Response:
            both = self._state.take(Switch.CANCEL_404_BOTH, board)
            if self._state.take(unknown_here, board) or both:
                raise method_not_found()
            with self._state.lock:
                run = self._state.interactions.cancel(run_id)
            self._state.bell.ring()
            return json_reply(self._shown(run))

        return await self._gate.reply_with_fault(request, CallKind.CANCEL, act, board)

    def _board(self, run_id: str) -> FaultSet | None:
        with self._state.lock:
            return self._state.interactions.board_of(run_id)

    async def _until_ended(self, request: Request, run: SimulatedRun) -> None:
        """A foreground run lives only as long as its client waits."""
        left = asyncio.ensure_future(_left(request))
        try:
            while not (view := self._state.view(run.id)).is_terminal and view.status not in PARKED:
                if left.done():
                    with self._state.lock:
                        self._state.interactions.abandon(run)
                    return
                longest_s = self._state.clock.longest_nap_s
                await self._pulse.sleep(min(longest_s, max(0.001, run.scenario.step_seconds)), left)
        finally:
            left.cancel()

    def _shown(
        self, run: SimulatedRun, *, own_steps_only: bool = False, include_input: bool = False, is_poll: bool = False
    ) -> dict[str, object]:
        take, board = self._state.take, run.board
        with self._state.lock:
            view = self._state.interactions.view(run)
            run.polls_after_end += is_poll and view.is_terminal
            hide_steps = view.may_spend and take(Switch.STEPS_ABSENT_MIDRUN, board) is not None
            return interaction(
                run,
                view,
                steps=not hide_steps,
                usage=self._shows_usage(run, view),
                own_steps_only=own_steps_only,
                include_input=include_input,
            )

    def _shows_usage(self, run: SimulatedRun, view: RunView) -> bool:
        take, board = self._state.take, run.board
        if take(Switch.USAGE_ABSENT, board):
            return False
        if view.may_spend:
            return take(Switch.USAGE_MIDRUN, board) is not None
        late = take(Switch.USAGE_LATE, board)
        return late is None or run.polls_after_end > late.value


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


PAGE = 50
"""Sandboxes on a page that names no size."""
_SANDBOX_FIELDS = ("sources", "network", "from_environment")


class EnvironmentsApi:
    """`/environments` and `/agents` of one world."""

    def __init__(self, state: SimulatorState, gate: RequestPipeline) -> None:
        self._state, self._gate = state, gate

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
        self._state.count(CallKind.ENV_CREATE)

        async def act() -> Response:
            body = check_object(given)
            for name in body:
                if name not in _SANDBOX_FIELDS:
                    raise unknown_parameter(name)
            check_sandbox(body, "environment")
            source = body.get("from_environment")
            clock, environments = self._state.clock, self._state.environments
            with self._state.lock:
                if source is not None:
                    environments.find(str(source), clock.now())
                made = environments.create(body, clock.now(), clock.wall(), bare=False)
                return json_reply(made.to_json())

        return await self._gate.reply_with_fault(request, CallKind.ENV_CREATE, act)

    async def list_environments(self, request: Request) -> Response:
        """GET /environments; `page_size` and `pageSize`, `page_token` and `pageToken` alike."""
        query = request.query_params
        self._state.count(CallKind.ENV_LIST)

        async def act() -> Response:
            size = query.get("page_size", query.get("pageSize", str(PAGE)))
            start = query.get("page_token", query.get("pageToken", "")) or "0"
            if not (size.isdecimal() and start.isdecimal() and int(size) > 0):
                raise ApiError(400, "'page_size' must be a positive number and 'page_token' one that was given.")
            with self._state.lock:
                alive = self._state.environments.alive(self._state.clock.now())
            end = int(start) + int(size)
            shown: dict[str, object] = {"environments": [one.to_json() for one in alive[int(start) : end]]}
            if end < len(alive):
                shown["next_page_token"] = str(end)
            return json_reply(shown)

        return await self._gate.reply_with_fault(request, CallKind.ENV_LIST, act)

    async def get_environment(self, request: Request) -> Response:
        """GET /environments/{id}."""
        self._state.count(CallKind.ENV_GET)

        async def act() -> Response:
            with self._state.lock:
                now = self._state.clock.now()
                return json_reply(self._state.environments.find(request.path_params["name"], now).to_json())

        return await self._gate.reply_with_fault(request, CallKind.ENV_GET, act)

    async def delete_environment(self, request: Request) -> Response:
        """DELETE /environments/{id}; stops the run in it, unless switched otherwise."""
        name = request.path_params["name"]
        self._state.count(CallKind.ENV_DELETE)

        async def act() -> Response:
            with self._state.lock:
                self._state.environments.delete(name, self._state.clock.now())
                self._state.interactions.sandbox_deleted(name)
            self._state.bell.ring()
            return json_reply({})

        return await self._gate.reply_with_fault(request, CallKind.ENV_DELETE, act)

    async def create_agent(self, request: Request) -> Response:
        """POST /agents."""
        given = await self._gate.body(request)
        self._state.count(CallKind.AGENT)

        async def act() -> Response:
            with self._state.lock:
                return json_reply(dict(self._state.agents.create(check_object(given))))

        return await self._gate.reply_with_fault(request, CallKind.AGENT, act)

    async def list_agents(self, request: Request) -> Response:
        """GET /agents."""
        self._state.count(CallKind.AGENT)

        async def act() -> Response:
            with self._state.lock:
                return json_reply({"agents": [dict(agent) for agent in self._state.agents.all()]})

        return await self._gate.reply_with_fault(request, CallKind.AGENT, act)

    async def get_agent(self, request: Request) -> Response:
        """GET /agents/{id}."""
        self._state.count(CallKind.AGENT)

        async def act() -> Response:
            with self._state.lock:
                return json_reply(dict(self._state.agents.find(request.path_params["name"])))

        return await self._gate.reply_with_fault(request, CallKind.AGENT, act)

    async def delete_agent(self, request: Request) -> Response:
        """DELETE /agents/{id}."""
        self._state.count(CallKind.AGENT)

        async def act() -> Response:
            with self._state.lock:
                self._state.agents.delete(request.path_params["name"])
            return json_reply({})

        return await self._gate.reply_with_fault(request, CallKind.AGENT, act)


_FORMS = {
    Switch.ERR_OLD: ErrorForm.OLD,
    Switch.ERR_NEW: ErrorForm.NEW,
    Switch.ERR_ARRAY: ErrorForm.ARRAY,
    Switch.ERR_HTML: ErrorForm.HTML,
    Switch.ERR_EMPTY: ErrorForm.EMPTY,
}


class RequestPipeline:
    """Stands before the calls of one world."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    async def reply_with_fault(
        self, request: Request, call: CallKind, act: Callable[[], Awaitable[Response]], board: FaultSet | None = None
    ) -> Response:
        """Does a call unless a fault or a missing key forbids it; `board` holds the faults of its run."""
        fault = self._state.reply_fault(call, board)

        async def checked() -> Response:
            self._check_key(request)
            return await act()

        return await reply_with_fault(checked, fault, lambda error: self.refuse(error, board))

    def refuse(self, error: ApiError, board: FaultSet | None = None) -> Response:
        """A refusal in its usual form, or in the one that is switched on."""
        on = (form for switch, form in _FORMS.items() if self._state.take(switch, board))
        return error_reply(error, next(on, error.form))

    async def body(self, request: Request) -> dict[str, object] | None:
        """The JSON object of a request, empty where there is no body; None where it is anything else."""
        raw = await request.body()
        if not raw:
            return {}
        try:
            body = json.loads(raw)
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    async def no_such_method(self, request: Request, exc: Exception) -> Response:
        """What an unknown address or method gets."""
        if isinstance(exc, HTTPException) and exc.status_code not in (404, 405):
            return self.refuse(ApiError(exc.status_code, exc.detail))
        return self.refuse(method_not_found())

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("x-goog-api-key", "")
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if not given and kind.lower() == "bearer":
            given = token
        if not given or self._state.api_key not in (None, given):
            raise ApiError(401, "API key not valid. Please pass a valid API key.")
