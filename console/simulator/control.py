"""Control calls under `/_sim/`: set scenario and faults, read the truth, put time forward. No key, no faults."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from console.simulator.faults import FaultSpec
from console.simulator.gemini.bodies import usage_json, utc
from console.simulator.replies import ELSEWHERE
from console.simulator.run import SimulatedRun
from console.simulator.scenario import from_json
from console.simulator.state import SimulatorState


def run_facts(state: SimulatorState, run: SimulatedRun) -> dict[str, object]:
    """A run as it really is, whatever the service says of it."""
    view = state.view(run.id)
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
        "ran_s": (view.ended_s if view.ended_s is not None else state.clock.now()) - run.created_s,
        "cancels": run.cancels,
        "is_deleted": run.is_deleted,
    }


class ControlApi:
    """The control calls of one world."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    async def set_scenario(self, request: Request) -> Response:
        """POST /_sim/scenario: the default of prompts that bring none."""
        given = json.loads(await request.body())
        if not isinstance(given, dict):
            raise ValueError("a scenario is a JSON object")
        self._state.default = from_json(given)
        return JSONResponse(self._state.default.to_json())

    async def set_faults(self, request: Request) -> Response:
        """POST /_sim/faults: switches on for everybody."""
        spec: FaultSpec = json.loads(await request.body())
        if not isinstance(spec, dict | list):
            raise ValueError("faults are a JSON object or a list of names")
        self._state.set_faults(spec)
        return JSONResponse({"faults": list(self._state.switches.names)})

    async def clear_faults(self, request: Request) -> Response:
        """DELETE /_sim/faults."""
        self._state.clear_faults()
        return JSONResponse({"faults": []})

    async def advance(self, request: Request) -> Response:
        """POST /_sim/advance {"seconds": 60}."""
        given = json.loads(await request.body())
        seconds = given.get("seconds") if isinstance(given, dict) else None
        if not isinstance(seconds, int | float):
            raise ValueError('advance takes {"seconds": number}')
        self._state.advance(seconds)
        return JSONResponse({"now": self._state.clock.now()})

    async def reset(self, request: Request) -> Response:
        """POST /_sim/reset."""
        self._state.reset()
        return JSONResponse({})

    async def stats(self, request: Request) -> Response:
        """GET /_sim/stats."""
        return JSONResponse(self._state.stats())

    async def runs(self, request: Request) -> Response:
        """GET /_sim/runs: the truth about every run that ever started, oldest first."""
        with self._state.lock:
            return JSONResponse({"runs": [run_facts(self._state, run) for run in self._state.runs()]})

    async def elsewhere(self, request: Request) -> Response:
        """Where a redirect leads: counts who followed it."""
        self._state.count("elsewhere")
        return JSONResponse({})


def _guarded(call: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        try:
            return await call(request)
        except (ValueError, TypeError) as exc:
            return JSONResponse({"error": {"code": "invalid_request", "message": str(exc)}}, status_code=400)

    return guarded


def control_routes(state: SimulatorState) -> list[Route]:
    """All of them."""
    control = ControlApi(state)
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
