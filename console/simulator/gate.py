"""The gate every call of the service passes: key, body, faults, and the form in which a refusal is written."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.simulator.errors import ApiError, ErrorForm, method_not_found
from console.simulator.faults import Call, FaultBoard, Switch
from console.simulator.replies import answer, error_reply
from console.simulator.world import World

_FORMS = {
    Switch.ERR_OLD: ErrorForm.OLD,
    Switch.ERR_NEW: ErrorForm.NEW,
    Switch.ERR_ARRAY: ErrorForm.ARRAY,
    Switch.ERR_HTML: ErrorForm.HTML,
    Switch.ERR_EMPTY: ErrorForm.EMPTY,
}


class Gate:
    """Stands before the calls of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def answer(
        self, request: Request, call: Call, act: Callable[[], Awaitable[Response]], board: FaultBoard | None = None
    ) -> Response:
        """Does a call unless a fault or a missing key forbids it; `board` holds the faults of its run."""
        fault = self._world.reply_fault(call, board)

        async def checked() -> Response:
            self._check_key(request)
            return await act()

        return await answer(checked, fault, lambda error: self.refuse(error, board))

    def refuse(self, error: ApiError, board: FaultBoard | None = None) -> Response:
        """A refusal in its usual form, or in the one that is switched on."""
        on = (form for switch, form in _FORMS.items() if self._world.take(switch, board))
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
        if not given or self._world.api_key not in (None, given):
            raise ApiError(401, "API key not valid. Please pass a valid API key.")
