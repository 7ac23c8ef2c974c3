"""The control calls under `/_sim/`, for tests and tools: set faults and read what really happened.

They need no API key and no fault strikes them. A web page must not be able to make them through a browser on this
machine: the Host header must name this machine (a page can make its own host name resolve to 127.0.0.1), and no Origin
header is accepted. If the state has a control token, every call must also send it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from console.simulator.control_client import TOKEN_HEADER
from console.simulator.faults import FaultSpec
from console.simulator.gemini.bodies import usage_body, utc
from console.simulator.replies import ELSEWHERE
from console.simulator.run import SimulatedRun
from console.simulator.state import SimulatorState

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""The host names that a control call may address."""

Call = Callable[[Request], Awaitable[Response]]


def run_facts(state: SimulatorState, run: SimulatedRun) -> dict[str, object]:
    """Return what a run really is, whatever the service shows of it, as JSON values."""
    view = state.view(run.id)
    return {
        "id": run.id,
        "key": run.key,
        "labels": dict(run.labels),
        "status": view.status,
        "may_spend": view.may_spend,
        "steps": len(view.steps),
        "usage": usage_body(view.tokens),
        "environment_id": run.environment_id,
        "created": utc(run.created_wall_s),
        "ran_s": (view.ended_s if view.ended_s is not None else state.clock.now()) - run.created_s,
        "cancels": run.cancels,
        "is_deleted": run.is_deleted,
    }


class ControlApi:
    """The control calls of one simulated service."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Return the routes of all control calls, and the target of redirects."""
        return [
            Route("/_sim/faults", self._guarded(self.set_faults), methods=["POST"]),
            Route("/_sim/faults", self._guarded(self.clear_faults), methods=["DELETE"]),
            Route("/_sim/reset", self._guarded(self.reset), methods=["POST"]),
            Route("/_sim/stats", self._guarded(self.stats), methods=["GET"]),
            Route("/_sim/runs", self._guarded(self.runs), methods=["GET"]),
            Route(ELSEWHERE, self.elsewhere, methods=["GET", "POST", "PUT", "DELETE"]),
        ]

    async def set_faults(self, request: Request) -> Response:
        """Switch faults on for every run: POST /_sim/faults with a `FaultSpec`. Wrong faults are refused with 400."""
        try:
            spec: FaultSpec = json.loads(await request.body())
            if not isinstance(spec, dict | list):
                raise ValueError("faults must be a JSON object or a list of names")
            self._state.set_faults(spec)
        except (ValueError, TypeError) as exc:
            return _error(400, "invalid_request", str(exc))
        return JSONResponse({"faults": list(self._state.faults.names)})

    async def clear_faults(self, request: Request) -> Response:
        """Switch off the faults of all runs: DELETE /_sim/faults."""
        self._state.clear_faults()
        return JSONResponse({"faults": []})

    async def reset(self, request: Request) -> Response:
        """Forget everything: POST /_sim/reset."""
        self._state.reset()
        return JSONResponse({})

    async def stats(self, request: Request) -> Response:
        """Return the counts: GET /_sim/stats."""
        return JSONResponse(self._state.stats())

    async def runs(self, request: Request) -> Response:
        """Return the facts of every run that ever started, oldest first: GET /_sim/runs."""
        with self._state.lock:
            return JSONResponse({"runs": [run_facts(self._state, run) for run in self._state.runs()]})

    async def elsewhere(self, request: Request) -> Response:
        """Count a client that followed a redirect."""
        self._state.count("elsewhere")
        return JSONResponse({})

    def _guarded(self, call: Call) -> Call:
        """Return `call` with the checks of the Host and Origin headers and of the token before it."""

        async def guarded(request: Request) -> Response:
            problem = self._problem(request)
            return await call(request) if problem is None else _error(403, "permission_denied", problem)

        return guarded

    def _problem(self, request: Request) -> str | None:
        """Return why the call is not permitted, or None."""
        host, token = request.headers.get("host", ""), self._state.control_token
        name, _, port = host.rpartition(":")
        if host not in LOCAL_HOSTS and not (name in LOCAL_HOSTS and port.isascii() and port.isdigit()):
            return "Control calls must be addressed to 127.0.0.1 or localhost."
        if "origin" in request.headers:
            return "Control calls from a web page are not permitted."
        if token is not None and not secrets.compare_digest(
            request.headers.get(TOKEN_HEADER, "").encode(), token.encode()
        ):
            return f"This simulator requires its control token in the header {TOKEN_HEADER}."
        return None


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)
