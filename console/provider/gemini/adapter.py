"""The provider port for the Gemini Interactions API, over httpx.

The official client is not used: it sends the launch request up to five times without an idempotency key, and follows
redirects with the API key and the prompt (google-genai 3.4.0). Here a launch is one POST on a new connection.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Unpack

from console.provider.contract import (
    CancelAnswer,
    LaunchOrder,
    LostLaunch,
    NotFound,
    ProviderError,
    RemoteRun,
    Resolution,
    StreamEvent,
    Unavailable,
    Unstarted,
    Unsupported,
    Verdict,
)
from console.provider.gemini.replies import (
    inputs_of,
    is_unknown_route,
    parse_error,
    read_launched,
    remote_run,
    resource_id,
)
from console.provider.gemini.requests import launch_body, sandbox_body
from console.provider.gemini.stream import StreamReducer
from console.provider.gemini.traits import TRAITS
from console.provider.http.clients import ServiceHeaders
from console.provider.http.connections import ConnectionOptions, ServiceConnections
from console.provider.http.errors import cleaned
from console.provider.http.event_stream import events_of
from console.provider.http.exchange import Reply
from console.provider.http.json_narrowing import members, parsed, text
from console.provider.http.secret import Secret
from console.provider.http.service_client import ServiceClient
from console.provider.http.step_text import STATUS_LENGTH
from console.provider.http.verdict import RefusalRules
from console.provider.traits import Traits

HEADERS = ServiceHeaders(key_header="x-goog-api-key")
REFUSALS = RefusalRules(statuses=frozenset({400, 401, 402, 403, 404, 413, 416, 422}))

INTERACTIONS = "interactions"
ENVIRONMENTS = "environments"

CANCEL_FORMS = ("/cancel", ":cancel")
"""Both forms are published; which one a host knows shows only when it is called (python-genai#1971)."""


class GeminiProvider:
    """Implements `console.provider.contract.Provider` for one host and one key. For one event loop at a time."""

    def __init__(
        self, *, base_url: str, secret: Secret, api_version: str = "v1beta", **options: Unpack[ConnectionOptions]
    ) -> None:
        """Raises ValueError for a `base_url` that would send the key unencrypted, or an unusable CA file."""
        self._connections = http = ServiceConnections(
            base_url, api_version, secret, headers=HEADERS, parse_error=parse_error, refusals=REFUSALS, **options
        )
        self._bounds, self._redactor, self._errors = http.bounds, http.redactor, http.errors
        self._polls = http.polls
        self.start, self.controls = http.start, http.controls
        self._sandboxes = SandboxCalls(self.controls)
        self._cancel_form = CANCEL_FORMS[0]

    @property
    def traits(self) -> Traits:
        """What this provider is able to do."""
        return TRAITS

    def __repr__(self) -> str:
        return f"GeminiProvider({self._polls.root})"

    async def create(self, order: LaunchOrder) -> Verdict:
        """Send one POST on a new connection, without retries or redirects. Never raises for a network failure."""
        self.remember(order)
        address, read = f"{self.controls.root}/{INTERACTIONS}", partial(read_launched, redact=self._redactor)
        return await self.start.send(address, partial(launch_body, order), read)

    def remember(self, order: LaunchOrder) -> None:
        """Mask the texts of `order` in what the service says."""
        self._redactor.remember(order.prompt, order.system_instruction or "")

    async def get(self, remote_id: str) -> RemoteRun:
        """Return the service's current view of a run. Raises ProviderError."""
        reply = await self._polls.with_retry("GET", f"{self._address(remote_id)}?stream=false")
        value = self._polls.value(reply)
        try:
            return remote_run(value, remote_id, self._redactor.also_redacting(*inputs_of(value)))
        except ValueError as error:
            raise Unavailable(f"HTTP {reply.status}: {error}") from None

    async def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        """Yield stream events until the stream ends or breaks. Raises ProviderError if it cannot be opened."""
        async with (
            self._polls.stream(f"{self._address(remote_id)}?stream=true") as response,
            aclosing(events_of(response, StreamReducer(self._redactor), self._bounds.stream_s)) as events,
        ):
            async for event in events:
                yield event

    async def cancel(self, remote_id: str) -> CancelAnswer:
        """Request a stop in the form that worked last; if the service does not know it, in the other form.

        Raises ProviderError if the reply says nothing about the run.
        """
        address = self._address(remote_id)
        said = ""
        for form in sorted(CANCEL_FORMS, key=lambda form: form != self._cancel_form):
            reply = await self.controls.once("POST", f"{address}{form}")
            if not is_unknown_route(reply, self._errors):
                self._cancel_form = form
                return self.controls.cancel_answer(reply, self._status_said)
            said = self._errors.explain(reply)
        return CancelAnswer(accepted=False, said=cleaned(f"the service knows no cancel: {said}"))

    def _status_said(self, reply: Reply) -> str:
        try:
            status = self._redactor(text(members(parsed(reply.body)).get("status"), STATUS_LENGTH))
        except ValueError:
            status = ""
        return cleaned(status or f"HTTP {reply.status}")

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        """Return nothing: no tool of this service asks a person."""
        return ()

    async def prepare(self, order: LaunchOrder) -> str:
        """Make a sandbox and return its id. Raises Unsupported if the service has no such call, ProviderError."""
        return await self._sandboxes.make(order.network)

    async def prepared_exists(self, prepared_id: str) -> bool:
        """Return whether a sandbox exists. Raises ProviderError."""
        return await self._sandboxes.exists(prepared_id)

    async def discard(self, prepared_id: str) -> None:
        """Delete a sandbox, which ends the run in it; success if it does not exist any more. Raises ProviderError."""
        await self._sandboxes.delete(prepared_id)

    async def unstarted(self) -> tuple[Unstarted, ...]:
        """Raise Unsupported: a sandbox carries no label."""
        raise Unsupported("the service does not show which sandboxes this program has made")

    async def resolve(self, lost: LostLaunch) -> Resolution:
        """Raise Unsupported: the service has no list of interactions."""
        raise Unsupported("the service cannot be asked for a launch without an answer")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()

    def _address(self, remote_id: str) -> str:
        return self._polls.address(INTERACTIONS, resource_id(remote_id) or remote_id)


class SandboxCalls:
    """The calls of the Environments API. A sandbox made before a launch is a handle if the launch reply is lost."""

    def __init__(self, calls: ServiceClient) -> None:
        self._calls = calls

    async def make(self, network: str | None) -> str:
        """Make a sandbox and return its id. Sent once, since a repetition could leave an unused sandbox behind.

        Raises Unsupported, ProviderError.
        """
        try:
            body = sandbox_body(network)
        except ValueError:
            raise ProviderError("the network setting of the sandbox is not JSON") from None
        reply = await self._calls.once("POST", f"{self._calls.root}/{ENVIRONMENTS}", body)
        self._demand_route(reply)
        if reply.status == 501:
            raise Unsupported(self._calls.errors.explain(reply))
        sandbox_id = resource_id(members(self._calls.value(reply)).get("id"))
        if sandbox_id is None:
            raise Unavailable(f"HTTP {reply.status} without the id of a sandbox")
        return sandbox_id

    async def exists(self, sandbox_id: str) -> bool:
        """Return whether a sandbox exists. Raises Unsupported, ProviderError."""
        return await self._found("GET", sandbox_id)

    async def delete(self, sandbox_id: str) -> None:
        """Delete a sandbox; success if it does not exist any more. Raises Unsupported, ProviderError."""
        await self._found("DELETE", sandbox_id)

    async def _found(self, method: str, sandbox_id: str) -> bool:
        """Make a call to a sandbox; False where there is none. Raises Unsupported, ProviderError."""
        reply = await self._calls.with_retry(method, self._calls.address(ENVIRONMENTS, sandbox_id))
        self._demand_route(reply)
        error = self._calls.errors.exception(reply)
        if not reply.is_success and not isinstance(error, NotFound):
            raise error
        return reply.is_success

    def _demand_route(self, reply: Reply) -> None:
        """Raise Unsupported if the service does not know the call, which says nothing about the sandbox."""
        if is_unknown_route(reply, self._calls.errors):
            raise Unsupported(self._calls.errors.explain(reply))
