"""Read sessions with their events, from lists and from a stream, into what the port shows of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from console.domain.run import Ending
from console.domain.usage import Usage
from console.provider.anthropic.history import ENDS, IDLE, MESSAGE, PARKING, SessionHistory, whole_text
from console.provider.anthropic.replies import session_usage
from console.provider.anthropic.session_state import SessionState, session_state
from console.provider.contract import RemoteRun, StatusClass, StreamEvent, Unavailable
from console.provider.http.errors import Redact
from console.provider.http.json_narrowing import elements, labels_of, members, parsed, text
from console.provider.http.redaction import Redactor
from console.provider.http.session_calls import SessionCalls
from console.provider.http.sse import Frame

EVENTS_PAGE = 50
MAX_PAGES = 100
"""Pages of one list that are read at most; of a longer history the beginning stays unread."""
MAX_HISTORIES = 2_048
"""Histories that are kept; beyond this the one used longest ago is read again when it is needed."""
CURSOR_LENGTH = 4_096


class WatchedSessions:
    """Reads sessions with their events. What was read of a history is kept, so that a poll reads one page of it."""

    def __init__(self, calls: SessionCalls, redactor: Redactor, clock: Callable[[], float]) -> None:
        """`clock` returns the seconds of a clock that never goes back."""
        self._calls = calls
        self._redactor = redactor
        self._clock = clock
        self._histories: dict[str, SessionHistory] = {}
        self._idle_since: dict[str, float] = {}
        """Since when a session that has worked is idle without a reason."""

    async def get(self, session_id: str) -> RemoteRun:
        """Return the current view of a run. Raises ProviderError."""
        session = await self._calls.read(session_id)
        answered = session.get("id")
        if isinstance(answered, str) and answered != session_id:
            raise Unavailable("the reply is about another session")
        history, _ = await self.read(session_id)
        since = self._idle_since.get(session_id)
        try:
            state = session_state(session, history, waited_s=self._clock() - since if since is not None else 0.0)
        except ValueError as error:
            raise Unavailable(str(error)) from None
        if state.waits_for_reason:
            self._idle_since.setdefault(session_id, self._clock())
        else:
            self._idle_since.pop(session_id, None)
        if state.status_class is StatusClass.TERMINAL:
            self._histories.pop(session_id, None)
        return _remote_run(session_id, session, history, state, self._redact(session, history))

    def _redact(self, session: Mapping[str, object], history: SessionHistory) -> Redact:
        system = members(session.get("agent")).get("system")
        return self._redactor.also_redacting(*history.prompt, system if isinstance(system, str) else "")

    async def read(self, session_id: str) -> tuple[SessionHistory, list[StreamEvent]]:
        """Read what is new in the history of a session; the second value is what it says. Raises ProviderError.

        The list is read from its newest end, up to an event that is known: one that was recorded before it was
        processed takes its place later, so a whole page is always looked at.
        """
        history = self._histories.pop(session_id, None) or SessionHistory()
        self._histories[session_id] = history
        while len(self._histories) > MAX_HISTORIES:
            del self._histories[next(iter(self._histories))]
        rows: list[object] = []
        page = ""
        for _ in range(MAX_PAGES):
            value = await self._calls.read(session_id, f"/events?order=desc&limit={EVENTS_PAGE}{page}")
            found = elements(value.get("data"))
            rows += found
            following = text(value.get("next_page"), CURSOR_LENGTH)
            if not following or any(map(history.knows, found)):
                break
            page = f"&page={quote(following, safe='')}"
        redact = self._redactor.also_redacting(*history.prompt, *_prompts(rows))
        return history, history.feed(reversed(rows), redact)


class StreamReducer:
    """Turns the frames of one stream into stream events, with what the history of its session knows already."""

    def __init__(self, history: SessionHistory, redact: Redact) -> None:
        self._history = history
        self._redact = redact
        self.ended = False
        """True once the run has ended or the service has reported an error of the stream."""

    def feed(self, frame: Frame) -> StreamEvent | None:
        """Return the event in `frame`; None if it has none. Never raises, whatever the frame contains."""
        try:
            event = members(parsed(frame.data))
        except ValueError:
            return None
        kind = event.get("type")
        if frame.event == "error" or kind == "error":
            self.ended = True
            return None
        found = self._history.feed([event], self._redact)
        reason = members(event.get("stop_reason")).get("type")
        self.ended = kind in ENDS or (kind == IDLE and reason != PARKING)
        return found[0] if found else None


def _remote_run(
    session_id: str, session: Mapping[str, object], history: SessionHistory, state: SessionState, redact: Redact
) -> RemoteRun:
    lines = [f"refusal: {state.details}"] if state.details else []
    return RemoteRun(
        remote_id=session_id,
        status=redact(state.word),
        status_class=state.status_class,
        ending=state.ending,
        usage=_usage(session, history, state),
        labels=labels_of(session.get("metadata")),
        prepared_id=session_id,
        is_unstarted=state.is_unstarted,
        steps=tuple(history.steps),
        result=history.result,
        errors=tuple(map(redact, (*history.errors, *lines))),
    )


def _usage(session: Mapping[str, object], history: SessionHistory, state: SessionState) -> Usage | None:
    """Return the larger figures of the session and its events: a working session may show zeros.

    Nothing counts as zero only where the run ended before its agent did anything.
    """
    told, live = session_usage(session.get("usage")), history.usage
    if told is not None and live is not None:
        return told.highest(live)
    early = state.ending in (Ending.FAILED, Ending.CANCELLED) and not history.steps
    return told or live or (Usage() if early and isinstance(session.get("usage"), dict) else None)


def _prompts(rows: Sequence[object]) -> list[str]:
    messages = (row for row in map(members, rows) if row.get("type") == MESSAGE)
    return [whole_text(row.get("content")) for row in messages]
