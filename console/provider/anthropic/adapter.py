"""The provider port for Anthropic Managed Agents, over httpx.

The official client is not used: it sends a POST up to three times, and the service recognises no repetition, so a
message that is sent again starts a second run (anthropic 2.14.0). Here a launch is one POST on a new connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Unpack
from urllib.parse import quote

from console.provider.anthropic.history import MESSAGE, instant
from console.provider.anthropic.reading import CURSOR_LENGTH, MAX_PAGES, StreamReducer, WatchedSessions
from console.provider.anthropic.replies import hindrances, parse_error, read_launched, session_usage
from console.provider.anthropic.requests import INTERRUPT, agent_and_version, message_body, session_body
from console.provider.anthropic.session_state import WORKING
from console.provider.anthropic.traits import TRAITS
from console.provider.contract import (
    RUN_LABEL,
    CancelAnswer,
    LaunchOrder,
    LostLaunch,
    NotFound,
    ProviderError,
    RemoteRun,
    Resolution,
    StreamEvent,
    Unstarted,
    Verdict,
)
from console.provider.http.clients import ServiceHeaders
from console.provider.http.connections import ConnectionOptions, ServiceConnections
from console.provider.http.errors import cleaned
from console.provider.http.event_stream import events_of
from console.provider.http.json_narrowing import elements, labels_of, members, opaque_id, text
from console.provider.http.secret import Secret
from console.provider.http.session_calls import LostStarts, SessionCalls
from console.provider.http.step_text import STATUS_LENGTH
from console.provider.http.verdict import RefusalRules
from console.provider.traits import Traits

HEADERS = ServiceHeaders(
    key_header="authorization",
    key_prefix="Bearer ",
    fixed={"anthropic-version": "2026-10-21", "anthropic-beta": "managed-agents-2026-04-01"},
)
REFUSALS = RefusalRules(
    statuses=frozenset({400, 401, 402, 403, 404, 413, 422}),
    spent_quota=frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"}),
)
SESSIONS, AGENTS, ENVIRONMENTS = "sessions", "agents", "environments"

LOOKS = 3
"""How often a session without a message is read before it is deleted."""
LOOK_PAUSES = 5.0
"""The pause between two of these, in pauses of the bounds; the next one is twice as long."""
MAX_CHECKED = 50
"""Idle sessions without usage that one call of `unstarted` looks into."""


class AnthropicProvider:
    """Implements `console.provider.contract.Provider` for one host and one key. For one event loop at a time."""

    def __init__(
        self,
        *,
        base_url: str,
        secret: Secret,
        clock: Callable[[], float] = time.monotonic,
        **options: Unpack[ConnectionOptions],
    ) -> None:
        """Raises ValueError for a `base_url` that would send the key unencrypted, or an unusable CA file.

        `clock` returns the seconds of a clock that never goes back.
        """
        self._connections = http = ServiceConnections(
            base_url, "v1", secret, headers=HEADERS, parse_error=parse_error, refusals=REFUSALS, **options
        )
        self._bounds, self._redactor = http.bounds, http.redactor
        self._start, self._polls, self._controls = http.start, http.polls, http.controls
        self._read = SessionCalls(self._polls, SESSIONS)
        self._change = SessionCalls(self._controls, SESSIONS)
        self._watched = WatchedSessions(self._read, self._redactor, clock)
        self._lost = LostStarts(self._change, self._shows_start)

    @property
    def traits(self) -> Traits:
        """What this provider is able to do."""
        return TRAITS

    def __repr__(self) -> str:
        return f"AnthropicProvider({self._polls.root})"

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        """Return which tools of the agent may wait for a person, and what else does not fit.

        Raises NotFound if the agent or the environment does not exist, ProviderError.
        """
        agent_id, version = agent_and_version(order.agent)
        chosen = "" if version is None else f"?version={version}"
        agent = await self._template("agent", self._controls.address(AGENTS, agent_id) + chosen)
        environment = await self._template("environment", self._controls.address(ENVIRONMENTS, order.environment))
        return tuple(hindrances(agent, environment, model=order.model, redact=self._redactor))

    async def _template(self, what: str, address: str) -> object:
        """Return an agent or an environment. Raises ProviderError."""
        try:
            return self._controls.value(await self._controls.with_retry("GET", address))
        except NotFound as error:
            raise NotFound(cleaned(f"the service does not have this {what}: {error}")) from None

    async def prepare(self, order: LaunchOrder) -> str:
        """Make an idle session and return its id. Raises Invalid, ProviderError."""
        self._redactor.remember(order.prompt, order.system_instruction or "")
        return await self._change.make(session_body(order), REFUSALS)

    async def prepared_exists(self, prepared_id: str) -> bool:
        """Return whether a session exists. Raises ProviderError."""
        return await self._change.exists(prepared_id)

    async def discard(self, prepared_id: str) -> None:
        """Delete a session with its events and its container; success if it does not exist any more.

        Raises Refused while it works, ProviderError.
        """
        await self._change.delete(prepared_id)

    async def unstarted(self) -> tuple[Unstarted, ...]:
        """Return the idle sessions with a label of this program to which no message was sent. Raises ProviderError."""
        found: list[Unstarted] = []
        query = f"order=desc&limit=100&{quote('statuses[]')}=idle"
        candidates = [row async for row in self._listed(query) if _may_be_unstarted(row)]
        for row in candidates[:MAX_CHECKED]:
            session_id = str(row["id"])
            if not await self._messages(self._change, session_id):
                created_ms = int(instant(row.get("created_at")) * 1000) if _is_dated(row) else 0
                labels = labels_of(row.get("metadata"))
                found.append(Unstarted(prepared_id=session_id, labels=labels, created_ms=created_ms))
        return tuple(found)

    async def _listed(self, query: str) -> AsyncGenerator[Mapping[str, object], None]:
        """Yield the sessions of a list, page by page. Raises ProviderError."""
        page = ""
        for _ in range(MAX_PAGES):
            address = f"{self._controls.root}/{SESSIONS}?{query}{page}"
            value = members(self._controls.value(await self._controls.with_retry("GET", address)))
            for row in elements(value.get("data")):
                yield members(row)
            following = text(value.get("next_page"), CURSOR_LENGTH)
            if not following:
                return
            page = f"&page={quote(following, safe='')}"

    async def _messages(self, calls: SessionCalls, session_id: str) -> bool:
        """True if a message was sent to a session. Raises ProviderError."""
        query = f"/events?{quote('types[]')}={MESSAGE}&order=asc&limit=10"
        rows = elements((await calls.read(session_id, query)).get("data"))
        return any(members(row).get("type") == MESSAGE for row in rows)

    async def create(self, order: LaunchOrder) -> Verdict:
        """Send the message that starts the run, once, on a new connection. Never raises for a network failure."""
        self._redactor.remember(order.prompt, order.system_instruction or "")
        session_id = order.prepared_id or ""
        try:
            address = self._change.address(session_id, "/events")
        except NotFound:
            address = f"{self._controls.root}/{SESSIONS}"
        read = partial(read_launched, session_id=session_id)
        return await self._start.send(address, partial(message_body, order), read)

    async def resolve(self, lost: LostLaunch) -> Resolution:
        """Look for the message in the session; where there is none, delete the session, so that none can come.

        Raises ProviderError.
        """
        return await self._lost.resolve(lost.prepared_id)

    async def _shows_start(self, session_id: str) -> bool:
        """True if a session works, has worked, or has a message; it is read a few times. Raises ProviderError."""
        pause_s = self._bounds.pause_s * LOOK_PAUSES
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(pause_s * look)
            session = await self._change.read(session_id)
            works = text(session.get("status"), STATUS_LENGTH).lower() in WORKING
            if works or session_usage(session.get("usage")) is not None:
                return True
            if await self._messages(self._change, session_id):
                return True
        return False

    async def get(self, remote_id: str) -> RemoteRun:
        """Return the service's current view of a run: first the session, then its events. Raises ProviderError."""
        return await self._watched.get(remote_id)

    async def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        """Yield what happens until the run ends or the stream breaks. Raises ProviderError if it cannot be opened.

        The stream has nothing from before its opening, so it is opened first and the history is read then.
        """
        async with self._polls.stream(self._read.address(remote_id, "/events/stream")) as response:
            history, missed = await self._watched.read(remote_id)
            for event in missed:
                yield event
            if history.is_at_rest:
                return
            reducer = StreamReducer(history, self._redactor.also_redacting(*history.prompt))
            async with aclosing(events_of(response, reducer, self._bounds.stream_s)) as events:
                async for event in events:
                    yield event

    async def cancel(self, remote_id: str) -> CancelAnswer:
        """Interrupt a session. One that does not work, because it waits for its client, is archived.

        Raises ProviderError if the reply says nothing about the run.
        """
        reply = await self._controls.once("POST", self._change.address(remote_id, "/events"), INTERRUPT)
        answer = self._controls.cancel_answer(reply, lambda _: "interrupt sent")
        if reply.status == 404 or not await self._archived(remote_id):
            return answer
        return CancelAnswer(accepted=True, said="archived", retry_after_s=answer.retry_after_s)

    async def _archived(self, session_id: str) -> bool:
        """Archive a session that is idle, which ends it for good; True if the service did. Never raises."""
        try:
            session = await self._change.read(session_id)
            if session.get("status") != "idle":
                return False
            reply = await self._controls.once("POST", self._change.address(session_id, "/archive"), b"{}")
        except ProviderError:
            return False
        return reply.is_success

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()


def _may_be_unstarted(row: Mapping[str, object]) -> bool:
    is_ours = RUN_LABEL in labels_of(row.get("metadata"))
    return is_ours and opaque_id(row.get("id")) is not None and session_usage(row.get("usage")) is None


def _is_dated(row: Mapping[str, object]) -> bool:
    return 0 <= instant(row.get("created_at")) < 1e11
