"""The calls to sessions that are the same at every service that launches in sessions: make, read, delete, clear up.

Kept apart because the adapters of these services differ in what they read, not in how.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from console.provider.contract import Absent, Fenced, Found, Invalid, NotFound, Refused, Resolution, Unavailable
from console.provider.http.exchange import Reply
from console.provider.http.json_narrowing import members, opaque_id
from console.provider.http.service_client import ServiceClient
from console.provider.http.verdict import TOO_MANY, RefusalRules

RUNS_THERE = frozenset({400, 409})
"""Statuses with which a service refuses to delete a session in which something runs."""
DENIED = frozenset({401, 402, 403})
"""Statuses of a refusal that another key or a payment would cure."""
MAX_LABELS, LABEL_NAME, LABEL_VALUE = 16, 64, 512
"""Pairs, and characters of a name and of a value, that a session can carry."""


class SessionCalls:
    """Calls below one collection of sessions. Each raises ProviderError."""

    def __init__(self, calls: ServiceClient, collection: str) -> None:
        self._calls = calls
        self._collection = collection

    def address(self, session_id: str, rest: str = "") -> str:
        """Return the URL of a session, or of what is below it. Raises NotFound for what cannot be an id."""
        return f"{self._calls.address(self._collection, session_id)}{rest}"

    async def make(self, body: bytes, rules: RefusalRules) -> str:
        """Make a session and return its id. Sent once, since a repetition could leave an unused session behind.

        Raises Invalid if the service refuses what is asked for; to repeat it unchanged is useless.
        """
        reply = await self._calls.once("POST", f"{self._calls.root}/{self._collection}", body)
        if self._is_refusal(reply, rules):
            raise Invalid(self._calls.errors.explain(reply))
        session_id = opaque_id(members(self._calls.value(reply)).get("id"))
        if session_id is None:
            raise Unavailable(f"HTTP {reply.status} without the id of a session")
        return session_id

    def _is_refusal(self, reply: Reply, rules: RefusalRules) -> bool:
        """True if nothing but another order would help. The raw text of the error stays in this frame."""
        error = self._calls.errors.body(reply)
        if error is None:
            return False
        is_spent = reply.status == TOO_MANY and error.code in rules.spent_quota
        return is_spent or reply.status in rules.statuses - DENIED

    async def read(self, session_id: str, rest: str = "") -> Mapping[str, object]:
        """Return the JSON object at a session, or below it."""
        reply = await self._calls.with_retry("GET", self.address(session_id, rest))
        value = members(self._calls.value(reply))
        if not value:
            raise Unavailable(f"HTTP {reply.status} without an object")
        return value

    async def exists(self, session_id: str) -> bool:
        """Return whether a session exists."""
        try:
            await self.read(session_id)
        except NotFound:
            return False
        return True

    async def delete(self, session_id: str) -> None:
        """Delete a session; success if it does not exist any more. Raises Refused if something runs in it."""
        reply = await self._calls.with_retry("DELETE", self.address(session_id))
        if reply.is_success:
            return
        error = self._calls.errors.exception(reply)
        if reply.status in RUNS_THERE and self._calls.errors.body(reply) is not None:
            raise Refused(str(error))
        if not isinstance(error, NotFound):
            raise error


class LostStarts:
    """Clears up starts of which no answer came: each is found in its session, or fenced by deleting that.

    The service deletes no session that works, and a deleted one takes no message.
    """

    def __init__(self, sessions: SessionCalls, shows_start: Callable[[str], Awaitable[bool]]) -> None:
        """`shows_start` reads a session and returns whether something was started in it; it raises ProviderError."""
        self._sessions = sessions
        self._shows_start = shows_start
        self._fenced: set[str] = set()
        """Sessions whose deletion was asked for here. Kept: the engine asks again if it could not store the proof."""

    async def resolve(self, session_id: str | None) -> Resolution:
        """Look for a start in a session; where there is none, delete the session. Raises ProviderError."""
        if session_id is None:
            return Absent()
        try:
            if await self._shows_start(session_id):
                return Found(remote_id=session_id)
            self._fenced.add(session_id)
            await self._sessions.delete(session_id)
        except Refused:
            # It works, as the message has arrived just now; a refusal for another reason proves nothing.
            self._fenced.discard(session_id)
            return Found(remote_id=session_id) if await self._shows_start(session_id) else Absent()
        except NotFound:
            # Only a session whose deletion was asked for here is known to have shown no start until then.
            if session_id not in self._fenced:
                return Absent()
        return Fenced(why="nothing was started in the session, and it was deleted: it takes no message any more")


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels as the metadata of a session. Raises Invalid for what does not fit: nothing is cut."""
    if len(labels) > MAX_LABELS:
        raise Invalid(f"a session carries {MAX_LABELS} labels, not {len(labels)}")
    for name, value in labels.items():
        if not 0 < len(name) <= LABEL_NAME or len(value) > LABEL_VALUE:
            raise Invalid(f"a label has up to {LABEL_NAME} characters and its value up to {LABEL_VALUE}")
    return dict(labels)
