"""The routes of the simulated service, under `/v1` and `/v1beta` alike. There is no list of interactions.

Every call goes the same way: counted once its body is whole, then struck by a fault or done.
"""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from console.simulator.catalogue import Catalogue
from console.simulator.checks import check_create, check_object, prompt_of, unknown_parameter
from console.simulator.control import control_routes
from console.simulator.errors import ApiError, method_not_found
from console.simulator.faults import Call, FaultBoard, Switch
from console.simulator.gate import Gate
from console.simulator.pulse import Pulse
from console.simulator.replies import json_reply
from console.simulator.run import Run, View
from console.simulator.scenario import PARKED, from_prompt
from console.simulator.streams import EventReply
from console.simulator.wire import interaction
from console.simulator.world import World


class Service:
    """The interactions of one world, as HTTP calls."""

    def __init__(self, world: World, gate: Gate) -> None:
        self._world, self._gate = world, gate
        self._pulse = Pulse(world.bell)

    async def create(self, request: Request) -> Response:
        """POST /interactions."""
        given = await self._gate.body(request)
        body = given or {}
        labels = body.get("labels")
        key = labels.get("nightdesk-key") if isinstance(labels, dict) else None
        self._world.count(Call.CREATE, key if isinstance(key, str) else "")
        prompt = prompt_of(body.get("input"))
        try:
            scenario = from_prompt(prompt, self._world.default)
        except ValueError as exc:
            return self._gate.refuse(ApiError(400, str(exc)))
        board = self._world.switches.of_launch(scenario, labels, prompt)

        async def act() -> Response:
            order = check_create(check_object(given))
            run = self._world.start(order, scenario, board)
            if order.stream:
                return EventReply(self._world, self._pulse, run)
            if not order.background:
                await self._until_ended(request, run)
            return json_reply(self._shown(run, own_steps_only=True))

        return await self._gate.answer(request, Call.CREATE, act, board)

    async def get(self, request: Request) -> Response:
        """GET /interactions/{id}, with `stream=true` the event stream."""
        run_id, query = request.path_params["name"], request.query_params
        streams = query.get("stream") == "true"
        call = Call.STREAM if streams else Call.GET
        self._world.count(call)

        async def act() -> Response:
            if query.get("fields", "*") != "*":
                raise unknown_parameter("fields")
            with self._world.lock:
                run = self._world.interactions.find(run_id)
            if streams:
                return EventReply(self._world, self._pulse, run, last_event_id=query.get("last_event_id"))
            return json_reply(self._shown(run, include_input=query.get("include_input") == "true", is_poll=True))

        return await self._gate.answer(request, call, act, self._board(run_id))

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
        self._world.count(Call.DELETE)

        async def act() -> Response:
            with self._world.lock:
                self._world.interactions.delete(run_id)
            return Response(b"", media_type="application/json")

        return await self._gate.answer(request, Call.DELETE, act, self._board(run_id))

    async def _cancel(self, request: Request, run_id: str, unknown_here: Switch) -> Response:
        board = self._board(run_id)
        self._world.count(Call.CANCEL)

        async def act() -> Response:
            both = self._world.take(Switch.CANCEL_404_BOTH, board)
            if self._world.take(unknown_here, board) or both:
                raise method_not_found()
            with self._world.lock:
                run = self._world.interactions.cancel(run_id)
            self._world.bell.ring()
            return json_reply(self._shown(run))

        return await self._gate.answer(request, Call.CANCEL, act, board)

    def _board(self, run_id: str) -> FaultBoard | None:
        with self._world.lock:
            return self._world.interactions.board_of(run_id)

    async def _until_ended(self, request: Request, run: Run) -> None:
        """A foreground run lives only as long as its client waits."""
        left = asyncio.ensure_future(_left(request))
        try:
            while not (view := self._world.view(run.id)).is_terminal and view.status not in PARKED:
                if left.done():
                    with self._world.lock:
                        self._world.interactions.abandon(run)
                    return
                longest_s = self._world.clock.longest_nap_s
                await self._pulse.sleep(min(longest_s, max(0.001, run.scenario.step_seconds)), left)
        finally:
            left.cancel()

    def _shown(
        self, run: Run, *, own_steps_only: bool = False, include_input: bool = False, is_poll: bool = False
    ) -> dict[str, object]:
        take, board = self._world.take, run.board
        with self._world.lock:
            view = self._world.interactions.view(run)
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

    def _shows_usage(self, run: Run, view: View) -> bool:
        take, board = self._world.take, run.board
        if take(Switch.USAGE_ABSENT, board):
            return False
        if view.may_spend:
            return take(Switch.USAGE_MIDRUN, board) is not None
        late = take(Switch.USAGE_LATE, board)
        return late is None or run.polls_after_end > late.value


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def build_app(world: World) -> Starlette:
    """The whole service of `world`. Needs `LineProtocol` below it for the faults of the transport."""
    gate = Gate(world)
    service, catalogue = Service(world, gate), Catalogue(world, gate)
    routes = [
        Route("/interactions", service.create, methods=["POST"]),
        Route("/interactions/{name}", service.get, methods=["GET"]),
        Route("/interactions/{name}", service.post, methods=["POST"]),
        Route("/interactions/{name}", service.delete, methods=["DELETE"]),
        Route("/interactions/{name}/cancel", service.cancel, methods=["POST"]),
        *catalogue.routes(),
    ]
    versioned = Router(routes=routes, redirect_slashes=False)
    return Starlette(
        routes=[Mount("/v1", app=versioned), Mount("/v1beta", app=versioned), *control_routes(world)],
        exception_handlers={HTTPException: gate.no_such_method},
    )
