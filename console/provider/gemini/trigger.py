"""Launches through a trigger of the service: one that is paused, and that is run by hand.

The service then has a wall clock of its own, `execution_timeout_seconds`, which holds while this machine is off, and a
list of executions, which shows a launch whose answer was lost. A trigger needs a schedule; it is paused as soon as it
is made, and its schedule is due on 29 February only. Everything else is that of `GeminiProvider`. None of this was ever
tried at the real service.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from console.provider.contract import (
    RUN_LABEL,
    Absent,
    CancelAnswer,
    Found,
    Invalid,
    Launched,
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
from console.provider.gemini.adapter import GeminiProvider
from console.provider.gemini.replies import is_unknown_route, resource_id
from console.provider.gemini.requests import paused_body, trigger_body
from console.provider.gemini.traits import TRIGGER_TRAITS
from console.provider.http.exchange import Reply
from console.provider.http.json_narrowing import elements, labels_of, members, text
from console.provider.http.step_text import STATUS_LENGTH
from console.provider.traits import Traits

TRIGGERS, EXECUTIONS = "triggers", "executions"
PREFIX = "trigger:"
"""Begins the id of what was prepared, so that it is told from the id of a sandbox alone."""
REFUSED = frozenset({400, 404, 413, 416, 422})
READS = 4
"""Reads of the list of executions for one question after a launch."""
READ_AGAIN_S = 0.3
"""Seconds between two of them."""
PAGE = "page_size=100"
MOST_PAGES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTrigger:
    """What was prepared for one run."""

    trigger_id: str
    sandbox_id: str | None
    """Where the agent of the trigger works; None if the service made none in advance."""

    @classmethod
    def parse(cls, prepared_id: str | None) -> PreparedTrigger | None:
        """Return what `prepared_id` names; None if that is no trigger."""
        if prepared_id is None or not prepared_id.startswith(PREFIX):
            return None
        trigger_id, _, sandbox_id = prepared_id.removeprefix(PREFIX).partition("/")
        return cls(trigger_id=trigger_id, sandbox_id=sandbox_id or None) if trigger_id else None

    @property
    def prepared_id(self) -> str:
        """The id under which the run is stored."""
        return f"{PREFIX}{self.trigger_id}/{self.sandbox_id or ''}"


class TriggerProvider:
    """Implements `console.provider.contract.Provider`: prepares and starts through triggers, the rest as `direct`."""

    def __init__(self, direct: GeminiProvider) -> None:
        self._direct = direct
        self._calls = direct.controls

    @property
    def traits(self) -> Traits:
        """What this provider is able to do."""
        return TRIGGER_TRAITS

    async def review(self, order: LaunchOrder) -> tuple[str, ...]:
        """Return nothing: no tool of this service asks a person."""
        return await self._direct.review(order)

    async def prepare(self, order: LaunchOrder) -> str:
        """Make a sandbox and a paused trigger whose agent works in it. Raises Invalid, ProviderError."""
        self._direct.remember(order)
        sandbox_id = await self._sandbox(order)
        try:
            return await self._make_trigger(order, sandbox_id)
        except BaseException:
            if sandbox_id is not None:
                await self._quietly(self._direct.discard(sandbox_id))
            raise

    async def prepared_exists(self, prepared_id: str) -> bool:
        """Return whether the trigger or its sandbox still exists. Raises ProviderError."""
        prepared = PreparedTrigger.parse(prepared_id)
        if prepared is None:
            return await self._direct.prepared_exists(prepared_id)
        if prepared.sandbox_id is not None and await self._direct.prepared_exists(prepared.sandbox_id):
            return True
        reply = await self._calls.with_retry("GET", self._address(prepared.trigger_id))
        return self._found(reply)

    async def discard(self, prepared_id: str) -> None:
        """Delete the sandbox, which ends the run in it, and the trigger. Raises ProviderError."""
        prepared = PreparedTrigger.parse(prepared_id)
        if prepared is None:
            await self._direct.discard(prepared_id)
            return
        try:
            if prepared.sandbox_id is not None:
                await self._direct.discard(prepared.sandbox_id)
        finally:
            self._found(await self._calls.with_retry("DELETE", self._address(prepared.trigger_id)))

    async def unstarted(self) -> tuple[Unstarted, ...]:
        """Return every trigger of this program, also where its run has started: it is left behind by its run."""
        found: list[Unstarted] = []
        page = PAGE
        for _ in range(MOST_PAGES):
            reply = await self._calls.with_retry("GET", f"{self._calls.root}/{TRIGGERS}?{page}")
            value = members(self._calls.value(reply))
            found += filter(None, map(_unstarted, map(members, elements(value.get(TRIGGERS)))))
            token = resource_id(value.get("next_page_token"))
            if token is None:
                break
            page = f"{PAGE}&page_token={token}"
        return tuple(found)

    async def create(self, order: LaunchOrder) -> Verdict:
        """Run the trigger with one POST. Never raises for a network failure.

        An execution may be shown without its interaction at first: that is an unknown outcome, which `resolve` clears.
        """
        prepared = PreparedTrigger.parse(order.prepared_id)
        if prepared is None:
            return await self._direct.create(order)
        address = f"{self._address(prepared.trigger_id)}/{EXECUTIONS}"
        return await self._direct.start.send(address, lambda: b"", lambda value: _launched(value, order))

    async def resolve(self, lost: LostLaunch) -> Resolution:
        """Return the interaction of the trigger's execution, if the list shows one. Raises Unsupported, ProviderError.

        A trigger without an execution proves nothing: the request may still arrive, and the service does not refuse to
        delete a trigger that has just been run. So nothing is deleted here.
        """
        prepared = PreparedTrigger.parse(lost.prepared_id)
        if prepared is None:
            raise Unsupported("the run was not launched through a trigger")
        for attempt in range(READS):
            if attempt:
                await asyncio.sleep(READ_AGAIN_S)
            found = await self._executed(prepared.trigger_id)
            if found is not None:
                return Found(remote_id=found)
        return Absent()

    async def get(self, remote_id: str) -> RemoteRun:
        """Return the service's current view of a run. Raises ProviderError."""
        return await self._direct.get(remote_id)

    def follow(self, remote_id: str) -> AsyncGenerator[StreamEvent, None]:
        """Yield stream events until the stream ends or breaks. Raises ProviderError if it cannot be opened."""
        return self._direct.follow(remote_id)

    async def cancel(self, remote_id: str) -> CancelAnswer:
        """Request a stop; to repeat it is harmless. Raises ProviderError."""
        return await self._direct.cancel(remote_id)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._direct.aclose()

    async def _sandbox(self, order: LaunchOrder) -> str | None:
        try:
            return await self._direct.prepare(order)
        except Unsupported:
            return None

    async def _make_trigger(self, order: LaunchOrder, sandbox_id: str | None) -> str:
        """Make a trigger and pause it; one that cannot be paused is deleted. Raises Invalid, ProviderError."""
        try:
            body = trigger_body(
                replace(order, prepared_id=sandbox_id),
                timeout_s=math.ceil(order.max_ms / 1000),
                name=f"nightdesk {order.labels.get(RUN_LABEL, '')}",
            )
        except ValueError:
            raise Invalid("the order cannot be written as JSON") from None
        reply = await self._calls.once("POST", f"{self._calls.root}/{TRIGGERS}", body)
        if is_unknown_route(reply, self._calls.errors) or reply.status == 501:
            raise Invalid('the service has no triggers; set launch = "direct"')
        if reply.status in REFUSED:
            raise Invalid(self._calls.errors.explain(reply))
        trigger_id = resource_id(members(self._calls.value(reply)).get("id"))
        if trigger_id is None:
            raise Unavailable(f"HTTP {reply.status} without the id of a trigger")
        try:
            self._calls.value(await self._calls.once("PATCH", self._address(trigger_id), paused_body()))
        except BaseException:
            await self._quietly(self._delete(trigger_id))
            raise
        return PreparedTrigger(trigger_id=trigger_id, sandbox_id=sandbox_id).prepared_id

    async def _executed(self, trigger_id: str) -> str | None:
        """Return the interaction of the oldest execution that shows one; None if none does. Raises ProviderError."""
        reply = await self._calls.with_retry("GET", f"{self._address(trigger_id)}/{EXECUTIONS}?{PAGE}")
        try:
            value = members(self._calls.value(reply))
        except NotFound:
            return None
        executions = sorted(
            map(members, elements(value.get("trigger_executions"))), key=lambda one: text(one.get("start_time"), 64)
        )
        ids = (resource_id(one.get("interaction_id")) for one in executions)
        return next(filter(None, ids), None)

    async def _delete(self, trigger_id: str) -> None:
        self._found(await self._calls.with_retry("DELETE", self._address(trigger_id)))

    def _found(self, reply: Reply) -> bool:
        """Return whether a call reached its trigger. Raises ProviderError for any other failure than its absence."""
        error = self._calls.errors.exception(reply)
        if not reply.is_success and not isinstance(error, NotFound):
            raise error
        return reply.is_success

    def _address(self, trigger_id: str) -> str:
        return self._calls.address(TRIGGERS, trigger_id)

    @staticmethod
    async def _quietly(call: Awaitable[None]) -> None:
        """Wait for a clean-up whose failure changes nothing."""
        with suppress(ProviderError):
            await call


def _launched(value: object, order: LaunchOrder) -> Launched | None:
    """Read the reply to a run of a trigger; None if it does not name the interaction yet."""
    execution = members(value)
    remote_id = resource_id(execution.get("interaction_id"))
    if remote_id is None:
        return None
    return Launched(
        remote_id=remote_id, status=text(execution.get("status"), STATUS_LENGTH), prepared_id=order.prepared_id
    )


def _unstarted(trigger: Mapping[str, object]) -> Unstarted | None:
    """Return a trigger of this program; None for any other."""
    interaction = members(trigger.get("interaction"))
    labels = labels_of(interaction.get("labels"))
    trigger_id = resource_id(trigger.get("id"))
    if trigger_id is None or RUN_LABEL not in labels:
        return None
    sandbox_id = resource_id(trigger.get("environment_id")) or resource_id(interaction.get("environment"))
    prepared = PreparedTrigger(trigger_id=trigger_id, sandbox_id=sandbox_id)
    return Unstarted(
        prepared_id=prepared.prepared_id, labels=labels, created_ms=_milliseconds(trigger.get("create_time"))
    )


def _milliseconds(value: object) -> int:
    try:
        return round(datetime.fromisoformat(text(value, 64)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
