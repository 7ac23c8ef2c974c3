"""Control calls under `/_sim/`: set scenario and faults, read the truth, put time forward. No key, no faults."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from console.simulator.faults import FaultSpec
from console.simulator.replies import ELSEWHERE
from console.simulator.run import Run
from console.simulator.scenario import from_json
from console.simulator.wire import usage_json, utc
from console.simulator.world import World


def truth(world: World, run: Run) -> dict[str, object]:
    """A run as it really is, whatever the service says of it."""
    view = world.view(run.id)
    return {
        "id": run.id,
        "key": run.key,
        "labels": dict(run.labels),
        "status": view.status,
        "may_spend": view.may_spend,
        "steps": len(view.steps),
        "usage": usage_json(view.tokens),
        "environment_id": run.environment_id,
        "created": utc(run.created_wall_s),
        "ran_s": (view.ended_s if view.ended_s is not None else world.clock.now()) - run.created_s,
        "cancels": run.cancels,
        "is_deleted": run.is_deleted,
    }


class Control:
    """The control calls of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def set_scenario(self, request: Request) -> Response:
        """POST /_sim/scenario: the default of prompts that bring none."""
        given = json.loads(await request.body())
        if not isinstance(given, dict):
            raise ValueError("a scenario is a JSON object")
        self._world.default = from_json(given)
        return JSONResponse(self._world.default.to_json())

    async def set_faults(self, request: Request) -> Response:
        """POST /_sim/faults: switches on for everybody."""
        spec: FaultSpec = json.loads(await request.body())
        if not isinstance(spec, dict | list):
            raise ValueError("faults are a JSON object or a list of names")
        self._world.set_faults(spec)
        return JSONResponse({"faults": list(self._world.switches.names)})

    async def clear_faults(self, request: Request) -> Response:
        """DELETE /_sim/faults."""
        self._world.clear_faults()
        return JSONResponse({"faults": []})

    async def advance(self, request: Request) -> Response:
        """POST /_sim/advance {"seconds": 60}."""
        given = json.loads(await request.body())
        seconds = given.get("seconds") if isinstance(given, dict) else None
        if not isinstance(seconds, int | float):
            raise ValueError('advance takes {"seconds": number}')
        self._world.advance(seconds)
        return JSONResponse({"now": self._world.clock.now()})

    async def reset(self, request: Request) -> Response:
        """POST /_sim/reset."""
        self._world.reset()
        return JSONResponse({})

    async def stats(self, request: Request) -> Response:
        """GET /_sim/stats."""
        return JSONResponse(self._world.stats())

    async def runs(self, request: Request) -> Response:
        """GET /_sim/runs: the truth about every run that ever started, oldest first."""
        with self._world.lock:
            return JSONResponse({"runs": [truth(self._world, run) for run in self._world.runs()]})

    async def elsewhere(self, request: Request) -> Response:
        """Where a redirect leads: counts who followed it."""
        self._world.count("elsewhere")
        return JSONResponse({})


def _guarded(call: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        try:
            return await call(request)
        except (ValueError, TypeError) as exc:
            return JSONResponse({"error": {"code": "invalid_request", "message": str(exc)}}, status_code=400)

    return guarded


def control_routes(world: World) -> list[Route]:
    """All of them."""
    control = Control(world)
    return [
        Route("/_sim/scenario", _guarded(control.set_scenario), methods=["POST"]),
        Route("/_sim/faults", _guarded(control.set_faults), methods=["POST"]),
        Route("/_sim/faults", control.clear_faults, methods=["DELETE"]),
        Route("/_sim/advance", _guarded(control.advance), methods=["POST"]),
        Route("/_sim/reset", control.reset, methods=["POST"]),
        Route("/_sim/stats", control.stats, methods=["GET"]),
        Route("/_sim/runs", control.runs, methods=["GET"]),
        Route(ELSEWHERE, control.elsewhere, methods=["GET", "POST", "PUT", "DELETE"]),
    ]
