"""The provider port for OpenAI Agents sessions, over httpx.

The official client is not used: it sends a request up to three times, and only some of them with an idempotency key
(openai 3.57.0). Here a start is one POST on a new connection, with a key of its own run and session; what the engine
repeats, it repeats with the same key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from functools import partial
from typing import Unpack

from console.provider.contract import (
    RUN_LABEL,
    CancelAnswer,
    Invalid,
    LaunchOrder,
    LostLaunch,
    NotFound,
    NotSent,
    ProviderError,
    RemoteRun,
    Resolution,
    StatusClass,
    StreamEvent,
    Unavailable,
    Unreachable,
    Unstarted,
    Verdict,
)
from console.provider.http.address import escaped
from console.provider.http.clients import ServiceHeaders
from console.provider.http.connections import ConnectionOptions, ServiceConnections
from console.provider.http.errors import TransientError, cleaned
from console.provider.http.event_stream import events_of
from console.provider.http.exchange import Reply
from console.provider.http.json_narrowing import count, elements, labels_of, members, opaque_id, parsed, text
from console.provider.http.secret import Secret
from console.provider.http.service_client import ServiceClient
from console.provider.http.session_calls import LostStarts, SessionCalls
from console.provider.http.verdict import RefusalRules
from console.provider.openai.items import Item, inputs_of
from console.provider.openai.replies import (
    Json,
    instructions_of,
    is_root,
    is_unstarted,
    parse_error,
    read_launched,
    remote_run,
    session_state,
    shows_start,
)
from console.provider.openai.requests import CANCEL_BODY, cancel_key, message_body, session_body, start_key
from console.provider.openai.stream import SessionReducer
from console.provider.openai.traits import TRAITS
from console.provider.traits import Traits

HEADERS = ServiceHeaders(key_header="authorization", key_prefix="Bearer ", fixed={"openai-beta": "agents=v1"})
REFUSALS = RefusalRules(
    statuses=frozenset({400, 401, 403, 404, 413, 422}),
    spent_quota=frozenset(
        {"insufficient_quota", "billing_not_active", "credit_balance_exhausted", "usage_limit_exceeded"}
        | {"project_spend_limit_exceeded", "organization_spend_limit_exceeded", "organization_usage_limit_exceeded"}
    ),
)

AGENTS, SESSIONS = "agents", "agents/sessions"
IDEMPOTENCY_KEY = "idempotency-key"
RESOLVE_READS = 3
"""Reads of a session before it is taken for one without a turn: a turn may be shown late."""
TURN_PAGES = 5
ITEM_PAGES = 50
SESSION_PAGES = 20
"""Pages of a list that are read, of 100 rows each (of turns: 20)."""
UNREAD_ENDS = 3
"""Polls in a row that fail for the items of an ended run alone. After that the end counts without them."""
MAX_UNREAD = 1_000
"""Runs whose failed reads are counted."""


class OpenAIProvider:
    """Implements `console.provider.contract.Provider` for one host and one key. For one event loop at a time."""

    def __init__(self, *, base_url: str, secret: Secret, **options: Unpack[ConnectionOptions]) -> None:
        """Raises ValueError for a `base_url` that would send the key unencrypted, or an unusable CA file."""
        self._connections = http = ServiceConnections(
            base_url, "v1", secret, headers=HEADERS, parse_error=parse_error, refusals=REFUSALS, **options
        )
        self._bounds, self._redactor = http.bounds, http.redactor
        self._start, self._polls, self._controls = http.start, http.polls, http.controls
        self._polled = SessionCalls(self._polls, SESSIONS)
        self._sessions = SessionCalls(self._controls, SESSIONS)
        self._lost = LostStarts(self._sessions, self._shows_start)
        self._unread: dict[str, int] = {}
        """How often in a row the items of an ended run could not be read, by the id of the run."""

    @property
    def traits(self) -> Traits:
        """What this provider is able to do."""
        return TRAITS

    def __repr__(self) -> str:
        return f"OpenAIProvider({self._polls.root})"

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        """Return which tools of the order, or of its saved agent, wait for their client or for a person.

        Raises NotFound if the agent does not exist, ProviderError.
        """
        tools = [parsed(tool) for tool in order.tools]
        if order.agent:
            reply = await self._controls.with_retry("GET", self._controls.address(AGENTS, order.agent))
            try:
                agent = members(self._controls.value(reply))
            except NotFound as error:
                raise NotFound(cleaned(f"the service does not have this agent: {error}")) from None
            # Tools of the order replace those of the agent.
            tools = tools or list(elements(agent.get("tools")))
        return tuple(cleaned(self._redactor(line)) for tool in tools if (line := _hindrance(members(tool))))

    async def prepare(self, order: LaunchOrder) -> str:
        """Make a session without input and return its id. Raises Invalid, Denied, ProviderError."""
        self._redactor.remember(order.prompt, order.system_instruction or "")
        try:
            body = session_body(order)
        except UnicodeError:
            raise Invalid("the order cannot be written as JSON") from None
        except ValueError as error:
            raise Invalid(cleaned(f"{error}")) from None
        return await self._sessions.make(body, REFUSALS)

    async def prepared_exists(self, prepared_id: str) -> bool:
        """Return whether a session exists. Raises ProviderError."""
        return await self._sessions.exists(prepared_id)

    async def discard(self, prepared_id: str) -> None:
        """Delete a session; success if it does not exist any more. Raises Refused while a turn is open in it.

        The service removes what the session ran in some time later.
        """
        await self._sessions.delete(prepared_id)

    async def unstarted(self) -> tuple[Unstarted, ...]:
        """Return the sessions with the label of a run in which no turn was started. Raises ProviderError."""
        found = []
        async for row in self._rows(self._controls, SESSIONS, pages=SESSION_PAGES):
            session_id, labels = opaque_id(row.get("id")), labels_of(row.get("metadata"))
            if session_id is None or RUN_LABEL not in labels or not is_unstarted(row, None):
                continue
            if await self._root_turn(self._controls, self._sessions, session_id) is None:
                created_ms = (count(row.get("created_at")) or 0) * 1000
                found.append(Unstarted(prepared_id=session_id, labels=labels, created_ms=created_ms))
        return tuple(found)

    async def create(self, order: LaunchOrder) -> Verdict:
        """Send the message once, on a new connection. Never raises for a network failure.

        The same order has the same idempotency key: the service takes the message once.
        """
        self._redactor.remember(order.prompt, order.system_instruction or "")
        try:
            headers = {IDEMPOTENCY_KEY: start_key(order)}
            address = self._sessions.address(order.prepared_id or "", "/events")
        except (ValueError, ProviderError):
            return NotSent(why="no session was prepared for the launch")
        read = partial(read_launched, session_id=order.prepared_id or "")
        return await self._start.send(address, partial(message_body, order), read, headers)

    async def resolve(self, lost: LostLaunch) -> Resolution:
        """Look for a turn in the session of a lost launch; if there is none, delete the session.

        The service refuses to delete a session in which something runs, so its consent proves that nothing does.
        Raises ProviderError.
        """
        return await self._lost.resolve(lost.prepared_id)

    async def _shows_start(self, session_id: str) -> bool:
        """True if a session works, has worked, or has a turn; it is read a few times. Raises ProviderError."""
        for read in range(RESOLVE_READS):
            if read:
                await asyncio.sleep(2 * self._bounds.pause_s)
            session = await self._sessions.read(session_id)
            if shows_start(session, await self._root_turn(self._controls, self._sessions, session_id)):
                return True
        return False

    async def get(self, remote_id: str) -> RemoteRun:
        """Return the run of a session: the session first, then its newest turn, and at its end its items.

        Raises ProviderError.
        """
        session = await self._polled.read(remote_id)
        turn = await self._root_turn(self._polls, self._polled, remote_id)
        items: tuple[Item, ...] = ()
        if session_state(session, turn).status_class in (StatusClass.TERMINAL, StatusClass.PARKED) and turn is not None:
            items = await self._items_of_end(remote_id)
        redact = self._redactor.also_redacting(instructions_of(session), *inputs_of(items))
        try:
            return remote_run(session, turn, items, remote_id, redact)
        except ValueError as error:
            raise Unavailable(f"{error}") from None

    async def _items_of_end(self, remote_id: str) -> tuple[Item, ...]:
        """Return the items of a run that shows its end. An end is not held back for ever by items that cannot be read.

        Raises ProviderError as long as another attempt may succeed.
        """
        try:
            items = await self._items(self._polls, self._polled, remote_id)
        except (Unreachable, TransientError):
            raise
        except ProviderError:
            failed = self._unread.pop(remote_id, 0) + 1
            if failed >= UNREAD_ENDS:
                return ()
            self._unread[remote_id] = failed
            while len(self._unread) > MAX_UNREAD:
                del self._unread[next(iter(self._unread))]
            raise
        self._unread.pop(remote_id, None)
        return items

    async def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        """Yield the steps so far, then what the stream brings, until it ends or breaks.

        Raises ProviderError if the stream cannot be opened. It is opened first, so that no step falls between.
        """
        reducer = SessionReducer(self._redactor)
        async with self._polls.stream(self._polled.address(remote_id, "/events?include_obfuscation=false")) as response:
            with suppress(ProviderError):
                for event in reducer.history(await self._items(self._polls, self._polled, remote_id)):
                    yield event
            async with aclosing(events_of(response, reducer, self._bounds.stream_s)) as events:
                async for event in events:
                    yield event

    async def cancel(self, remote_id: str) -> CancelAnswer:
        """Request the end of the open turn, with a key that was never used. Raises ProviderError."""
        address = self._sessions.address(remote_id, "/events")
        reply = await self._controls.once("POST", address, CANCEL_BODY, {IDEMPOTENCY_KEY: cancel_key(remote_id)})
        return self._controls.cancel_answer(reply, _accepted)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()

    async def _root_turn(self, calls: ServiceClient, sessions: SessionCalls, session_id: str) -> Json | None:
        """Return the newest turn of the session's own agent; None if it shows none."""
        address = sessions.address(session_id, "/turns")
        async with aclosing(self._rows(calls, address, limit=20, pages=TURN_PAGES)) as turns:
            async for turn in turns:
                if is_root(turn):
                    return turn
        return None

    async def _items(self, calls: ServiceClient, sessions: SessionCalls, session_id: str) -> tuple[Item, ...]:
        """Return the items of a session, oldest first. The newest are read first, since the result is at the end."""
        address = sessions.address(session_id, "/items")
        items = [item async for item in self._rows(calls, address, pages=ITEM_PAGES)]
        return tuple(reversed(items))

    async def _rows(
        self, calls: ServiceClient, address: str, *, limit: int = 100, pages: int
    ) -> AsyncGenerator[Mapping[str, object], None]:
        """Yield the rows of a list, newest first, of at most `pages` pages. Raises ProviderError."""
        whole = address if address.startswith(calls.root) else f"{calls.root}/{address}"
        after = ""
        for _ in range(pages):
            reply = await calls.with_retry("GET", f"{whole}?order=desc&limit={limit}{after}")
            page = members(calls.value(reply))
            rows = [members(row) for row in elements(page.get("data"))]
            if not isinstance(page.get("data"), list):
                raise Unavailable(f"HTTP {reply.status} without a list")
            for row in rows:
                yield row
            last = opaque_id(rows[-1].get("id")) if rows else None
            if page.get("has_more") is not True or last is None:
                return
            after = f"&after={escaped(last)}"


def _accepted(reply: Reply) -> str:
    return f"HTTP {reply.status}: accepted"


def _hindrance(tool: Json) -> str:
    """Say why a tool stops a run that nobody watches; empty for one that does not."""
    match tool.get("type"):
        case "function":
            return f"the function {text(tool.get('name'), 64)} waits for a result from its client"
        case "mcp":
            return f"tools of the server {text(tool.get('server_label'), 64)} may ask for approval"
        case "computer_use":
            return "computer_use may ask for a login or for access to a page"
        case _:
            return ""
