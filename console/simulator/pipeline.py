"""What the calls of every face have in common: reading the body, checking the API key, faults, and refusals.

Every call goes through the `RequestPipeline`: it is counted once its body has arrived, then a fault strikes it or it is
performed.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from console.simulator.errors import ApiError, ErrorForm
from console.simulator.faults import CallKind, FaultSet, Switch
from console.simulator.replies import reply_with_fault
from console.simulator.state import SimulatorState

_SWITCHES: Mapping[Switch, ErrorForm] = {
    Switch.ERR_OLD: ErrorForm.OLD,
    Switch.ERR_NEW: ErrorForm.NEW,
    Switch.ERR_ARRAY: ErrorForm.ARRAY,
    Switch.ERR_HTML: ErrorForm.HTML,
    Switch.ERR_EMPTY: ErrorForm.EMPTY,
}

WriteError = Callable[[ApiError, ErrorForm], bytes]
"""Writes the body of an error in every form but HTML and EMPTY."""
CheckHeaders = Callable[[Request], None]
"""Raises ApiError for a call without the headers that the face demands."""


class RequestPipeline:
    """Performs the calls of one face."""

    def __init__(self, state: SimulatorState, write_error: WriteError, check_headers: CheckHeaders) -> None:
        self._state = state
        self._write_error = write_error
        self._check_headers = check_headers

    async def perform(
        self,
        request: Request,
        call: CallKind,
        action: Callable[[], Awaitable[Response]],
        faults: FaultSet | None = None,
    ) -> Response:
        """Return the reply to a call. `action` is performed unless a fault or a wrong header prevents it.

        `faults` are those of the run that the call concerns.
        """
        fault = self._state.reply_fault(call, faults)

        async def authorized() -> Response:
            self._check_headers(request)
            return await action()

        return await reply_with_fault(authorized, fault, lambda error: self.refusal(error, faults))

    def refusal(self, error: ApiError, faults: FaultSet | None = None) -> Response:
        """Write an error in its usual form, or in the form that is switched on."""
        switched_on = (form for switch, form in _SWITCHES.items() if self._state.trigger(switch, faults))
        form = next(switched_on, error.form)
        match form:
            case ErrorForm.HTML:
                body = f"<!DOCTYPE html><html><title>Error {error.http_status}</title></html>".encode()
            case ErrorForm.EMPTY:
                body = b""
            case _:
                body = self._write_error(error, form)
        media_type = "text/html" if form is ErrorForm.HTML else "application/json"
        return Response(body, status_code=error.http_status, media_type=media_type, headers=error.headers)

    async def body(self, request: Request) -> dict[str, object] | None:
        """Return the JSON object in the body, an empty one without a body, and None for anything else."""
        raw = await request.body()
        if not raw:
            return {}
        try:
            body = json.loads(raw)
        except ValueError:
            return None
        return body if isinstance(body, dict) else None


def check_api_key(state: SimulatorState, request: Request, *headers: str) -> None:
    """Raise ApiError 401 unless the call has the key, in one of `headers` or as a bearer token."""
    given = next((value for name in headers if (value := request.headers.get(name, ""))), "")
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if not given and kind.lower() == "bearer":
        given = token
    if not given or state.api_key not in (None, given):
        raise ApiError(401, "API key not valid. Please pass a valid API key.")
